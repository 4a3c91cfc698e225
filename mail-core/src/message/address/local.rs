//! The part of an address before the `@`.

use std::fmt::{self, Display, Write as _};
use std::str::FromStr;

use super::{AddressError, LOCAL_PART_OCTETS_MAX};

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
