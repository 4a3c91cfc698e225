//! What a browser sends: frames in, the octets of its stream out (RFC 6455 sections 5.4 and 5.5). No I/O.
//!
//! All happens in one buffer. What is read into it loses its mask where it stands, and moves only to close the gap of a
//! header before it. A message that is short goes on whole or not at all, as nothing of one that turns out to be
//! forbidden should reach a target; of a long one goes on what is there, so that the buffer need not grow with it.
//!
//! ```text
//!  spent | passable | held back until its message is whole | gap | not yet looked at | room
//!      start     passable                               joined   at                 end
//! ```

use std::ops::Range;

use bytes::buf::Limit;
use bytes::{BufMut, BytesMut};

use crate::close::Close;
use crate::frame::{HEADER_OCTETS_MAX, Header, Malformed, Opcode, mask};
use crate::limits::{EMPTY_FRAMES_MAX, READ_OCTETS, SMALL_READ_OCTETS};

/// A message of at most so many octets goes on whole or not at all.
const WHOLE_OCTETS_MAX: usize = READ_OCTETS;
/// What the buffer holds where much is said: the more is read at once, the less often anybody has to wake up.
const ROOM: usize = 8 * READ_OCTETS;
const _: () = assert!(WHOLE_OCTETS_MAX + HEADER_OCTETS_MAX < ROOM / 2);

#[derive(Debug)]
pub(crate) struct Inlet {
    octets: BytesMut,
    start: usize,
    passable: usize,
    joined: usize,
    at: usize,
    /// The frame whose octets come next.
    frame: Option<Data>,
    /// How many octets the frames of an unfinished message have so far.
    message: Option<usize>,
    message_octets_max: usize,
    /// Frames without octets since the last one that had some.
    empty_frames: usize,
}

#[derive(Debug)]
struct Data {
    mask: [u8; 4],
    is_final: bool,
    /// Octets that have come, and that are to come.
    taken: u64,
    left: usize,
    /// Its message is not held back.
    is_long: bool,
}

