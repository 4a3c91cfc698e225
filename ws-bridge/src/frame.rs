//! The frames of RFC 6455 section 5.2: a header read and written, and the mask of section 5.3. No I/O, and no rule that
//! needs more than one frame.

/// The longest header of a masked frame.
pub(crate) const HEADER_OCTETS_MAX: usize = 14;
/// The longest of one without a mask, as they go to a browser.
pub(crate) const HEADER_OCTETS_OUT_MAX: usize = 10;
/// What a control frame carries at most (section 5.5).
pub(crate) const CONTROL_OCTETS_MAX: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASK: u8 = 0x80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// A browser's frame, but for what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) is_final: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: [u8; 4],
    /// Of what it carries. The highest bit may be set, against the RFC: such a length is beyond every limit anyway.
    pub(crate) length: u64,
}

/// No frame that a browser may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Opcode {
    const fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }

    const fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

impl Header {
    /// The header at the beginning of some octets, and its own length; `None` if there is more of it to come.
    ///
    /// # Errors
    /// As soon as it can be seen: a reserved bit or opcode, no mask, a length that is written longer than it must be, a
    /// control frame that is long or fragmented.
    pub(crate) fn parse(octets: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some(first) = octets.first() else { return Ok(None) };
        let opcode = Opcode::of(first & 0x0f).ok_or(Malformed)?;
        let is_final = first & FIN != 0;
        if first & RESERVED != 0 || opcode.is_control() && !is_final {
            return Err(Malformed);
        }
        let Some(second) = octets.get(1) else { return Ok(None) };
        let short = second & !MASK;
        if second & MASK == 0 || opcode.is_control() && usize::from(short) > CONTROL_OCTETS_MAX {
            return Err(Malformed);
        }
        let rest = &octets[2..];
        let (length, rest) = match short {
            126 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*length), rest)
            }
            short => (u64::from(short), rest),
        };
        if short == 126 && length < 126 || short == 127 && length <= u64::from(u16::MAX) {
            return Err(Malformed);
        }
        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        Ok(Some((Self { is_final, opcode, mask: *mask, length }, octets.len() - rest.len())))
    }
}

/// Masks octets, or takes their mask off, which is the same. The first of them stands `place` octets behind its frame's
/// header.
pub(crate) fn mask(octets: &mut [u8], mut mask: [u8; 4], place: u64) {
    mask.rotate_left((place % 4) as usize);
    let [first, second, third, fourth] = mask;
    let double = u64::from_ne_bytes([first, second, third, fourth, first, second, third, fourth]);
    let mut words = octets.chunks_exact_mut(8);
    for word in &mut words {
        let number = u64::from_ne_bytes((&*word).try_into().expect("chunks of eight octets")) ^ double;
        word.copy_from_slice(&number.to_ne_bytes());
    }
    for (octet, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *octet ^= mask;
    }
}

/// Writes the header of a final frame without a mask, so that it ends where `room` ends; gives where it begins.
pub(crate) fn head(room: &mut [u8; HEADER_OCTETS_OUT_MAX], opcode: Opcode, length: usize) -> usize {
    room[2..].copy_from_slice(&(length as u64).to_be_bytes());
    let (start, short) = match length {
        0..126 => (8, length as u8),
        126..=0xffff => (6, 126),
        _ => (0, 127),
    };
    room[start] = FIN | opcode as u8;
    room[start + 1] = short;
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn header(first: u8, second: u8, length: &[u8]) -> Vec<u8> {
        [&[first, second][..], length, &KEY].concat()
    }

    #[test]
    fn a_header_is_read_when_its_last_octet_is_there_and_not_before() {
        for (first, second, length, opcode, octets) in [
            (0x82, 0x80, &[][..], Opcode::Binary, 0),
            (0x81, 0x81, &[], Opcode::Text, 1),
            (0x80, 0xfd, &[], Opcode::Continuation, 125),
            (0x02, 0xfe, &[0, 126], Opcode::Binary, 126),
            (0x00, 0xfe, &[0xff, 0xff], Opcode::Continuation, 0xffff),
            (0x82, 0xff, &[0, 0, 0, 0, 0, 1, 0, 0], Opcode::Binary, 0x1_0000),
            (0x82, 0xff, &[0xff; 8], Opcode::Binary, u64::MAX),
            (0x88, 0x82, &[], Opcode::Close, 2),
            (0x89, 0xfd, &[], Opcode::Ping, 125),
            (0x8a, 0x80, &[], Opcode::Pong, 0),
        ] {
            let mut frame = header(first, second, length);
            let expected = Header { is_final: first & FIN != 0, opcode, mask: KEY, length: octets };
            let own = frame.len();
            assert!(own <= HEADER_OCTETS_MAX);
            for end in 0..own {
                assert_eq!(Header::parse(&frame[..end]), Ok(None), "{end} of {frame:02x?}");
            }
            frame.extend(b"and more");
            assert_eq!(Header::parse(&frame), Ok(Some((expected, own))), "{frame:02x?}");
        }
    }

    #[test]
    fn what_is_forbidden_is_refused_at_the_octet_that_says_it() {
        for (octets, wrong) in [
            (header(0xc2, 0x80, &[]), 0),
            (header(0xa2, 0x80, &[]), 0),
            (header(0x92, 0x80, &[]), 0),
            (header(0x83, 0x80, &[]), 0),
            (header(0x8b, 0x80, &[]), 0),
            (header(0x09, 0x80, &[]), 0),
            (header(0x08, 0x80, &[]), 0),
            (header(0x82, 0x01, &[]), 1),
            (header(0x89, 0x00, &[]), 1),
            (header(0x89, 0xfe, &[0, 126]), 1),
            (header(0x88, 0xff, &[0, 0, 0, 0, 0, 1, 0, 0]), 1),
            (header(0x82, 0xfe, &[0, 125]), 3),
            (header(0x82, 0xff, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]), 9),
        ] {
            for end in 0..=octets.len() {
                let outcome = Header::parse(&octets[..end]);
                let expected = if end > wrong { Err(Malformed) } else { Ok(None) };
                assert_eq!(outcome, expected, "{end} of {octets:02x?}");
            }
        }
    }

    #[test]
    fn a_mask_goes_round_wherever_octets_are_cut() {
        let plain: Vec<u8> = (0..=255).collect();
        let expected: Vec<u8> =
            plain.iter().zip(KEY.iter().cycle()).map(|(octet, key)| octet ^ key).collect();
        for cut in 0..=plain.len() {
            let mut octets = plain.clone();
            let (before, behind) = octets.split_at_mut(cut);
            mask(before, KEY, 0);
            mask(behind, KEY, cut as u64);
            assert_eq!(octets, expected, "{cut}");
        }
    }

    #[test]
    fn a_head_is_as_short_as_it_can_be() {
        for (opcode, length, expected) in [
            (Opcode::Binary, 0, &[0x82, 0][..]),
            (Opcode::Pong, 125, &[0x8a, 125]),
            (Opcode::Binary, 126, &[0x82, 126, 0, 126]),
            (Opcode::Binary, 0xffff, &[0x82, 126, 0xff, 0xff]),
            (Opcode::Binary, 0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut room = [0; HEADER_OCTETS_OUT_MAX];
            let start = head(&mut room, opcode, length);
            assert_eq!(&room[start..], expected);
        }
    }
}
