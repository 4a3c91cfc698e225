//! What goes to a browser in frames of the bridge's own making, one at a time: what was read from the target, and between
//! two of those the control frames that are due (RFC 6455 section 5.5). No I/O.

use bytes::buf::Limit;
use bytes::{BufMut, BytesMut};

use crate::frame::{HEADER_OCTETS_OUT_MAX, Opcode, head};
use crate::limits::SMALL_READ_OCTETS;

#[derive(Debug, Default)]
pub(crate) struct Outlet {
    /// Room for a header, and behind it what the frame carries.
    octets: BytesMut,
    /// Where the frame begins, and later what of it is unsent.
    start: usize,
    carries_octets: bool,
    pong: Option<Vec<u8>>,
    ping: bool,
    close: Option<Vec<u8>>,
    /// A Close has begun to go; nothing may follow it.
    is_closed: bool,
}

impl Outlet {
    /// Answers a ping; of several that wait only the last is (section 5.5.3).
    pub(crate) fn pong(&mut self, words: &[u8]) {
        let pong = self.pong.get_or_insert_default();
        pong.clear();
        pong.extend_from_slice(words);
    }

    /// Asks the browser for a pong.
    pub(crate) const fn ping(&mut self) {
        self.ping = true;
    }

    /// The last frame; the first one that is asked for is it.
    pub(crate) fn close(&mut self, words: Vec<u8>) {
        if !self.is_closing() {
            self.close = Some(words);
        }
    }

    pub(crate) const fn is_closing(&self) -> bool {
        self.is_closed || self.close.is_some()
    }

    /// What is left of the frame that is under way, or the next one's, if one is due.
    pub(crate) fn unsent(&mut self) -> &[u8] {
        if self.start == self.octets.len() && !self.is_closed {
            if let Some(words) = self.pong.take() {
                self.control(Opcode::Pong, &words);
            } else if std::mem::take(&mut self.ping) {
                self.control(Opcode::Ping, &[]);
            } else if let Some(words) = self.close.take() {
                self.control(Opcode::Close, &words);
                self.is_closed = true;
            }
        }
        &self.octets[self.start..]
    }

    /// So many of the unsent octets have gone out; whether they were a stream's.
    pub(crate) fn sent(&mut self, octets: usize) -> bool {
        self.start += octets;
        self.carries_octets
    }

    /// Where to read up to so many octets that the next frame is to carry. Nothing is unsent.
    pub(crate) fn room(&mut self, octets: usize) -> Limit<&mut BytesMut> {
        self.clear(octets);
        (&mut self.octets).limit(octets)
    }

    /// Makes a frame of what was read.
    pub(crate) fn frame(&mut self) {
        self.carries_octets = true;
        self.head(Opcode::Binary);
    }

    /// Nothing comes at the moment: gives a large buffer back that holds nothing.
    pub(crate) fn rest(&mut self) {
        if self.start == self.octets.len() && self.is_large() {
            self.octets = BytesMut::new();
            self.start = 0;
        }
    }

    pub(crate) fn is_large(&self) -> bool {
        self.octets.capacity() > HEADER_OCTETS_OUT_MAX + SMALL_READ_OCTETS
    }

    fn control(&mut self, opcode: Opcode, words: &[u8]) {
        self.clear(words.len());
        self.octets.extend_from_slice(words);
        self.carries_octets = false;
        self.head(opcode);
    }

    /// Leaves nothing but room.
    fn clear(&mut self, octets: usize) {
        self.octets.clear();
        if self.octets.capacity() < HEADER_OCTETS_OUT_MAX + octets {
            self.octets = BytesMut::with_capacity(HEADER_OCTETS_OUT_MAX + octets.max(SMALL_READ_OCTETS));
        }
        self.octets.extend_from_slice(&[0; HEADER_OCTETS_OUT_MAX]);
        self.start = HEADER_OCTETS_OUT_MAX;
    }

    fn head(&mut self, opcode: Opcode) {
        let length = self.octets.len() - HEADER_OCTETS_OUT_MAX;
        let room = self.octets.first_chunk_mut().expect("room for a header stands first");
        self.start = head(room, opcode, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(outlet: &mut Outlet) -> Vec<u8> {
        let said = outlet.unsent().to_vec();
        outlet.sent(said.len());
        said
    }

    #[test]
    fn what_is_read_stands_behind_its_header() {
        let mut outlet = Outlet::default();
        for (length, head) in [
            (5, &[0x82, 5][..]),
            (300, &[0x82, 126, 1, 44]),
            (70_000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]),
        ] {
            outlet.room(length).put_bytes(b'x', length);
            outlet.frame();
            assert_eq!(outlet.unsent(), [head, &vec![b'x'; length]].concat());
            assert!(outlet.sent(1));
            assert_eq!(outlet.unsent().len(), head.len() + length - 1);
            assert!(say(&mut outlet).ends_with(b"x") && outlet.unsent().is_empty());
        }
        assert!(outlet.is_large());
        outlet.rest();
        assert!(!outlet.is_large() && outlet.unsent().is_empty());
    }

    #[test]
    fn control_frames_go_between_others_and_nothing_behind_a_close() {
        let mut outlet = Outlet::default();
        outlet.room(2).put_slice(b"ok");
        outlet.frame();
        assert!(outlet.sent(1), "a part of it has gone");
        outlet.pong(b"first");
        outlet.pong(b"second");
        outlet.ping();
        outlet.close(b"\x03\xe8why".to_vec());
        outlet.close(b"\x03\xe9not".to_vec());
        assert_eq!(say(&mut outlet), b"\x02ok");
        assert_eq!(outlet.unsent(), b"\x8a\x06second");
        assert!(!outlet.sent(8), "it carries nothing of the stream");
        assert_eq!(say(&mut outlet), b"\x89\x00");
        assert!(outlet.is_closing());
        assert_eq!(say(&mut outlet), b"\x88\x05\x03\xe8why");
        outlet.pong(b"late");
        outlet.ping();
        assert!(outlet.is_closing() && outlet.unsent().is_empty());
    }
}
