//! Mail addresses and the paths of the envelope.
//!
//! Implements the Mailbox and Path grammar of RFC 5321 section 4.1.2, address literals (section 4.1.3), the size
//! limits of section 4.5.3.1, and RFC 6531 section 3.3 (UTF-8 in local parts, internationalised domains). It knows
//! nothing of the comments, folding and display names that RFC 5322 allows in header fields: what a header holds is
//! read by [`view`](super::view).
//!
//! Every type here exists only as a value that can be written back to the wire: no CR, LF, NUL or other control
//! character gets into any of them.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// RFC 5321 section 4.5.3.1.1, in octets as written, quotes and backslashes included.
pub const LOCAL_PART_OCTETS_MAX: usize = 64;
/// RFC 5321 section 4.5.3.1.2.
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// A path may have 256 octets (RFC 5321 section 4.5.3.1.3), of which its angle brackets take two.
pub const ADDRESS_OCTETS_MAX: usize = 254;
/// RFC 1035 section 2.3.4.
pub const LABEL_OCTETS_MAX: usize = 63;

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing where an address should stand.
    #[error("there is no address")]
    Empty,
    /// Bytes that are not UTF-8.
    #[error("the address is not valid UTF-8")]
    NotUtf8,
    /// No `@`.
    #[error("an address is written X@Y, and this one has no \"@\"")]
    NoAt,
    /// Nothing before the `@`.
    #[error("there is no name before the \"@\"")]
    NoLocalPart,
    /// Over [`LOCAL_PART_OCTETS_MAX`].
    #[error("the part before the \"@\" is longer than 64 octets")]
    LocalPartTooLong,
    /// A character that the local part cannot have where it stands.
    #[error("{0:?} cannot stand in the part before the \"@\" without quotes around it")]
    LocalPartChar(char),
    /// A character that not even a quoted string can hold.
    #[error("{0:?} cannot stand in an address")]
    QuotedChar(char),
    /// A dot at an end of the local part, or two together.
    #[error("the part before the \"@\" begins or ends with a dot, or has two dots together")]
    LocalPartDot,
    /// A quoted string without its end.
    #[error("a quote in the part before the \"@\" is not closed")]
    UnclosedQuote,
    /// A quoted string followed by more than the `@`.
    #[error("a quoted part before the \"@\" must be quoted as a whole")]
    AfterQuote,
    /// Nothing after the `@`.
    #[error("there is no domain after the \"@\"")]
    NoDomain,
    /// Over [`DOMAIN_OCTETS_MAX`].
    #[error("the domain is longer than 255 octets")]
    DomainTooLong,
    /// A label over [`LABEL_OCTETS_MAX`].
    #[error("a part of the domain is longer than 63 octets")]
    LabelTooLong,
    /// A dot at an end of the domain, or two together.
    #[error("the domain begins or ends with a dot, or has two dots together")]
    EmptyLabel,
    /// A label that begins or ends with a hyphen.
    #[error("a part of the domain begins or ends with a hyphen")]
    LabelHyphen,
    /// A character that no domain has.
    #[error("{0:?} cannot stand in a domain")]
    DomainChar(char),
    /// A domain in UTF-8 that IDNA refuses.
    #[error("the domain is not a valid internationalised name")]
    NotIdna,
    /// Square brackets that hold no address literal.
    #[error("what stands in square brackets is no IP address: write [192.0.2.1] or [IPv6:2001:db8::1]")]
    Literal,
    /// Over [`ADDRESS_OCTETS_MAX`].
    #[error("the address is longer than 254 octets")]
    TooLong,
    /// A `<` without its `>`.
    #[error("the \">\" after the address is missing")]
    UnclosedBracket,
    /// A source route that is not `@a,@b:`.
    #[error("the source route before the address is not well formed")]
    SourceRoute,
    /// The null path where a recipient is needed.
    #[error("the null address <> cannot receive mail")]
    NullRecipient,
    /// More text after the path, without a space.
    #[error("{0:?} cannot follow an address")]
    Trailing(char),
}

