//! The part of an address after the `@`: a domain name or an address literal.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::error::{AddressError, DOMAIN_OCTETS_MAX, LABEL_OCTETS_MAX};

/// A domain name of letters, digits and hyphens, or of U-labels (RFC 6531 section 3.3), in its original spelling.
///
/// ```abnf
/// Domain      = sub-domain *("." sub-domain)
/// sub-domain  = Let-dig [Ldh-str] / U-label
/// ```
///
/// Domains are equal if their [`ascii`](Self::ascii) forms are: case is ignored, and `bücher.example` equals
/// `xn--bcher-kva.example`. A single label and all-digit labels are valid.
#[derive(Debug, Clone)]
pub struct Domain(Box<str>);

impl Domain {
    /// Parses a domain name. A trailing dot is rejected.
    ///
    /// # Errors
    /// The reason as an [`AddressError`].
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

    /// The domain in its original spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the domain is ASCII, so that servers without SMTPUTF8 accept it.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// A-labels in lower case, for comparison and DNS.
    #[must_use]
    pub fn ascii(&self) -> Cow<'_, str> {
        if !self.is_ascii() {
            return to_a_labels(&self.0).expect("`parse` checked this conversion");
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

/// An address literal in place of a domain (RFC 5321 section 4.1.3).
///
/// ```abnf
/// address-literal          = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"
/// IPv6-address-literal     = "IPv6:" IPv6-addr
/// General-address-literal  = Standardized-tag ":" 1*dcontent
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AddressLiteral {
    /// `[192.0.2.1]`. Leading zeros are rejected, because some programs read them as octal.
    V4(Ipv4Addr),
    /// `[IPv6:2001:db8::1]`.
    V6(Ipv6Addr),
    /// `[tag:content]`. No tag other than IPv6 is registered. The content has none of `< > " @ ,`.
    General(Box<str>),
}

impl AddressLiteral {
    /// Parses a literal including its square brackets.
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

/// A domain or an address literal, as in an address or in EHLO.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// `iit.edu`.
    Domain(Domain),
    /// `[192.0.2.1]`.
    Literal(AddressLiteral),
}

impl Host {
    /// Parses a domain or a literal.
    ///
    /// # Errors
    /// The reason as an [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.starts_with('[') {
            AddressLiteral::parse(text).map(Self::Literal)
        } else {
            Domain::parse(text).map(Self::Domain)
        }
    }

    /// The domain, unless this is a literal.
    #[must_use]
    pub const fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Literal(_) => None,
        }
    }

    /// Whether the host is ASCII, so that servers without SMTPUTF8 accept it.
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
    // UTS 46 would drop some of these characters, but the original spelling is sent too.
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

/// `content` is the text between the brackets.
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
    // The grammar also allows delimiters of paths and lists, which would make a path ambiguous.
    let is_plain = |b| matches!(b, 33..=90 | 94..=126) && !br#"<>"@,"#.contains(&b);
    let rest_ok = !rest.is_empty() && rest.bytes().all(is_plain);
    let short = content.len() + 2 <= DOMAIN_OCTETS_MAX;
    (tag_ok && rest_ok && short).then(|| AddressLiteral::General(content.into()))
}

/// In the grammar of RFC 5321, `::` replaces at least two groups. The standard library does not check that.
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
