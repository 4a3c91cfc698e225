//! What a server offers in its reply to EHLO (RFC 5321 section 4.1.1.1): written by the server, read by the client.

use std::fmt::Write as _;

use super::reply::Reply;
use crate::sasl::Mechanism;

/// The extensions that are known here. Any other keyword is skipped on reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// SIZE (RFC 1870): the most octets that a message may have, 0 for a server that sets no limit.
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
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// AUTH (RFC 4954): the offered mechanisms that are spoken here.
    pub auth: Vec<Mechanism>,
    /// LIMITS (RFC 9422).
    pub limits: Limits,
}

/// What a server says about its limits: RFC 9422 section 4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Mail transactions in a session.
    pub mail_max: Option<u32>,
    /// Recipients in a transaction.
    pub rcpt_max: Option<u32>,
    /// Different domains among those.
    pub rcpt_domain_max: Option<u32>,
}

impl Extensions {
    /// The reply to EHLO: `hello`, then a line for each extension. It has no enhanced code (RFC 2034 section 4).
    #[must_use]
    pub fn reply(&self, hello: &str) -> Reply {
        let mut text = hello.to_owned();
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            write!(text, "\n{arguments}").expect("a String grows as needed");
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

    /// Reads a reply to EHLO; its first line is the server's hello. What cannot be read counts as not offered.
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
                "STARTTLS" => extensions.starttls = true,
                "AUTH" => extensions.offer(words),
                "LIMITS" => words.for_each(|word| extensions.limits.set(word)),
                // The form `AUTH=LOGIN PLAIN`, older than RFC 2554, is still to be met.
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

    /// ABNF: limits-param = limit-name-value; unknown names are skipped (RFC 9422 section 3).
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
    fn a_reply_of_another_server_is_read() {
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
    fn a_hello_that_looks_like_an_extension_is_none() {
        assert_eq!(Extensions::parse(&Reply::fixed(250, None, "STARTTLS")), Extensions::default());
    }

    proptest! {
        #[test]
        fn parse_undoes_reply(
            size in proptest::option::of(any::<u64>()),
            flags in any::<[bool; 7]>(),
            auth in prop_oneof![Just(vec![]), Just(vec![Mechanism::Plain]), Just(vec![Mechanism::Login, Mechanism::Plain])],
            limits in any::<[Option<u32>; 3]>(),
        ) {
            let [eight_bit_mime, pipelining, enhanced_status_codes, utf8, chunking, dsn, starttls] = flags;
            let limits = Limits { mail_max: limits[0], rcpt_max: limits[1], rcpt_domain_max: limits[2] };
            let extensions = Extensions {
                size, eight_bit_mime, pipelining, enhanced_status_codes, utf8, chunking, dsn, starttls, auth, limits,
            };
            prop_assert_eq!(Extensions::parse(&extensions.reply("iit.edu Hello")), extensions);
        }

        #[test]
        fn no_reply_panics(text in "[A-Za-zé= \n0-9]{0,40}") {
            let _ = Extensions::parse(&Reply::new(250, None, text));
        }
    }
}
