//! The paths in MAIL and RCPT (RFC 5321 section 4.1.2).

use std::fmt::{self, Display};

use super::error::AddressError;
use super::host::Domain;
use super::mailbox::{Address, split_at_sign};

/// The argument of MAIL, which receives delivery failure reports.
///
/// ```abnf
/// Reverse-path  = Path / "<>"
/// Path          = "<" [ A-d-l ":" ] Mailbox ">"
/// A-d-l         = At-domain *( "," At-domain )
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>` (RFC 5321 section 4.5.5).
    Null,
    /// `<ag@iit.edu>`.
    Address(Address),
}

impl ReversePath {
    /// Parses the text after `MAIL FROM:`. Returns the path and the rest, which is empty or starts with a space.
    ///
    /// Accepts spaces before the path and within its angle brackets, a path without angle brackets, and local parts
    /// over 64 octets or with dots in any position. A source route is validated and ignored (RFC 5321 appendix C).
    ///
    /// # Errors
    /// The reason as an [`AddressError`].
    pub fn parse(input: &[u8]) -> Result<(Self, &[u8]), AddressError> {
        let (path, rest) = parse_path(input)?;
        let path = match path {
            Path::Null => Self::Null,
            Path::Mailbox(local, host) => Self::Address(Address::from_path(local, host)?),
            Path::NoAt(_) => return Err(AddressError::NoAt),
        };
        Ok((path, rest.as_bytes()))
    }

    /// The address, unless it is the null path.
    #[must_use]
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }

    /// Whether the path is ASCII, so that servers without SMTPUTF8 accept it.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.address().is_none_or(Address::is_ascii)
    }
}

impl Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

/// The argument of RCPT: one recipient.
///
/// ```abnf
/// Forward-path  = Path / "<Postmaster>"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, in any case (RFC 5321 section 4.5.1).
    Postmaster,
    /// `<gb@iit.edu>`.
    Address(Address),
}

impl ForwardPath {
    /// Parses the text after `RCPT TO:`, like [`ReversePath::parse`].
    ///
    /// # Errors
    /// The reason as an [`AddressError`].
    pub fn parse(input: &[u8]) -> Result<(Self, &[u8]), AddressError> {
        let (path, rest) = parse_path(input)?;
        let path = match path {
            Path::Null => return Err(AddressError::NullRecipient),
            Path::Mailbox(local, host) => Self::Address(Address::from_path(local, host)?),
            Path::NoAt(text) if text.eq_ignore_ascii_case("postmaster") => Self::Postmaster,
            Path::NoAt(_) => return Err(AddressError::NoAt),
        };
        Ok((path, rest.as_bytes()))
    }

    /// The address, unless it is `<Postmaster>` without a domain.
    #[must_use]
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Postmaster => None,
            Self::Address(address) => Some(address),
        }
    }

    /// Whether the path is ASCII, so that servers without SMTPUTF8 accept it.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.address().is_none_or(Address::is_ascii)
    }
}

impl Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<Postmaster>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

enum Path<'a> {
    Null,
    NoAt(&'a str),
    Mailbox(&'a str, &'a str),
}

fn parse_path(input: &[u8]) -> Result<(Path<'_>, &str), AddressError> {
    let text = std::str::from_utf8(input).map_err(|_| AddressError::NotUtf8)?.trim_start_matches(' ');
    let Some(inner) = text.strip_prefix('<') else {
        let end = path_end(text, b" ");
        if end == 0 {
            return Err(AddressError::Empty);
        }
        return Ok((split_mailbox(&text[..end])?, &text[end..]));
    };
    let inner = inner.trim_start_matches(' ');
    let mailbox = skip_source_route(inner)?.trim_start_matches(' ');
    let has_route = mailbox.len() < inner.len();
    let end = path_end(mailbox, b"> ");
    let rest =
        mailbox[end..].trim_start_matches(' ').strip_prefix('>').ok_or(AddressError::UnclosedBracket)?;
    if let Some(c) = rest.chars().next().filter(|c| *c != ' ') {
        return Err(AddressError::Trailing(c));
    }
    let path = match &mailbox[..end] {
        "" if has_route => return Err(AddressError::Empty),
        "" => Path::Null,
        mailbox => split_mailbox(mailbox)?,
    };
    Ok((path, rest))
}

fn split_mailbox(text: &str) -> Result<Path<'_>, AddressError> {
    match split_at_sign(text) {
        Ok((local, host)) => Ok(Path::Mailbox(local, host)),
        Err(AddressError::NoAt) => Ok(Path::NoAt(text)),
        Err(error) => Err(error),
    }
}