/// The part before the `@`: a dot-atom or a quoted string, kept as the *unquoted* text.
///
/// ```abnf
/// Local-part     = Dot-string / Quoted-string
/// Dot-string     = Atom *("." Atom)
/// Quoted-string  = DQUOTE *QcontentSMTP DQUOTE
/// QcontentSMTP   = qtextSMTP / quoted-pairSMTP
/// ```
///
/// `"ag"` and `ag` are the same local part (RFC 5321 section 4.1.2), so equality is that of the unquoted text, with
/// regard to case. [`Display`] quotes when it must.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// Reads a local part as it is written on the wire.
    ///
    /// # Errors
    /// An [`AddressError`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::NoLocalPart);
        }
        if text.len() > LOCAL_PART_OCTETS_MAX {
            return Err(AddressError::LocalPartTooLong);
        }
        match text.strip_prefix('"') {
            Some(quoted) => unquote(quoted).map(Self),
            None => check_dot_string(text).map(|()| Self(text.into())),
        }
    }

    /// The text without quotes and backslashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() && check_dot_string(&self.0).is_ok() {
            return f.write_str(&self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

impl FromStr for LocalPart {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// A domain name, spelled as it was written: letters, digits and hyphens, or U-labels (RFC 6531 section 3.3).
///
/// ```abnf
/// Domain      = sub-domain *("." sub-domain)
/// sub-domain  = Let-dig [Ldh-str] / U-label
/// ```
///
/// Two domains are equal when their [`ascii`](Self::ascii) forms are: without regard to case, and `bücher.example`
/// equals `xn--bcher-kva.example`. A single label is a domain, and so is one made of digits.
#[derive(Debug, Clone)]
pub struct Domain(Box<str>);

impl Domain {
    /// Reads a domain name; a trailing dot is refused.
    ///
    /// # Errors
    /// An [`AddressError`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::NoDomain);
        }
        if text.len() > DOMAIN_OCTETS_MAX {
            return Err(AddressError::DomainTooLong);
        }
        if text.is_ascii() {
            check_ldh(text)?;
        } else {
            check_idna(text)?;
        }
        Ok(Self(text.into()))
    }

    /// The domain as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can go to a server that has no SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// The form for comparison and for DNS: A-labels in lower case.
    #[must_use]
    pub fn ascii(&self) -> Cow<'_, str> {
        if !self.is_ascii() {
            return to_a_labels(&self.0).expect("parse has made this conversion before");
        }
        if self.0.bytes().any(|b| b.is_ascii_uppercase()) {
            return Cow::Owned(self.0.to_ascii_lowercase());
        }
        Cow::Borrowed(&self.0)
    }
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        if self.is_ascii() && other.is_ascii() {
            self.0.eq_ignore_ascii_case(&other.0)
        } else {
            self.ascii() == other.ascii()
        }
    }
}

impl Eq for Domain {}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ascii().hash(state);
    }
}

impl Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// An IP address in the place of a domain (RFC 5321 section 4.1.3).
///
/// ```abnf
/// address-literal          = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"
/// IPv6-address-literal     = "IPv6:" IPv6-addr
/// General-address-literal  = Standardized-tag ":" 1*dcontent
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AddressLiteral {
    /// `[192.0.2.1]`; an octet with a leading zero is refused, as programs disagree on whether that is octal.
    V4(Ipv4Addr),
    /// `[IPv6:2001:db8::1]`.
    V6(Ipv6Addr),
    /// `[tag:content]`: the grammar has it, but no tag other than IPv6 was ever registered.
    General(Box<str>),
}

impl AddressLiteral {
    /// Reads a literal with its square brackets.
    ///
    /// # Errors
    /// [`AddressError::Literal`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let content = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        content.and_then(parse_literal).ok_or(AddressError::Literal)
    }
}

impl Display for AddressLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => write!(f, "[{ip}]"),
            Self::V6(ip) => write!(f, "[IPv6:{ip}]"),
            Self::General(content) => write!(f, "[{content}]"),
        }
    }
}

/// What stands after the `@`, and what a client says in EHLO: a domain or an address literal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// `iit.edu`.
    Domain(Domain),
    /// `[192.0.2.1]`.
    Literal(AddressLiteral),
}

