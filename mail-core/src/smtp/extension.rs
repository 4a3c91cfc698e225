//! The extensions in the reply to EHLO (RFC 5321 section 4.1.1.1).

use std::fmt::Write as _;

use super::reply::Reply;
use crate::sasl::Mechanism;

/// Supported extensions. Unknown keywords are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// SIZE (RFC 1870): maximum octets of a message, 0 for no limit.
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// REQUIRETLS (RFC 8689), valid over TLS only.
    pub require_tls: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// AUTH (RFC 4954): the offered mechanisms that this crate supports.
    pub auth: Vec<Mechanism>,
    /// LIMITS (RFC 9422).
    pub limits: Limits,
}

/// The limits of a server: RFC 9422 section 4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Mail transactions per session.
    pub mail_max: Option<u32>,
    /// Recipients per transaction.
    pub rcpt_max: Option<u32>,
    /// Recipient domains per transaction.
    pub rcpt_domain_max: Option<u32>,
}

impl Extensions {
    /// Formats the reply to EHLO: `hello`, then a line for each extension, without an enhanced code (RFC 2034 section
    /// 4).
    #[must_use]
    pub fn reply(&self, hello: &str) -> Reply {
        let mut text = hello.to_owned();
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            write!(text, "\n{arguments}").expect("writing to a String cannot fail");
        };
        if let Some(size) = self.size {
            line(format_args!("SIZE {size}"));
        }
        for (offered, keyword) in [
            (self.eight_bit_mime, "8BITMIME"),
            (self.pipelining, "PIPELINING"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.utf8, "SMTPUTF8"),
            (self.chunking, "CHUNKING"),
            (self.dsn, "DSN"),
            (self.require_tls, "REQUIRETLS"),
            (self.starttls, "STARTTLS"),
        ] {
            if offered {
                line(format_args!("{keyword}"));
            }
        }
        if !self.auth.is_empty() {
            let names: Vec<_> = self.auth.iter().map(|mechanism| mechanism.name()).collect();
            line(format_args!("AUTH {}", names.join(" ")));
        }
        let limits: Vec<_> =
            self.limits.named().into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        if !limits.is_empty() {
            let words: Vec<_> = limits.iter().map(|(name, value)| format!("{name}={value}")).collect();
            line(format_args!("LIMITS {}", words.join(" ")));
        }
        Reply::new(250, None, text)
    }

    /// Parses a reply to EHLO. The first line is not an extension. Invalid lines are ignored.
    #[must_use]
    pub fn parse(reply: &Reply) -> Self {
        let mut extensions = Self::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_str() {
                // ABNF: SIZE [ SP size-value ]
                "SIZE" => {
                    extensions.size = Some(words.next().and_then(|size| size.parse().ok()).unwrap_or(0))
                }
                "8BITMIME" => extensions.eight_bit_mime = true,
                "PIPELINING" => extensions.pipelining = true,
                "ENHANCEDSTATUSCODES" => extensions.enhanced_status_codes = true,
                "SMTPUTF8" => extensions.utf8 = true,
                "CHUNKING" => extensions.chunking = true,
                "DSN" => extensions.dsn = true,
                "REQUIRETLS" => extensions.require_tls = true,
                "STARTTLS" => extensions.starttls = true,
                "AUTH" => extensions.offer(words),
                "LIMITS" => words.for_each(|word| extensions.limits.set(word)),
                // Some servers still send `AUTH=LOGIN PLAIN`, which predates RFC 2554.
                older => {
                    if let Some(first) = older.strip_prefix("AUTH=") {
                        extensions.offer(std::iter::once(first).chain(words));
                    }
                }
            }
        }
        extensions
    }

    fn offer<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for mechanism in names.filter_map(|name| Mechanism::parse(name.as_bytes())) {
            if !self.auth.contains(&mechanism) {
                self.auth.push(mechanism);
            }
        }
    }
}

impl Limits {
    const fn named(self) -> [(&'static str, Option<u32>); 3] {
        [("MAILMAX", self.mail_max), ("RCPTMAX", self.rcpt_max), ("RCPTDOMAINMAX", self.rcpt_domain_max)]
    }

    /// Sets a limit. Unknown names are ignored (RFC 9422 section 3).
    fn set(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let Ok(value) = value.parse() else { return };
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.mail_max = Some(value),
            "RCPTMAX" => self.rcpt_max = Some(value),
            "RCPTDOMAINMAX" => self.rcpt_domain_max = Some(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn parse_accepts_replies_of_other_servers() {
        let reply = Reply::new(
            250,
            None,
            "mx.example at your service\nSIZE\n8bitmime\nXCLIENT NAME\n\nAUTH GSSAPI PLAIN\nAUTH=LOGIN PLAIN\n\
             LIMITS RCPTMAX=20 FOO=1 MAILMAX=x\nSTARTTLS\nAUTHé=",
        );
        let expected = Extensions {
            size: Some(0),
            eight_bit_mime: true,
            starttls: true,
            auth: vec![Mechanism::Plain, Mechanism::Login],
            limits: Limits { rcpt_max: Some(20), ..Limits::default() },
            ..Extensions::default()
        };
        assert_eq!(Extensions::parse(&reply), expected);
    }

    #[test]
    fn parse_ignores_the_first_line() {
        assert_eq!(Extensions::parse(&Reply::fixed(250, None, "STARTTLS")), Extensions::default());
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_reply(
            size in proptest::option::of(any::<u64>()),
            flags in any::<[bool; 8]>(),
            auth in prop_oneof![Just(vec![]), Just(vec![Mechanism::Plain]), Just(vec![Mechanism::Login, Mechanism::Plain])],
            limits in any::<[Option<u32>; 3]>(),
        ) {
            let [eight_bit_mime, pipelining, enhanced_status_codes, utf8, chunking, dsn, require_tls, starttls] = flags;
            let limits = Limits { mail_max: limits[0], rcpt_max: limits[1], rcpt_domain_max: limits[2] };
            let extensions = Extensions {
                size, eight_bit_mime, pipelining, enhanced_status_codes, utf8, chunking, dsn, require_tls, starttls,
                auth, limits,
            };
            prop_assert_eq!(Extensions::parse(&extensions.reply("iit.edu Hello")), extensions);
        }

        #[test]
        fn parse_never_panics(text in "[A-Za-zé= \n0-9]{0,40}") {
            let _ = Extensions::parse(&Reply::new(250, None, text));
        }
    }
}
