//! Received fields (RFC 5321 section 4.4).

use std::net::IpAddr;

use chrono::{DateTime, FixedOffset};

use super::date::date;
use super::field::unfold_text;
use crate::message::address::Host;

/// The contents of a Received field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// The name after `by`, if it is a host name and not an IP address.
    pub by: Option<Host>,
    /// The date after the last semicolon.
    pub date: Option<DateTime<FixedOffset>>,
}

impl Received {
    /// Reads a value.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let value = String::from_utf8_lossy(&unfold_text(value)).into_owned();
        let (trace, stamp) = value.rsplit_once(';').unwrap_or((&value, ""));
        Self { by: by(trace), date: date(stamp) }
    }
}

/// Finds the word after `by` outside comments.
fn by(trace: &str) -> Option<Host> {
    let mut depth = 0_usize;
    let mut words = trace.split([' ', '\t']).filter(|word| {
        let is_outside = depth == 0 && !word.starts_with('(');
        depth = (depth + word.matches('(').count()).saturating_sub(word.matches(')').count());
        is_outside && !word.is_empty()
    });
    words.find(|word| word.eq_ignore_ascii_case("by"))?;
    let name = words.next()?;
    let name = name.split('(').next().unwrap_or(name);
    if name.parse::<IpAddr>().is_ok() || name.starts_with('[') {
        return None;
    }
    Host::parse(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn host_and_date_are_found() {
        for (value, by, date) in [
            (
                "from a by b.c; Sun, 22 Nov 2026 19:15:07 +0000",
                Some("b.c"),
                Some("2026-11-22T19:15:07+00:00"),
            ),
            (
                "from a (by x [1.2.3.4])\r\n\tBY b.c (X; y) with SMTP; 22 Nov 2026 19:15:07 GMT",
                Some("b.c"),
                Some("2026-11-22T19:15:07+00:00"),
            ),
            ("by 192.0.2.1; x", None, None),
            ("from by", None, None),
            ("", None, None),
        ] {
            let received = Received::parse(value.as_bytes());
            assert_eq!(received.by, by.map(|name| Host::parse(name).unwrap()), "{value}");
            assert_eq!(received.date.map(|date| date.to_rfc3339()).as_deref(), date, "{value}");
        }
    }
}