/// The position of the first of `delimiters` outside a quoted string, or the end.
fn path_end(text: &str, delimiters: &[u8]) -> usize {
    let bytes = text.as_bytes();
    let mut quoted = false;
    let mut i = 0;
    while let Some(b) = bytes.get(i) {
        match b {
            b'\\' if quoted => i += 1,
            b'"' => quoted = !quoted,
            b if !quoted && delimiters.contains(b) => return i,
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

fn skip_source_route(text: &str) -> Result<&str, AddressError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let (route, mailbox) = text.split_once(':').ok_or(AddressError::SourceRoute)?;
    for hop in route.split(',') {
        Domain::parse(hop.strip_prefix('@').ok_or(AddressError::SourceRoute)?)?;
    }
    Ok(mailbox)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn reverse(input: &str) -> Result<(String, String), AddressError> {
        let (path, rest) = ReversePath::parse(input.as_bytes())?;
        Ok((path.to_string(), String::from_utf8_lossy(rest).into_owned()))
    }

    #[test]
    fn parse_stops_before_the_parameters() {
        let ok = |path: &str, rest: &str| Ok((path.to_owned(), rest.to_owned()));
        assert_eq!(reverse("<ag@iit.edu>"), ok("<ag@iit.edu>", ""));
        assert_eq!(reverse(" <ag@iit.edu> SIZE=1"), ok("<ag@iit.edu>", " SIZE=1"));
        assert_eq!(reverse("ag@iit.edu  BODY=8BITMIME"), ok("<ag@iit.edu>", "  BODY=8BITMIME"));
        assert_eq!(reverse("<> X=<>"), ok("<>", " X=<>"));
        assert_eq!(reverse("<\"a> b\"@iit.edu> X"), ok("<\"a> b\"@iit.edu>", " X"));
        assert_eq!(reverse("\"a\\\" b\"@iit.edu X"), ok("<\"a\\\" b\"@iit.edu>", " X"));
        assert_eq!(reverse("<@a.example,@b.example:ag@iit.edu>"), ok("<ag@iit.edu>", ""));
        assert_eq!(reverse("<ag@[IPv6:::1]> X"), ok("<ag@[IPv6:::1]>", " X"));
    }

    #[test]
    fn parse_accepts_long_and_obsolete_local_parts() {
        for (input, path) in [
            ("<a..b@iit.edu>", "<\"a..b\"@iit.edu>"),
            ("<a.@iit.edu> SIZE=1", "<\"a.\"@iit.edu>"),
            ("<.a@iit.edu>", "<\".a\"@iit.edu>"),
            ("a.@iit.edu", "<\"a.\"@iit.edu>"),
            ("< ag@iit.edu >", "<ag@iit.edu>"),
            ("<  ag@iit.edu> SIZE=1", "<ag@iit.edu>"),
            ("<@a.example: ag@iit.edu >", "<ag@iit.edu>"),
            ("< >", "<>"),
        ] {
            assert_eq!(reverse(input).map(|(path, _)| path), Ok(path.to_owned()), "{input}");
        }
        assert!(Address::parse("a..b@iit.edu").is_err() && Address::parse("a.@iit.edu").is_err());
        // A path of 256 octets: the local part, `@iit.edu` and the angle brackets.
        let longest = format!("<{}@iit.edu>", "a".repeat(246));
        assert_eq!(longest.len(), 256);
        assert_eq!(reverse(&longest), Ok((longest.clone(), String::new())));
        assert!(Address::parse(&longest[1..255]).is_err());
        for too_long in
            [format!("<a{}", &longest[1..]), longest.replacen("aaa", ".", 1).replacen("<.", "<..a", 1)]
        {
            assert_eq!(reverse(&too_long), Err(AddressError::TooLong), "{too_long}");
        }
    }

    #[test]
    fn parse_reports_why_a_path_is_invalid() {
        use AddressError as E;
        for (input, error) in [
            ("", E::Empty),
            ("   ", E::Empty),
            (" SIZE=1", E::NoAt),
            ("<ag>", E::NoAt),
            ("<ag@iit.edu", E::UnclosedBracket),
            ("<ag@iit.edu SIZE=1>", E::UnclosedBracket),
            ("< ag @iit.edu>", E::UnclosedBracket),
            ("<ag..(x)@iit.edu>", E::LocalPartChar('(')),
            ("<ag@iit.edu>SIZE=1", E::Trailing('S')),
            ("<ag@iit.edu>\r", E::Trailing('\r')),
            ("ag@iit.edu>", E::DomainChar('>')),
            ("<@a.example>", E::SourceRoute),
            ("<@a.example,b.example:ag@iit.edu>", E::SourceRoute),
            ("<@a_b:ag@iit.edu>", E::DomainChar('_')),
            ("<@a.example:>", E::Empty),
            ("<@a.example: >", E::Empty),
            ("< @a.example,@b.example:   > SIZE=1", E::Empty),
        ] {
            assert_eq!(reverse(input), Err(error), "{input:?}");
        }
        assert_eq!(ReversePath::parse(b"<a\xff@iit.edu>"), Err(E::NotUtf8));
        assert_eq!(ForwardPath::parse(b"<>"), Err(E::NullRecipient));
    }

    #[test]
    fn forward_path_accepts_postmaster_without_a_domain() {
        for input in [&b"<Postmaster>"[..], b" postMASTER", b"<postmaster> NOTIFY=NEVER"] {
            let (path, _) = ForwardPath::parse(input).unwrap();
            assert_eq!(path, ForwardPath::Postmaster);
            assert_eq!(path.to_string(), "<Postmaster>");
        }
        assert!(matches!(ForwardPath::parse(b"<Postmaster@iit.edu>"), Ok((ForwardPath::Address(_), _))));
        assert_eq!(ReversePath::parse(b"<Postmaster>"), Err(AddressError::NoAt));
    }

    proptest! {
        #[test]
        fn only_empty_angle_brackets_are_the_null_path(
            parts in prop::collection::vec(
                prop::sample::select(vec!["<", ">", " ", "@", ":", ",", "\"", "\\", "a", "a.example", "@a.example:"]),
                0..8,
            ),
        ) {
            let text = parts.concat();
            let is_null = matches!(ReversePath::parse(text.as_bytes()), Ok((ReversePath::Null, _)));
            let inner = text.trim_start_matches(' ').strip_prefix('<').and_then(|text| text.split_once('>'));
            let is_empty = inner.is_some_and(|(inner, rest)| {
                inner.trim_matches(' ').is_empty() && (rest.is_empty() || rest.starts_with(' '))
            });
            prop_assert_eq!(is_null, is_empty, "{:?}", text);
        }
    }
}
