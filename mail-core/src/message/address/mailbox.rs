//! An address: a local part and a host (RFC 5321 section 4.1.2, Mailbox).

use std::fmt::{self, Display};
use std::str::FromStr;

use super::error::{ADDRESS_OCTETS_MAX, AddressError};
use super::host::Host;
use super::local::LocalPart;

/// A mailbox: `ag@iit.edu`.
///
/// ```abnf
/// Mailbox  = Local-part "@" ( Domain / address-literal )
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// The local part.
    pub local: LocalPart,
    /// The domain or address literal.
    pub host: Host,
}

impl Address {
    /// Parses a bare address, without surrounding white space.
    ///
    /// # Errors
    /// The reason as an [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, host) = split_at_sign(text)?;
        Self::from_parts(local, host)
    }

    /// Whether the address is ASCII, so that servers without SMTPUTF8 (RFC 6531) accept it.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.local.as_str().is_ascii() && self.host.is_ascii()
    }

    pub(super) fn from_parts(local: &str, host: &str) -> Result<Self, AddressError> {
        let address = Self { local: LocalPart::parse(local)?, host: Host::parse(host)? };
        if local.len() + 1 + host.len() > ADDRESS_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(address)
    }

    /// As [`parse`](Self::parse), with the obsolete forms of local parts that occur in paths.
    pub(super) fn from_path(local: &str, host: &str) -> Result<Self, AddressError> {
        let address = Self { local: LocalPart::parse_in_path(local)?, host: Host::parse(host)? };
        // `Display` adds quotes to obsolete forms.
        if address.to_string().len() > ADDRESS_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(address)
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.host)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// Splits an address at the `@` after the local part.
pub(super) fn split_at_sign(text: &str) -> Result<(&str, &str), AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    let at = local_part_end(text)?;
    Ok((&text[..at], &text[at + 1..]))
}

