//! The part of an address before the `@`.

use std::fmt::{self, Display, Write as _};
use std::str::FromStr;

use super::error::{ADDRESS_OCTETS_MAX, AddressError, LOCAL_PART_OCTETS_MAX};
use crate::users::Username;

/// The part before the `@`: a dot-string or a quoted string, stored unquoted.
///
/// ```abnf
/// Local-part     = Dot-string / Quoted-string
/// Dot-string     = Atom *("." Atom)
/// Quoted-string  = DQUOTE *QcontentSMTP DQUOTE
/// QcontentSMTP   = qtextSMTP / quoted-pairSMTP
/// ```
///
/// `"ag"` and `ag` are the same local part (RFC 5321 section 4.1.2). Comparison is case-sensitive. [`Display`] adds quotes
/// if necessary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// Parses a local part in wire format.
    ///
    /// # Errors
    /// The reason as an [`AddressError`].
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

    /// Parses a local part of a path, which may be longer and may have dots in any position (`a..b`, `a.`). Some mobile
    /// carriers issued such addresses.
    pub(super) fn parse_in_path(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix('"') {
            _ if text.is_empty() => Err(AddressError::NoLocalPart),
            _ if text.len() > ADDRESS_OCTETS_MAX => Err(AddressError::TooLong),
            Some(quoted) => unquote(quoted).map(Self),
            None => check_atoms(text).map(|()| Self(text.into())),
        }
    }

    /// The unquoted text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The username of the account that receives mail for this local part: `gb`, `"gb"` and `gb+detail` belong to `gb`
    /// (RFC 5233). `None` if no account can have that name.
    #[must_use]
    pub fn username(&self) -> Option<Username> {
        let (name, _detail) = self.0.split_once('+').unwrap_or((&self.0, ""));
        Username::parse(name).ok()
    }

    /// `gb` for `gb+detail` (RFC 5233); `None` without a detail or a name.
    #[must_use]
    pub fn without_detail(&self) -> Option<Self> {
        let (name, _detail) = self.0.split_once('+').filter(|(name, _)| !name.is_empty())?;
        Some(Self(name.into()))
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

/// Excludes the C1 controls (U+0080 to U+009F), which UTF8-non-ascii includes, because they control terminals.
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

fn check_atoms(text: &str) -> Result<(), AddressError> {
    match text.chars().find(|c| *c != '.' && !is_atext(*c)) {
        Some(c) => Err(AddressError::LocalPartChar(c)),
        None => Ok(()),
    }
}

/// The text of a quoted string after its opening quote.
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

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn local_part_username_drops_quotes_and_detail() {
        let username = |text| LocalPart::parse(text).unwrap().username().map(|name| name.to_string());
        for text in ["gb", "\"gb\"", "gb+lists", "gb+", "\"gb+a b\"", "gb+a+b"] {
            assert_eq!(username(text).as_deref(), Some("gb"), "{text}");
        }
        for text in ["+gb", "\"g b\"", "\"../gb\"", "\"\"", "गब"] {
            assert_eq!(username(text), None, "{text}");
        }
    }
}
