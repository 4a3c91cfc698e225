//! Drop listings, scan listings and unique-id listings.
//!
//! RFC 1939 section 5 (STAT, LIST) and section 7 (UIDL). Parsers ignore additional text, which the RFC allows.

use bytes::BytesMut;

use super::decimal::put_number;
use super::limits::UNIQUE_ID_OCTETS_MAX;

/// The reply to STAT: `nn mm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropListing {
    /// Number of messages.
    pub count: u64,
    /// Total octets.
    pub octets: u64,
}

/// A line of LIST: `msg octets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanListing {
    /// The message-number.
    pub number: u64,
    /// Octets of the message.
    pub octets: u64,
}

/// A line of UIDL: `msg unique-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UniqueIdListing<'a> {
    /// The message-number.
    pub number: u64,
    /// 1 to 70 of `!` to `~`.
    pub unique_id: &'a str,
}

impl DropListing {
    /// Parses the text after `+OK`.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, octets) = two_numbers(text)?;
        Some(Self { count, octets })
    }

    /// Appends the listing without a line ending.
    pub fn encode(&self, out: &mut BytesMut) {
        put_two_numbers(self.count, self.octets, out);
    }
}

impl ScanListing {
    /// Parses a line without its line ending, or the text after `+OK`.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, octets) = two_numbers(text)?;
        Some(Self { number, octets })
    }

    /// Appends the listing without a line ending.
    pub fn encode(&self, out: &mut BytesMut) {
        put_two_numbers(self.number, self.octets, out);
    }
}

impl<'a> UniqueIdListing<'a> {
    /// Parses a line without its line ending, or the text after `+OK`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut words = words(text);
        let (number, unique_id) = (number(words.next()?)?, words.next()?);
        is_unique_id(unique_id).then_some(Self { number, unique_id })
    }

    /// Appends the listing without a line ending.
    pub fn encode(&self, out: &mut BytesMut) {
        put_number(self.number, out);
        out.extend_from_slice(b" ");
        out.extend_from_slice(self.unique_id.as_bytes());
    }
}

/// Whether a text may be a unique-id.
pub fn is_unique_id(text: &str) -> bool {
    (1..=UNIQUE_ID_OCTETS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// Digits alone: `str::parse` would let a sign pass.
fn number(word: &str) -> Option<u64> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) { word.parse().ok() } else { None }
}

fn two_numbers(text: &str) -> Option<(u64, u64)> {
    let mut words = words(text);
    Some((number(words.next()?)?, number(words.next()?)?))
}

fn put_two_numbers(first: u64, second: u64, out: &mut BytesMut) {
    put_number(first, out);
    out.extend_from_slice(b" ");
    put_number(second, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn parse_ignores_additional_text() {
        assert_eq!(DropListing::parse("2 320"), Some(DropListing { count: 2, octets: 320 }));
        assert_eq!(ScanListing::parse(" 1  120 octets"), Some(ScanListing { number: 1, octets: 120 }));
        let entry = UniqueIdListing { number: 1, unique_id: "whqtswO00WBw418f9t5JxYwZ" };
        assert_eq!(UniqueIdListing::parse("1 whqtswO00WBw418f9t5JxYwZ"), Some(entry));
    }

    #[test]
    fn parse_rejects_invalid_listings() {
        for text in ["", "1", "1 x", "+1 2", "1 -2", "99999999999999999999 1", "a b"] {
            assert_eq!(ScanListing::parse(text), None, "{text}");
        }
        for text in ["1", "x y", "1 é", &format!("1 {}", "x".repeat(71))] {
            assert_eq!(UniqueIdListing::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_encode(number: u64, octets: u64, unique_id in "[!-~]{1,70}") {
            let mut out = BytesMut::new();
            ScanListing { number, octets }.encode(&mut out);
            let text = String::from_utf8(out.to_vec()).unwrap();
            prop_assert_eq!(ScanListing::parse(&text), Some(ScanListing { number, octets }));
            prop_assert_eq!(DropListing::parse(&text), Some(DropListing { count: number, octets }));
            out.clear();
            let entry = UniqueIdListing { number, unique_id: &unique_id };
            entry.encode(&mut out);
            prop_assert_eq!(UniqueIdListing::parse(str::from_utf8(&out).unwrap()), Some(entry));
        }
    }
}