impl Host {
    /// Reads a domain or a literal.
    ///
    /// # Errors
    /// An [`AddressError`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.starts_with('[') {
            AddressLiteral::parse(text).map(Self::Literal)
        } else {
            Domain::parse(text).map(Self::Domain)
        }
    }

    /// The domain, if it is one.
    #[must_use]
    pub const fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Literal(_) => None,
        }
    }

    /// Whether it can go to a server that has no SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.domain().is_none_or(Domain::is_ascii)
    }
}

impl Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Literal(literal) => literal.fmt(f),
        }
    }
}

impl FromStr for Host {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// A mailbox: `ag@iit.edu`.
///
/// ```abnf
/// Mailbox  = Local-part "@" ( Domain / address-literal )
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Before the `@`.
    pub local: LocalPart,
    /// After it.
    pub host: Host,
}

impl Address {
    /// Reads a bare address; nothing may stand before or after it, not even a space.
    ///
    /// # Errors
    /// An [`AddressError`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, host) = split_at_sign(text)?;
        Self::from_parts(local, host)
    }

    /// Whether it can go to a server that has no SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.local.0.is_ascii() && self.host.is_ascii()
    }

    fn from_parts(local: &str, host: &str) -> Result<Self, AddressError> {
        let address = Self { local: LocalPart::parse(local)?, host: Host::parse(host)? };
        if local.len() + 1 + host.len() > ADDRESS_OCTETS_MAX {
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

/// The argument of MAIL: who is told when the mail cannot be delivered.
///
/// ```abnf
/// Reverse-path  = Path / "<>"
/// Path          = "<" [ A-d-l ":" ] Mailbox ">"
/// A-d-l         = At-domain *( "," At-domain )
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: nobody (RFC 5321 section 4.5.5).
    Null,
    /// `<ag@iit.edu>`.
    Address(Address),
}

impl ReversePath {
    /// Reads what follows `MAIL FROM:` and gives back the rest, which is empty or starts with a space.
    ///
    /// Spaces before the path and a path without angle brackets are accepted. A source route is checked and
    /// forgotten (RFC 5321 appendix C).
    ///
    /// # Errors
    /// An [`AddressError`] that says what is wrong.
    pub fn parse(input: &[u8]) -> Result<(Self, &[u8]), AddressError> {
        let (path, rest) = parse_path(input)?;
        let path = match path {
            Path::Null => Self::Null,
            Path::Mailbox(local, host) => Self::Address(Address::from_parts(local, host)?),
            Path::Word(_) => return Err(AddressError::NoAt),
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

    /// Whether it can go to a server that has no SMTPUTF8.
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
    /// Reads what follows `RCPT TO:`, by the rules of [`ReversePath::parse`].
    ///
    /// # Errors
    /// An [`AddressError`] that says what is wrong.
    pub fn parse(input: &[u8]) -> Result<(Self, &[u8]), AddressError> {
        let (path, rest) = parse_path(input)?;
        let path = match path {
            Path::Null => return Err(AddressError::NullRecipient),
            Path::Mailbox(local, host) => Self::Address(Address::from_parts(local, host)?),
            Path::Word(word) if word.eq_ignore_ascii_case("postmaster") => Self::Postmaster,
            Path::Word(_) => return Err(AddressError::NoAt),
        };
        Ok((path, rest.as_bytes()))
    }

    /// The address, unless it is the bare postmaster.
    #[must_use]
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Postmaster => None,
            Self::Address(address) => Some(address),
        }
    }

    /// Whether it can go to a server that has no SMTPUTF8.
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

/// RFC 5322 section 3.2.3, with RFC 6531 section 3.3's `atext =/ UTF8-non-ascii`.
const fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '!' | '#'
                | '$'
                | '%'
                | '&'
                | '\''
                | '*'
                | '+'
                | '-'
                | '/'
                | '='
                | '?'
                | '^'
                | '_'
                | '`'
                | '{'
                | '|'
                | '}'
                | '~'
        )
        || is_utf8_non_ascii(c)
}

/// The C1 controls (U+0080 to U+009F) are UTF8-non-ascii by the letter, but they drive terminals, so they stay out.
const fn is_utf8_non_ascii(c: char) -> bool {
    c as u32 >= 0xA0
}

