//! Replies: a status, an optional response code and a text.
//!
//! RFC 1939 section 3, RFC 2449 section 8 (response codes), RFC 3206 (`SYS/TEMP`, `SYS/PERM`, `AUTH`), RFC 6856
//! section 5 (`UTF8`), RFC 5034 section 4 (challenges). For the lines of a multi-line reply, see
//! [`listing`](super::listing) and [`dot`](crate::dot).

use std::borrow::Cow;
use std::fmt;

use bytes::BytesMut;

use super::limits::REPLY_TEXT_OCTETS_MAX;

/// A reply, or the first line of a multi-line reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    ok: bool,
    code: Option<ResponseCode>,
    text: Cow<'static, str>,
}

/// A response code (RFC 2449 section 8.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseCode {
    /// `IN-USE`: another session has locked the maildrop (RFC 2449 section 8.1.2).
    InUse,
    /// `LOGIN-DELAY`: too soon after the last login (RFC 2449 section 8.1.1).
    LoginDelay,
    /// `AUTH`: the credentials are wrong (RFC 3206 section 4).
    Auth,
    /// `SYS/TEMP`: a temporary failure of the server (RFC 3206 section 4).
    SysTemp,
    /// `SYS/PERM`: a failure that needs manual intervention (RFC 3206 section 4).
    SysPerm,
    /// `UTF8`: the UTF8 command is required (RFC 6856 section 5).
    Utf8,
    /// Any other code.
    Other(String),
}

impl Reply {
    /// A `+OK`. Control characters become spaces, and the text is truncated to fit a line.
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self { ok: true, code: None, text: printable(text.into()) }
    }

    /// An `-ERR`, with the text as for [`ok`](Self::ok).
    pub fn err(text: impl Into<Cow<'static, str>>) -> Self {
        Self { ok: false, code: None, text: printable(text.into()) }
    }

    /// An `-ERR` with a response code, with the text as for [`ok`](Self::ok).
    pub fn refusal(code: ResponseCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { ok: false, code: Some(code), text: printable(text.into()) }
    }

    /// A constant reply. The text must fit a line.
    pub(crate) const fn fixed(ok: bool, code: Option<ResponseCode>, text: &'static str) -> Self {
        Self { ok, code, text: Cow::Borrowed(text) }
    }

    /// Whether the status is `+OK`.
    pub const fn is_ok(&self) -> bool {
        self.ok
    }

    /// The response code.
    pub const fn code(&self) -> Option<&ResponseCode> {
        self.code.as_ref()
    }

    /// The text after the status and the code.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Appends the reply as a line including CRLF.
    pub fn encode(&self, out: &mut BytesMut) {
        out.extend_from_slice(if self.ok { b"+OK" } else { b"-ERR" });
        if let Some(code) = &self.code {
            out.extend_from_slice(b" [");
            out.extend_from_slice(code.as_str().as_bytes());
            out.extend_from_slice(b"]");
        }
        if !self.text.is_empty() {
            out.extend_from_slice(b" ");
            out.extend_from_slice(self.text.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Parses a line without its line ending. `None` if it is not a reply. The case of the status is ignored, and
    /// invalid UTF-8 in the text is replaced.
    ///
    /// ```abnf
    /// response    = single-line / capa-resp                    (RFC 2449 section 8, in short)
    /// single-line = status [SP text] CRLF
    /// status      = "+OK" / "-ERR"
    /// resp-code   = "[" resp-level *("/" resp-level) "]"
    /// ```
    pub fn parse(line: &[u8]) -> Option<Self> {
        let status = line.split(|&byte| byte == b' ').next()?;
        let ok = status.eq_ignore_ascii_case(b"+OK");
        if !ok && !status.eq_ignore_ascii_case(b"-ERR") {
            return None;
        }
        let rest = String::from_utf8_lossy(line.get(status.len() + 1..).unwrap_or_default());
        let (code, text) = split_code(&rest);
        Some(Self { ok, code, text: printable(Cow::Owned(text.to_owned())) })
    }
}

/// Formats the line without CRLF.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = BytesMut::new();
        self.encode(&mut line);
        f.write_str(String::from_utf8_lossy(&line).trim_end())
    }
}

impl ResponseCode {
    /// The code without brackets.
    pub fn as_str(&self) -> &str {
        match self {
            Self::InUse => "IN-USE",
            Self::LoginDelay => "LOGIN-DELAY",
            Self::Auth => "AUTH",
            Self::SysTemp => "SYS/TEMP",
            Self::SysPerm => "SYS/PERM",
            Self::Utf8 => "UTF8",
            Self::Other(code) => code,
        }
    }

    fn parse(code: &str) -> Self {
        let known = [Self::InUse, Self::LoginDelay, Self::Auth, Self::SysTemp, Self::SysPerm, Self::Utf8];
        known
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(code))
            .unwrap_or_else(|| Self::Other(code.to_owned()))
    }
}