/// What is to be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word<'a> {
    /// By a pong with the same octets.
    Ping(&'a [u8]),
    /// By a Close with the same octets, a code and a reason. It is the last that counts.
    Close(&'a [u8]),
}

impl Inlet {
    /// `early` has come with the request.
    pub(crate) fn new(early: &[u8], message_octets_max: usize) -> Self {
        Self {
            octets: BytesMut::from(early),
            start: 0,
            passable: 0,
            joined: 0,
            at: 0,
            frame: None,
            message: None,
            message_octets_max,
            empty_frames: 0,
        }
    }

    /// Looks at what has come, up to a word that wants an answer; without one, to its end.
    ///
    /// # Errors
    /// The browser has done what it may not. What is [`passable`](Self::passable) was sent before.
    pub(crate) fn next(&mut self) -> Result<Option<Word<'_>>, Close> {
        loop {
            if self.frame.is_some() && !self.take() {
                return Ok(None);
            }
            let rest = &self.octets[self.at..];
            let parsed = Header::parse(rest).map_err(|Malformed| Close::Protocol)?;
            let Some((header, head)) = parsed else { return Ok(None) };
            match header.opcode {
                Opcode::Continuation | Opcode::Binary => self.begin(header, head)?,
                Opcode::Text => return self.refuse_text(header, head),
                Opcode::Close | Opcode::Ping | Opcode::Pong => {
                    let length = header.length as usize;
                    if rest.len() < head + length {
                        return Ok(None);
                    }
                    let start = self.at + head;
                    self.at = start + length;
                    mask(&mut self.octets[start..self.at], header.mask, 0);
                    match header.opcode {
                        Opcode::Close => return self.close(start..self.at),
                        Opcode::Ping => {
                            self.count_empty()?;
                            return Ok(Some(Word::Ping(&self.octets[start..self.at])));
                        }
                        _ => self.count_empty()?,
                    }
                }
            }
        }
    }

    /// What belongs to the stream, and may go on.
    pub(crate) fn passable(&self) -> &[u8] {
        &self.octets[self.start..self.passable]
    }

    /// So many of the passable octets have gone on.
    pub(crate) fn passed(&mut self, octets: usize) {
        self.start += octets;
        debug_assert!(self.start <= self.passable);
    }

    /// It takes more before what is passable has been passed.
    pub(crate) fn has_room(&self) -> bool {
        self.live() < ROOM / 2
    }

    /// Where to put what comes next.
    pub(crate) fn room(&mut self) -> Limit<&mut BytesMut> {
        let capacity = self.octets.capacity();
        let is_full = capacity > 0 && self.octets.len() == capacity;
        let left = self.frame.as_ref().map_or(0, |frame| frame.left);
        let wanted = (self.live() + left + HEADER_OCTETS_MAX).min(ROOM);
        let is_much = is_full || wanted > SMALL_READ_OCTETS || self.is_large();
        let spent = self.octets.len() - self.live();
        if capacity < wanted || is_full || spent > capacity / 2 || self.live() == 0 {
            self.gather(if is_much { ROOM } else { SMALL_READ_OCTETS });
        }
        let free = self.octets.capacity() - self.octets.len();
        (&mut self.octets).limit(free)
    }

    /// Nothing comes at the moment: gives a large buffer back that holds nothing.
    pub(crate) fn rest(&mut self) {
        if self.live() == 0 && self.is_large() {
            self.octets = BytesMut::new();
            (self.start, self.passable, self.joined, self.at) = (0, 0, 0, 0);
        }
    }

    pub(crate) fn is_large(&self) -> bool {
        self.octets.capacity() > SMALL_READ_OCTETS
    }

    /// How much of the buffer is not spent.
    fn live(&self) -> usize {
        self.joined - self.start + self.octets.len() - self.at
    }

    /// Moves what is not spent to the beginning of a buffer of at least this capacity.
    fn gather(&mut self, capacity: usize) {
        let held = self.joined - self.start;
        if self.octets.capacity() >= capacity {
            self.octets.copy_within(self.start..self.joined, 0);
            self.octets.copy_within(self.at.., held);
            self.octets.truncate(held + self.octets.len() - self.at);
        } else {
            let mut octets = BytesMut::with_capacity(capacity);
            octets.extend_from_slice(&self.octets[self.start..self.joined]);
            octets.extend_from_slice(&self.octets[self.at..]);
            self.octets = octets;
        }
        (self.start, self.passable, self.joined, self.at) = (0, self.passable - self.start, held, held);
    }

    /// Begins a frame of a message.
    fn begin(&mut self, header: Header, head: usize) -> Result<(), Close> {
        let octets = self.admit(header)?;
        let left = header.length as usize;
        if left == 0 {
            self.count_empty()?;
        } else {
            self.empty_frames = 0;
        }
        self.at += head;
        self.message = Some(octets);
        let is_long = octets > WHOLE_OCTETS_MAX;
        let Header { mask, is_final, .. } = header;
        self.frame = Some(Data { mask, is_final, taken: 0, left, is_long });
        Ok(())
    }

    /// The octets of a message with this frame of it, if it is its turn, and they are not too many.
    fn admit(&self, header: Header) -> Result<usize, Close> {
        if self.message.is_some() != (header.opcode == Opcode::Continuation) {
            return Err(Close::Protocol);
        }
        let octets = u64::try_from(self.message.unwrap_or(0))
            .ok()
            .and_then(|before| before.checked_add(header.length));
        octets
            .and_then(|octets| usize::try_from(octets).ok())
            .filter(|octets| *octets <= self.message_octets_max)
            .ok_or(Close::FrameSize(self.message_octets_max))
    }

    /// Takes what is there of a frame; whether that is all.
    fn take(&mut self) -> bool {
        let Some(frame) = &mut self.frame else { return true };
        let octets = frame.left.min(self.octets.len() - self.at);
        if self.start == self.joined {
            (self.start, self.passable, self.joined) = (self.at, self.at, self.at);
        } else if self.joined < self.at {
            self.octets.copy_within(self.at..self.at + octets, self.joined);
        }
        self.at += octets;
        mask(&mut self.octets[self.joined..self.joined + octets], frame.mask, frame.taken);
        self.joined += octets;
        frame.taken += octets as u64;
        frame.left -= octets;
        let (is_whole, is_final) = (frame.left == 0, frame.is_final);
        if frame.is_long || is_whole && is_final {
            self.passable = self.joined;
        }
        if is_whole {
            self.frame = None;
            if is_final {
                self.message = None;
            }
        }
        is_whole
    }

    /// Tells text from what only claims to be, as far as its first octets show it.
    fn refuse_text(&mut self, header: Header, head: usize) -> Result<Option<Word<'_>>, Close> {
        let length = self.admit(header)?;
        let text = &mut self.octets[self.at + head..];
        let enough = length.min(WHOLE_OCTETS_MAX);
        let Some(text) = text.get_mut(..enough) else { return Ok(None) };
        mask(text, header.mask, 0);
        match str::from_utf8(text) {
            Err(error) if error.error_len().is_some() || header.is_final && enough == length => {
                Err(Close::Utf8)
            }
            _ => Err(Close::Text),
        }
    }

    fn close(&self, words: Range<usize>) -> Result<Option<Word<'_>>, Close> {
        let words = &self.octets[words];
        if let Some((code, reason)) = words.split_first_chunk() {
            if !may_be_sent(u16::from_be_bytes(*code)) {
                return Err(Close::Protocol);
            }
            if str::from_utf8(reason).is_err() {
                return Err(Close::Utf8);
            }
        } else if !words.is_empty() {
            return Err(Close::Protocol);
        }
        Ok(Some(Word::Close(words)))
    }

    fn count_empty(&mut self) -> Result<(), Close> {
        self.empty_frames += 1;
        if self.empty_frames > EMPTY_FRAMES_MAX { Err(Close::Empty) } else { Ok(()) }
    }
}

/// Section 7.4, and what IANA has registered since.
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests;