fn check_dot_string(text: &str) -> Result<(), AddressError> {
    let mut after_dot = true;
    for c in text.chars() {
        if c == '.' {
            if after_dot {
                return Err(AddressError::LocalPartDot);
            }
            after_dot = true;
        } else if is_atext(c) {
            after_dot = false;
        } else {
            return Err(AddressError::LocalPartChar(c));
        }
    }
    if after_dot { Err(AddressError::LocalPartDot) } else { Ok(()) }
}

/// The text of a quoted string whose opening quote is gone already.
fn unquote(quoted: &str) -> Result<Box<str>, AddressError> {
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if chars.as_str().is_empty() => return Ok(text.into_boxed_str()),
            '"' => return Err(AddressError::AfterQuote),
            // quoted-pairSMTP = %d92 %d32-126
            '\\' => match chars.next() {
                Some(escaped @ ' '..='~') => text.push(escaped),
                Some(other) => return Err(AddressError::QuotedChar(other)),
                None => return Err(AddressError::UnclosedQuote),
            },
            ' '..='~' => text.push(c),
            _ if is_utf8_non_ascii(c) => text.push(c),
            _ => return Err(AddressError::QuotedChar(c)),
        }
    }
    Err(AddressError::UnclosedQuote)
}

fn check_ldh(text: &str) -> Result<(), AddressError> {
    for label in text.split('.') {
        let bytes = label.as_bytes();
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
            return Err(AddressError::EmptyLabel);
        };
        if let Some(bad) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
            return Err(AddressError::DomainChar(bad));
        }
        if *first == b'-' || *last == b'-' {
            return Err(AddressError::LabelHyphen);
        }
        if bytes.len() > LABEL_OCTETS_MAX {
            return Err(AddressError::LabelTooLong);
        }
    }
    Ok(())
}

fn check_idna(text: &str) -> Result<(), AddressError> {
    // UTS 46 would ignore some of what is refused here, but the text is also written out as it stands.
    let bad = |c: &char| {
        c.is_control()
            || c.is_whitespace()
            || (c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.'))
    };
    if let Some(bad) = text.chars().find(bad) {
        return Err(AddressError::DomainChar(bad));
    }
    to_a_labels(text).map(|_| ()).ok_or(AddressError::NotIdna)
}

fn to_a_labels(text: &str) -> Option<Cow<'_, str>> {
    Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .ok()
}

/// `content` stands between the brackets.
fn parse_literal(content: &str) -> Option<AddressLiteral> {
    let Some((tag, rest)) = content.split_once(':') else {
        return content.parse().ok().map(AddressLiteral::V4);
    };
    if tag.eq_ignore_ascii_case("IPv6") {
        return parse_ipv6(rest).map(AddressLiteral::V6);
    }
    // Standardized-tag = Ldh-str, which ends with a letter or digit; dcontent = %d33-90 / %d94-126
    let tag_ok =
        tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !tag.is_empty() && !tag.ends_with('-');
    let rest_ok = !rest.is_empty() && rest.bytes().all(|b| matches!(b, 33..=90 | 94..=126));
    let short = content.len() + 2 <= DOMAIN_OCTETS_MAX;
    (tag_ok && rest_ok && short).then(|| AddressLiteral::General(content.into()))
}

/// In RFC 5321's grammar a `::` stands for at least two groups, which the standard library's parser does not ask for.
fn parse_ipv6(text: &str) -> Option<Ipv6Addr> {
    let ip = text.parse().ok()?;
    if text.contains("::") {
        let groups = text.split(':').filter(|group| !group.is_empty());
        let used: usize = groups.map(|group| if group.contains('.') { 2 } else { 1 }).sum();
        if used > 6 {
            return None;
        }
    }
    Some(ip)
}