/// Appends a SASL challenge, which is in base64, as a line (RFC 5034 section 4).
///
/// ```abnf
/// continue-req = "+" SP [base64] CRLF
/// ```
pub fn encode_challenge(base64: &str, out: &mut BytesMut) {
    out.extend_from_slice(b"+ ");
    out.extend_from_slice(base64.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The base64 text of a challenge, if the line is one. Accepts `+` without a space, which some servers send.
pub fn parse_challenge(line: &[u8]) -> Option<&[u8]> {
    match line {
        b"+" => Some(b""),
        [b'+', b' ', base64 @ ..] => Some(base64),
        _ => None,
    }
}

fn split_code(text: &str) -> (Option<ResponseCode>, &str) {
    let code = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match code {
        Some((code, rest)) if is_code(code) => {
            (Some(ResponseCode::parse(code)), rest.strip_prefix(' ').unwrap_or(rest))
        }
        _ => (None, text),
    }
}

fn is_code(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'[')
}

fn printable(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.len() <= REPLY_TEXT_OCTETS_MAX && !text.contains(char::is_control) {
        return text;
    }
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Cow::Owned(text[..text.floor_char_boundary(REPLY_TEXT_OCTETS_MAX)].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn parse_is_the_inverse_of_display() {
        for (reply, line) in [
            (Reply::ok("POP3 server ready"), "+OK POP3 server ready"),
            (Reply::ok(""), "+OK"),
            (Reply::err("no such message"), "-ERR no such message"),
            (Reply::refusal(ResponseCode::InUse, "maildrop locked"), "-ERR [IN-USE] maildrop locked"),
            (Reply::refusal(ResponseCode::SysTemp, ""), "-ERR [SYS/TEMP]"),
            (Reply::refusal(ResponseCode::Other("X/Y".to_owned()), "z"), "-ERR [X/Y] z"),
        ] {
            assert_eq!(reply.to_string(), line);
            assert_eq!(Reply::parse(line.as_bytes()), Some(reply));
        }
    }

    #[test]
    fn parse_is_lenient_and_rejects_other_lines() {
        assert_eq!(Reply::parse(b"+ok  hi"), Some(Reply::ok(" hi")));
        assert_eq!(Reply::parse(b"-Err [in-use]"), Some(Reply::refusal(ResponseCode::InUse, "")));
        assert_eq!(Reply::parse(b"+OK [] x"), Some(Reply::ok("[] x")));
        assert_eq!(Reply::parse(b"+OK [a b] x"), Some(Reply::ok("[a b] x")));
        assert_eq!(Reply::parse(b"+OK \xff\0"), Some(Reply::ok("\u{fffd} ")));
        for line in [&b""[..], b"+", b"+ ", b"+OKAY", b" +OK", b"220 ready", b"-ER R"] {
            assert_eq!(Reply::parse(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn encode_prevents_line_injection_and_truncates() {
        let reply = Reply::err(format!("a\r\n+OK b{}", "é".repeat(400)));
        let mut line = BytesMut::new();
        reply.encode(&mut line);
        assert!(line.starts_with(b"-ERR a  +OK b"));
        assert!(line.len() <= crate::pop3::limits::REPLY_LINE_OCTETS_MAX);
    }

    #[test]
    fn parse_challenge_is_the_inverse_of_encode_challenge() {
        let mut line = BytesMut::new();
        encode_challenge("VXNlcm5hbWU6", &mut line);
        assert_eq!(line, &b"+ VXNlcm5hbWU6\r\n"[..]);
        assert_eq!(parse_challenge(b"+ VXNlcm5hbWU6"), Some(&b"VXNlcm5hbWU6"[..]));
        assert_eq!(parse_challenge(b"+"), Some(&b""[..]));
        assert_eq!(parse_challenge(b"+OK"), None);
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_encode(ok: bool, code in "[A-Z/-]{0,10}", text in "([^\\[\\p{Cc}][^\\p{Cc}]{0,200})?") {
            let code = (!code.is_empty()).then(|| ResponseCode::parse(&code));
            let reply = Reply { ok, code, text: printable(Cow::Owned(text)) };
            prop_assert_eq!(Reply::parse(reply.to_string_untrimmed().as_bytes()), Some(reply));
        }

        #[test]
        fn parse_never_panics(line in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Reply::parse(&line);
            let _ = Reply::parse(&[b"-ERR [", &line[..]].concat());
        }
    }

    impl Reply {
        fn to_string_untrimmed(&self) -> String {
            let mut line = BytesMut::new();
            self.encode(&mut line);
            String::from_utf8(line.strip_suffix(b"\r\n").unwrap().to_vec()).unwrap()
        }
    }
}
