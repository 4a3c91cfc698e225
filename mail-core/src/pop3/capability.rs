//! The capabilities in the reply to CAPA, one per line.
//!
//! RFC 2449 sections 5 and 6, RFC 2595 section 4, RFC 3206 section 6, RFC 5034 section 6, RFC 6856
//! section 2.

use bytes::BytesMut;

/// One capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// `TOP`
    Top,
    /// `UIDL`
    Uidl,
    /// `USER`: USER and PASS may be used.
    User,
    /// `RESP-CODES`: text in brackets after `-ERR` is a response code.
    RespCodes,
    /// `AUTH-RESP-CODE`: the response code of a failed login shows whether the credentials are wrong.
    AuthRespCode,
    /// `PIPELINING`: commands may be sent without waiting for replies.
    Pipelining,
    /// `SASL` and the mechanisms.
    Sasl(Vec<String>),
    /// `STLS`
    Stls,
    /// `UTF8`
    Utf8,
    /// `EXPIRE NEVER`: the server does not expire mail.
    ExpireNever,
    /// `LOGIN-DELAY`: minimum seconds between two logins.
    LoginDelay(u32),
    /// `IMPLEMENTATION`: the server software.
    Implementation(String),
    /// Any other line.
    Other(String),
}

impl Capability {
    /// Appends the capability as a line including CRLF.
    pub fn encode(&self, out: &mut BytesMut) {
        let line = match self {
            Self::Top => "TOP",
            Self::Uidl => "UIDL",
            Self::User => "USER",
            Self::RespCodes => "RESP-CODES",
            Self::AuthRespCode => "AUTH-RESP-CODE",
            Self::Pipelining => "PIPELINING",
            Self::Sasl(mechanisms) => &format!("SASL {}", mechanisms.join(" ")),
            Self::Stls => "STLS",
            Self::Utf8 => "UTF8",
            Self::ExpireNever => "EXPIRE NEVER",
            Self::LoginDelay(seconds) => &format!("LOGIN-DELAY {seconds}"),
            Self::Implementation(name) => &format!("IMPLEMENTATION {name}"),
            Self::Other(line) => line,
        };
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Parses a line without its line ending. Case is ignored, as are extra arguments.
    pub fn parse(line: &[u8]) -> Self {
        let line = String::from_utf8_lossy(line);
        let (tag, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let mut words = rest.split(' ').filter(|word| !word.is_empty());
        let other = || Self::Other(line.clone().into_owned());
        match tag.to_ascii_uppercase().as_str() {
            "TOP" => Self::Top,
            "UIDL" => Self::Uidl,
            "USER" => Self::User,
            "RESP-CODES" => Self::RespCodes,
            "AUTH-RESP-CODE" => Self::AuthRespCode,
            "PIPELINING" => Self::Pipelining,
            "SASL" => Self::Sasl(words.map(str::to_ascii_uppercase).collect()),
            "STLS" => Self::Stls,
            "UTF8" => Self::Utf8,
            "EXPIRE" if rest.trim().eq_ignore_ascii_case("NEVER") => Self::ExpireNever,
            "LOGIN-DELAY" => {
                words.next().and_then(|word| word.parse().ok()).map_or_else(other, Self::LoginDelay)
            }
            "IMPLEMENTATION" => Self::Implementation(rest.to_owned()),
            _ => other(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn encoded(capability: &Capability) -> String {
        let mut out = BytesMut::new();
        capability.encode(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn parse_is_the_inverse_of_encode_for_every_capability() {
        for (capability, line) in [
            (Capability::Top, "TOP\r\n"),
            (Capability::Uidl, "UIDL\r\n"),
            (Capability::User, "USER\r\n"),
            (Capability::RespCodes, "RESP-CODES\r\n"),
            (Capability::AuthRespCode, "AUTH-RESP-CODE\r\n"),
            (Capability::Pipelining, "PIPELINING\r\n"),
            (Capability::Sasl(vec!["PLAIN".into(), "LOGIN".into()]), "SASL PLAIN LOGIN\r\n"),
            (Capability::Stls, "STLS\r\n"),
            (Capability::Utf8, "UTF8\r\n"),
            (Capability::ExpireNever, "EXPIRE NEVER\r\n"),
            (Capability::LoginDelay(5), "LOGIN-DELAY 5\r\n"),
            (Capability::Implementation("Some POP3 1.0".into()), "IMPLEMENTATION Some POP3 1.0\r\n"),
            (Capability::Other("EXPIRE 30".into()), "EXPIRE 30\r\n"),
        ] {
            assert_eq!(encoded(&capability), line);
            assert_eq!(Capability::parse(line.trim_end().as_bytes()), capability);
        }
    }

    #[test]
    fn parse_ignores_case_and_extra_arguments() {
        assert_eq!(Capability::parse(b"utf8 USER"), Capability::Utf8);
        assert_eq!(
            Capability::parse(b"sasl plain  Login"),
            Capability::Sasl(vec!["PLAIN".into(), "LOGIN".into()])
        );
        assert_eq!(Capability::parse(b"LOGIN-DELAY 900 USER"), Capability::LoginDelay(900));
        assert_eq!(Capability::parse(b"LOGIN-DELAY soon"), Capability::Other("LOGIN-DELAY soon".into()));
    }

    proptest! {
        #[test]
        fn parse_accepts_any_line(line in "[A-Z]{0,3}(EXPIRE|SASL|LOGIN-DELAY|UTF8)?[ -~é]{0,30}") {
            let capability = Capability::parse(line.as_bytes());
            prop_assert_eq!(Capability::parse(encoded(&capability).trim_end_matches("\r\n").as_bytes()), capability);
        }
    }
}