/// Local part and host, by the `@` that ends the local part.
fn split_at_sign(text: &str) -> Result<(&str, &str), AddressError> {
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

enum Path<'a> {
    Null,
    /// A single word, without an `@`.
    Word(&'a str),
    Mailbox(&'a str, &'a str),
}

fn parse_path(input: &[u8]) -> Result<(Path<'_>, &str), AddressError> {
    let text = std::str::from_utf8(input).map_err(|_| AddressError::NotUtf8)?.trim_start_matches(' ');
    let Some(inner) = text.strip_prefix('<') else {
        let end = path_end(text, b" ");
        if end == 0 {
            return Err(AddressError::Empty);
        }
        return Ok((parse_word_or_mailbox(&text[..end])?, &text[end..]));
    };
    let inner = skip_source_route(inner)?;
    let end = path_end(inner, b"> ");
    if inner.as_bytes().get(end) != Some(&b'>') {
        return Err(AddressError::UnclosedBracket);
    }
    let rest = &inner[end + 1..];
    if let Some(c) = rest.chars().next().filter(|c| *c != ' ') {
        return Err(AddressError::Trailing(c));
    }
    let path = if end == 0 { Path::Null } else { parse_word_or_mailbox(&inner[..end])? };
    Ok((path, rest))
}

fn parse_word_or_mailbox(text: &str) -> Result<Path<'_>, AddressError> {
    match split_at_sign(text) {
        Ok((local, host)) => Ok(Path::Mailbox(local, host)),
        Err(AddressError::NoAt) => Ok(Path::Word(text)),
        Err(error) => Err(error),
    }
}

/// Where the first of `delimiters` stands outside a quoted string, or the end.
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
    if mailbox.starts_with('>') { Err(AddressError::Empty) } else { Ok(mailbox) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn mailboxes_are_written_back_as_they_came() {
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
    fn what_is_no_mailbox_says_why() {
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
    fn domains_are_compared_as_dns_does() {
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

    fn reverse(input: &str) -> Result<(String, String), AddressError> {
        let (path, rest) = ReversePath::parse(input.as_bytes())?;
        Ok((path.to_string(), String::from_utf8_lossy(rest).into_owned()))
    }

    #[test]
    fn paths_stop_before_the_parameters() {
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
    fn broken_paths_say_why() {
        use AddressError as E;
        for (input, error) in [
            ("", E::Empty),
            ("   ", E::Empty),
            (" SIZE=1", E::NoAt),
            ("<ag>", E::NoAt),
            ("<ag@iit.edu", E::UnclosedBracket),
            ("<ag@iit.edu SIZE=1>", E::UnclosedBracket),
            ("< ag@iit.edu>", E::UnclosedBracket),
            ("<ag@iit.edu>SIZE=1", E::Trailing('S')),
            ("<ag@iit.edu>\r", E::Trailing('\r')),
            ("ag@iit.edu>", E::DomainChar('>')),
            ("<@a.example>", E::SourceRoute),
            ("<@a.example,b.example:ag@iit.edu>", E::SourceRoute),
            ("<@a_b:ag@iit.edu>", E::DomainChar('_')),
            ("<@a.example:>", E::Empty),
        ] {
            assert_eq!(reverse(input), Err(error), "{input:?}");
        }
        assert_eq!(ReversePath::parse(b"<a\xff@iit.edu>"), Err(E::NotUtf8));
        assert_eq!(ForwardPath::parse(b"<>"), Err(E::NullRecipient));
    }

    #[test]
    fn postmaster_needs_no_domain() {
        for input in [&b"<Postmaster>"[..], b" postMASTER", b"<postmaster> NOTIFY=NEVER"] {
            let (path, _) = ForwardPath::parse(input).unwrap();
            assert_eq!(path, ForwardPath::Postmaster);
            assert_eq!(path.to_string(), "<Postmaster>");
        }
        assert!(matches!(ForwardPath::parse(b"<Postmaster@iit.edu>"), Ok((ForwardPath::Address(_), _))));
        assert_eq!(ReversePath::parse(b"<Postmaster>"), Err(AddressError::NoAt));
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
        fn display_then_parse_gives_the_same(text in any_address(), params in "| SIZE=[0-9]{1,4}") {
            let address = address(&text);
            prop_assert_eq!(&Address::parse(&address.to_string()).unwrap(), &address);
            let wire = format!("<{address}>{params}");
            let (path, rest) = ReversePath::parse(wire.as_bytes()).unwrap();
            prop_assert_eq!(path.to_string() + std::str::from_utf8(rest).unwrap(), wire.clone());
            let (path, _) = ForwardPath::parse(wire.as_bytes()).unwrap();
            prop_assert_eq!(path, ForwardPath::Address(address));
        }

        #[test]
        fn no_input_panics_or_lets_a_control_through(input in "[<>@\"\\\\a.:\\[\\], \r\n\0\u{85}éß-]{0,24}") {
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
