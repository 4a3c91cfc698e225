//! Sizes as people write them: `"25 MiB"`, `"10 kB"`, or a plain number of octets.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A number of octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Octets(u64);

const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl Octets {
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Octets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let unit = text[digits..].trim();
        UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .and_then(|(_, factor)| text[..digits].parse::<u64>().ok()?.checked_mul(*factor))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no size; write a number and a unit, as in \"25 MiB\""))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = Octets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size, as in \"25 MiB\"")
            }

            fn visit_i64<E: Error>(self, octets: i64) -> Result<Octets, E> {
                u64::try_from(octets).map(Octets).map_err(|_| E::custom("a size cannot be negative"))
            }

            fn visit_u64<E: Error>(self, octets: u64) -> Result<Octets, E> {
                Ok(Octets(octets))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Octets, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(SizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, octets) in
            [("7", 7), ("1 KiB", 1_024), ("2mib", 2 << 20), ("3 GB", 3_000_000_000), ("4 B", 4)]
        {
            assert_eq!(text.parse::<Octets>().map(Octets::get), Ok(octets), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5 MiB", "9 parsecs", "99999999999 GiB"] {
            assert!(text.parse::<Octets>().is_err(), "{text}");
        }
    }
}
