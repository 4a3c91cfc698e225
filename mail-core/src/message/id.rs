//! Message identifiers: `Message-ID`, `In-Reply-To` and `References` (RFC 5322 section 3.6.4).

use std::fmt::{self, Display};

use super::address::{Domain, Host};

/// A message identifier, without its angle brackets.
///
/// Accepts printable ASCII without spaces and angle brackets, because real mail has identifiers of every shape. It
/// cannot break a header line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(Box<str>);

/// Bounds the line length of a References field.
const OCTETS_MAX: usize = 250;

impl MessageId {
    /// Parses an identifier, with or without angle brackets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let id = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
        let printable = id.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'));
        (printable && !id.is_empty() && id.len() <= OCTETS_MAX).then(|| Self(id.into()))
    }

    /// A new identifier from a unique number and the sender's host.
    #[must_use]
    pub fn unique(number: u128, host: &Host) -> Self {
        let right = match host {
            Host::Domain(domain) if domain.as_str().len() <= 200 => domain.ascii().into_owned(),
            // The right side need not be the actual host (RFC 5322 section 3.6.4).
            _ => "localhost".to_owned(),
        };
        Self(format!("{number:032x}@{right}").into())
    }

    /// `left@host`, or `left@localhost` if the host name is too long; `None` if `left` has invalid characters.
    #[must_use]
    pub fn for_host(left: &str, host: &Domain) -> Option<Self> {
        let at = |right: &str| Self::parse(&format!("{left}@{right}"));
        // The right side need not be the actual host (RFC 5322 section 3.6.4).
        at(&host.ascii()).or_else(|| at("localhost"))
    }

    /// The identifier without angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn parse_accepts_printable_identifiers_only() {
        for text in ["<a@b>", " a@b ", "<no.at.sign>", "<a@[192.0.2.1]>"] {
            assert!(MessageId::parse(text).is_some(), "{text}");
        }
        for text in ["", "<>", "<a b>", "<a\r\nX: y>", "<<a>>", "<a", "<é@b>", &"a".repeat(251)] {
            assert_eq!(MessageId::parse(text), None, "{text}");
        }
        let unique = MessageId::unique(0xab, &Host::parse("bücher.example").unwrap());
        assert_eq!(unique.to_string(), "<000000000000000000000000000000ab@xn--bcher-kva.example>");
        assert_eq!(MessageId::parse(&unique.to_string()), Some(unique));
    }

    #[test]
    fn identifier_for_a_long_host_name_has_localhost() {
        let id = |host: &str| MessageId::for_host("01.final", &Domain::parse(host).unwrap());
        assert_eq!(id("bücher.example").unwrap().as_str(), "01.final@xn--bcher-kva.example");
        let long = ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(60)].join(".");
        assert_eq!(id(&long).unwrap().as_str(), "01.final@localhost");
        assert_eq!(MessageId::for_host("a b", &Domain::parse("x.example").unwrap()), None);
    }
}
