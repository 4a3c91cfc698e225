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
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    const LIMIT: usize = 1 << 20;

    /// What has come of some octets, up to where they end or may not go on.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Outcome {
        passed: Vec<u8>,
        pings: Vec<Vec<u8>>,
        end: Option<Result<Vec<u8>, Close>>,
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | short as u8),
            middle @ ..0x1_0000 => {
                frame.push(0xfe);
                frame.extend((middle as u16).to_be_bytes());
            }
            long => {
                frame.push(0xff);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend(KEY);
        frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(octet, key)| octet ^ key));
        frame
    }

    fn feed(inlet: &mut Inlet, mut piece: &[u8], outcome: &mut Outcome) {
        while !piece.is_empty() && outcome.end.is_none() {
            let mut room = inlet.room();
            let octets = piece.len().min(room.remaining_mut());
            assert!(octets > 0, "there is always room");
            room.put_slice(&piece[..octets]);
            piece = &piece[octets..];
            loop {
                match inlet.next() {
                    Ok(None) => break,
                    Ok(Some(Word::Ping(words))) => outcome.pings.push(words.to_vec()),
                    Ok(Some(Word::Close(words))) => outcome.end = Some(Ok(words.to_vec())),
                    Err(close) => outcome.end = Some(Err(close)),
                }
                if outcome.end.is_some() {
                    break;
                }
            }
            outcome.passed.extend(inlet.passable());
            inlet.passed(inlet.passable().len());
            assert!(inlet.octets.capacity() <= ROOM, "the buffer does not grow");
        }
    }

    fn outcome<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
        let (mut inlet, mut outcome) = (Inlet::new(b"", LIMIT), Outcome::default());
        pieces.into_iter().for_each(|piece| feed(&mut inlet, piece, &mut outcome));
        outcome
    }

    #[test]
    fn frames_mean_the_same_wherever_they_are_cut() {
        let middle = vec![b'm'; 300];
        let ends = |close| Some(Err(close));
        for (frames, passed, pings, end) in [
            (vec![frame(0x82, b"one"), frame(0x82, b""), frame(0x82, b"two")], &b"onetwo"[..], vec![], None),
            (vec![frame(0x82, &middle), frame(0x8a, b"pong")], &middle[..], vec![], None),
            (
                vec![
                    frame(0x02, b"o"),
                    frame(0x89, b"?"),
                    frame(0x00, b""),
                    frame(0x00, b"n"),
                    frame(0x80, b"e"),
                ],
                b"one",
                vec![&b"?"[..]],
                None,
            ),
            // Of a message that is not whole, or that turns out to be forbidden, nothing goes on.
            (vec![frame(0x82, b"one"), frame(0x02, b"two")], b"one", vec![], None),
            (
                vec![frame(0x82, b"one"), frame(0x02, b"two"), frame(0x82, b"")],
                b"one",
                vec![],
                ends(Close::Protocol),
            ),
            (vec![frame(0x82, b"one"), frame(0x80, b"two")], b"one", vec![], ends(Close::Protocol)),
            (vec![frame(0x02, b"one"), frame(0x01, b"two")], b"", vec![], ends(Close::Protocol)),
            (vec![frame(0x82, b"one"), frame(0x81, b"two")], b"one", vec![], ends(Close::Text)),
            (vec![frame(0x01, b"tw\xc3")], b"", vec![], ends(Close::Text)),
            (vec![frame(0x81, b"tw\xc3")], b"", vec![], ends(Close::Utf8)),
            (vec![frame(0x01, b"t\xffw")], b"", vec![], ends(Close::Utf8)),
            (
                vec![frame(0x82, b"one"), frame(0x88, b"\x03\xe8so"), vec![0xff]],
                b"one",
                vec![],
                Some(Ok(b"\x03\xe8so".to_vec())),
            ),
            (vec![frame(0x88, b"")], b"", vec![], Some(Ok(vec![]))),
            (vec![frame(0x88, b"\x03")], b"", vec![], ends(Close::Protocol)),
            (vec![frame(0x88, b"\x03\xed")], b"", vec![], ends(Close::Protocol)),
            (vec![frame(0x88, b"\x03\xe8\xff")], b"", vec![], ends(Close::Utf8)),
            (
                vec![frame(0x02, b"x"), [&b"\x80\xff\0\0\0\0\0\x10\0\0"[..], &KEY].concat()],
                b"",
                vec![],
                ends(Close::FrameSize(LIMIT)),
            ),
            (
                vec![[&[0x82, 0xff][..], &[0xff; 8], &KEY].concat()],
                b"",
                vec![],
                ends(Close::FrameSize(LIMIT)),
            ),
        ] {
            let octets = frames.concat();
            let pings = pings.into_iter().map(<[u8]>::to_vec).collect();
            let expected = Outcome { passed: passed.to_vec(), pings, end };
            assert_eq!(outcome([&octets[..]]), expected, "{octets:02x?}");
            assert_eq!(outcome(octets.chunks(1)), expected, "octet by octet: {octets:02x?}");
            for cut in 1..octets.len() {
                let (before, behind) = octets.split_at(cut);
                assert_eq!(outcome([before, behind]), expected, "cut at {cut}: {octets:02x?}");
            }
        }
    }

    #[test]
    fn a_short_message_goes_on_whole_and_a_long_one_as_it_comes() {
        for (length, waits) in [(WHOLE_OCTETS_MAX, true), (WHOLE_OCTETS_MAX + 1, false), (LIMIT, false)] {
            let payload: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            let octets = frame(0x82, &payload);
            let (mut inlet, mut outcome) = (Inlet::new(b"", LIMIT), Outcome::default());
            let (most, last) = octets.split_at(octets.len() - 1);
            feed(&mut inlet, most, &mut outcome);
            assert_eq!(outcome.passed.len(), if waits { 0 } else { length - 1 });
            feed(&mut inlet, last, &mut outcome);
            assert!(outcome.passed == payload && outcome.end.is_none(), "{length} octets");
        }
        let pieces = frame(0x02, &[b'x'; WHOLE_OCTETS_MAX]);
        assert_eq!(outcome([&pieces[..]]).passed, b"");
        let more = [&pieces[..], &frame(0x00, b"y")].concat();
        assert_eq!(outcome([&more[..]]).passed.len(), WHOLE_OCTETS_MAX + 1);
    }

    #[test]
    fn more_is_taken_while_the_target_takes_nothing_but_not_without_end() {
        let mut inlet = Inlet::new(b"", LIMIT);
        let payload: Vec<u8> = (0..1_000_u32).map(|place| (place % 251) as u8).collect();
        let octets = frame(0x82, &payload);
        let (mut sent, mut passed) = (0, 0);
        while inlet.has_room() {
            let mut room = inlet.room();
            let rest = &octets[sent % octets.len()..];
            let piece = &rest[..rest.len().min(room.remaining_mut())];
            room.put_slice(piece);
            sent += piece.len();
            assert_eq!(inlet.next(), Ok(None));
            // A little of it goes on.
            let little = inlet.passable().len().min(7);
            inlet.passed(little);
            passed += little;
            assert!(!piece.is_empty() && inlet.octets.capacity() <= ROOM);
        }
        let expected = payload.repeat(sent / octets.len());
        assert!(expected.len() > ROOM / 4 && inlet.passable() == &expected[passed..]);
        inlet.passed(inlet.passable().len());
        assert!(inlet.has_room());
    }

    #[test]
    fn a_large_buffer_is_given_back_when_nothing_is_in_it() {
        let (mut inlet, mut outcome) = (Inlet::new(b"", LIMIT), Outcome::default());
        let octets = frame(0x82, &[b'x'; READ_OCTETS]);
        feed(&mut inlet, &octets[..50_000], &mut outcome);
        inlet.rest();
        assert!(inlet.is_large(), "it holds half a frame");
        feed(&mut inlet, &octets[50_000..], &mut outcome);
        inlet.rest();
        assert!(!inlet.is_large());
        feed(&mut inlet, &frame(0x82, b"more"), &mut outcome);
        assert!(outcome.passed.ends_with(b"xmore") && !inlet.is_large());
    }

    #[test]
    fn what_comes_with_the_request_comes_first() {
        let octets = frame(0x82, b"EHLO iit.edu\r\n");
        let (early, late) = octets.split_at(9);
        let (mut inlet, mut outcome) = (Inlet::new(early, LIMIT), Outcome::default());
        assert_eq!(inlet.next(), Ok(None));
        feed(&mut inlet, late, &mut outcome);
        assert_eq!(outcome.passed, b"EHLO iit.edu\r\n");
    }

    fn length() -> impl Strategy<Value = usize> {
        prop_oneof![4 => 0..200_usize, 1 => 0..20_000_usize, 1 => 60_000..140_000_usize]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Messages in pieces with pings between them arrive as they were sent, in whatever amounts they are read.
        #[test]
        fn whole_messages_arrive(
            messages in vec(vec((length(), any::<bool>()), 1..4), 1..6),
            cuts in vec(1..100_000_usize, 1..8),
        ) {
            let (mut octets, mut expected) = (Vec::new(), Outcome::default());
            for pieces in &messages {
                for (number, (length, ping)) in pieces.iter().enumerate() {
                    let fin = if number + 1 == pieces.len() { 0x80 } else { 0 };
                    let payload: Vec<u8> = (0..*length).map(|place| (place * 7 + number) as u8).collect();
                    octets.extend(frame(fin | if number == 0 { 2 } else { 0 }, &payload));
                    expected.passed.extend(payload);
                    if *ping {
                        octets.extend(frame(0x89, &[number as u8; 3]));
                        expected.pings.push(vec![number as u8; 3]);
                    }
                }
            }
            prop_assert!(outcome(cut(&octets, &cuts)) == expected);
        }

        /// Whatever comes means the same however it is cut, and nothing panics.
        #[test]
        fn anything_means_the_same_however_it_is_cut(
            frames in vec((any::<u8>(), prop::bool::weighted(0.1), length(), any::<u8>()), 1..12),
            flip in (any::<prop::sample::Index>(), prop::bool::weighted(0.3), any::<u8>()),
            cuts in vec(1..3_000_usize, 1..8),
        ) {
            const LIKELY: [u8; 8] = [0x82, 0x82, 0x02, 0x80, 0x00, 0x89, 0x8a, 0x88];
            let mut octets = Vec::new();
            for (first, any_first, length, octet) in frames {
                let first = if any_first { first } else { LIKELY[usize::from(first) % LIKELY.len()] };
                let length = if first & 8 == 0 { length } else { length % 126 };
                octets.extend(frame(first, &vec![octet; length]));
            }
            let (place, flips, bits) = flip;
            if flips {
                let place = place.index(octets.len().min(64));
                octets[place] ^= bits;
            }
            prop_assert!(outcome(cut(&octets, &cuts)) == outcome([&octets[..]]));
        }
    }

    fn cut<'a>(octets: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
        let (mut rest, mut pieces) = (octets, Vec::new());
        for length in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, more) = rest.split_at(rest.len().min(*length));
            pieces.push(piece);
            rest = more;
        }
        pieces
    }
}