fn local_part_end(text: &str) -> Result<usize, AddressError> {
    let bytes = text.as_bytes();
    if bytes[0] != b'"' {
        return bytes.iter().position(|b| *b == b'@').ok_or(AddressError::NoAt);
    }
    let mut i = 1;
    loop {
        match bytes.get(i) {
            None => return Err(AddressError::UnclosedQuote),
            Some(b'"') => break,
            Some(b'\\') => i += 2,
            Some(_) => i += 1,
        }
    }
    match bytes.get(i + 1) {
        Some(b'@') => Ok(i + 1),
        Some(_) => Err(AddressError::AfterQuote),
        None => Err(AddressError::NoAt),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::{Domain, ForwardPath, ReversePath};
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn display_preserves_the_spelling() {
        for text in [
            "ag@iit.edu",
            "ag@localhost",
            "a.b+c=d/e@x-y.example",
            "ag@123.45",
            "\"a b\"@iit.edu",
            "\"a..b\"@iit.edu",
            "\"a@b\"@iit.edu",
            "\"\"@iit.edu",
            "\"\\\"\\\\\"@iit.edu",
            "ag@[192.0.2.1]",
            "ag@[IPv6:2001:db8::1]",
            "ag@[IPv6:::]",
            "ag@[x400:/C=in/O=iit]",
            "जॉन@iit.edu",
            "ag@bücher.example",
        ] {
            assert_eq!(address(text).to_string(), text);
        }
        assert_eq!(address("\"ag\"@iit.edu").to_string(), "ag@iit.edu");
        assert_eq!(address("\"a\\g\"@iit.edu").local.as_str(), "ag");
    }

    #[test]
    fn parse_reports_why_an_address_is_invalid() {
        use AddressError as E;
        let long = "a".repeat(65);
        let cases = [
            ("", E::Empty),
            ("ag", E::NoAt),
            ("@iit.edu", E::NoLocalPart),
            ("ag@", E::NoDomain),
            ("ag gb@iit.edu", E::LocalPartChar(' ')),
            (" ag@iit.edu", E::LocalPartChar(' ')),
            ("<ag@iit.edu>", E::LocalPartChar('<')),
            ("ag@iit.edu ", E::DomainChar(' ')),
            ("ag@gb@iit.edu", E::DomainChar('@')),
            ("ag\r\n@iit.edu", E::LocalPartChar('\r')),
            ("\"ag\r\n\"@iit.edu", E::QuotedChar('\r')),
            ("\"ag\\\n\"@iit.edu", E::QuotedChar('\n')),
            ("\"a\0g\"@iit.edu", E::QuotedChar('\0')),
            ("\"a\u{9b}g\"@iit.edu", E::QuotedChar('\u{9b}')),
            ("a\u{9b}g@iit.edu", E::LocalPartChar('\u{9b}')),
            ("ag@iit.edu\r\n", E::DomainChar('\r')),
            ("ag@b\u{fc}cher\u{85}.example", E::DomainChar('\u{85}')),
            (".ag@iit.edu", E::LocalPartDot),
            ("ag.@iit.edu", E::LocalPartDot),
            ("a..g@iit.edu", E::LocalPartDot),
            ("\"ag@iit.edu", E::UnclosedQuote),
            ("\"ag\"x@iit.edu", E::AfterQuote),
            ("ag@iit_x.edu", E::DomainChar('_')),
            ("ag@iit.edu.", E::EmptyLabel),
            ("ag@-iit.edu", E::LabelHyphen),
            ("ag@xn--\u{fc}.example", E::NotIdna),
            ("ag@[192.0.2.01]", E::Literal),
            ("ag@[192.0.2]", E::Literal),
            ("ag@[IPv6:1:2:3:4:5:6::8]", E::Literal),
            ("ag@[IPv6:fe80::1%eth0]", E::Literal),
            ("ag@[192.0.2.1", E::Literal),
            (&format!("{long}@iit.edu"), E::LocalPartTooLong),
            (&format!("ag@{}.edu", &long[1..]), E::LabelTooLong),
            (&format!("ag@{}", "a.".repeat(128)), E::DomainTooLong),
            (&format!("{}@{}b", &long[1..], "a.".repeat(95)), E::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(Address::parse(text), Err(error), "{text:?}");
        }
        assert!(Address::parse(&format!("{}@{}", &long[1..], "a.".repeat(94) + "b")).is_ok());
    }

    #[test]
    fn domain_comparison_ignores_case_and_encoding() {
        let domain = |text| Domain::parse(text).unwrap();
        assert_eq!(domain("IIT.edu"), domain("iit.EDU"));
        assert_eq!(domain("BÜCHER.example"), domain("xn--bcher-KVA.example"));
        assert_ne!(domain("iit.edu"), domain("iit.education"));
        let set = std::collections::HashSet::from([domain("bücher.example"), domain("iit.edu")]);
        assert!(set.contains(&domain("XN--BCHER-KVA.EXAMPLE")) && set.contains(&domain("IIT.EDU")));
        assert_ne!(address("Ag@iit.edu"), address("ag@iit.edu"));
        assert!(address("ag@iit.edu").is_ascii());
        assert!(!address("ag@bücher.example").is_ascii() && !address("जॉन@iit.edu").is_ascii());
    }

    fn any_address() -> impl Strategy<Value = String> {
        let local =
            "[a-z!#$%&'*+/=?^_`{|}~é-]{1,5}(\\.[A-Z0-9ü]{1,4}){0,2}|\"([ !#-\\[\\]-~é]|\\\\[ -~]){0,12}\"";
        let host = "[A-Za-z0-9]{1,8}(\\.[a-z0-9](-[a-z0-9]){0,3}){0,3}|bücher\\.example";
        let v4 = any::<[u8; 4]>().prop_map(|ip| format!("[{}]", Ipv4Addr::from(ip)));
        let v6 = any::<[u16; 8]>().prop_map(|ip| format!("[IPv6:{}]", Ipv6Addr::from(ip)));
        (local, prop_oneof![3 => host.boxed(), 1 => v4, 1 => v6]).prop_map(|(l, h)| format!("{l}@{h}"))
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_display(text in any_address(), params in "| SIZE=[0-9]{1,4}") {
            let address = address(&text);
            prop_assert_eq!(&Address::parse(&address.to_string()).unwrap(), &address);
            let wire = format!("<{address}>{params}");
            let (path, rest) = ReversePath::parse(wire.as_bytes()).unwrap();
            prop_assert_eq!(path.to_string() + std::str::from_utf8(rest).unwrap(), wire.clone());
            let (path, _) = ForwardPath::parse(wire.as_bytes()).unwrap();
            prop_assert_eq!(path, ForwardPath::Address(address));
        }

        #[test]
        fn parse_never_panics_or_accepts_control_characters(input in "[<>@\"\\\\a.:\\[\\], \r\n\0\u{85}éß-]{0,24}") {
            if let Ok((path, _)) = ReversePath::parse(input.as_bytes()) {
                prop_assert!(!path.to_string().contains(char::is_control));
            }
            let _ = ForwardPath::parse(&input.as_bytes()[input.len() / 2..]);
            if let Ok(address) = Address::parse(&input) {
                prop_assert!(!address.to_string().contains(char::is_control));
            }
        }
    }
}
