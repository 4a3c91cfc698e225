//! The parameters of delivery status notifications (RFC 3461): RET and ENVID of MAIL, NOTIFY and ORCPT of RCPT.
//!
//! Values are stored decoded; [`Display`] encodes them. RFC 6533 section 3 defines the encoding of ORCPT for addresses with
//! UTF-8. The notifications themselves are in [`report`](crate::message::report).

use std::fmt::{self, Display, Write as _};

/// Characters of an ENVID value: RFC 3461 section 4.4.
pub const ENVELOPE_ID_CHARS_MAX: usize = 100;
/// Characters of an ORCPT value: RFC 3461 section 4.2.
pub const ORIGINAL_RECIPIENT_CHARS_MAX: usize = 500;

/// The part of the message that a failure notification returns (RFC 3461 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// `FULL`.
    Full,
    /// `HDRS`.
    Headers,
}

/// The events of which the sender is notified (RFC 3461 section 4.1). All false means `NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// `SUCCESS`.
    pub success: bool,
    /// `FAILURE`.
    pub failure: bool,
    /// `DELAY`.
    pub delay: bool,
}

/// The sender's identifier of the transaction: ENVID. At most [`ENVELOPE_ID_CHARS_MAX`] characters when encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeId(Xtext);

/// The recipient to which the sender addressed the message: ORCPT. At most [`ORIGINAL_RECIPIENT_CHARS_MAX`] characters when
/// encoded.
///
/// ```abnf
/// original-recipient-address = addr-type ";" xtext
/// utf-8-type-addr            = "utf-8;" utf-8-enc-addr    ; RFC 6533 section 3
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    kind: Box<str>,
    address: Xtext,
}

/// A decoded parameter value in xtext encoding (RFC 3461 section 4).
///
/// ```abnf
/// xtext    = *( xchar / hexchar )
/// xchar    = any ASCII CHAR between "!" and "~" inclusive, except for "+" and "="
/// hexchar  = ASCII "+" immediately followed by two upper case hexadecimal digits
/// ```
///
/// Rejects control characters and accepts UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xtext(Box<str>);

impl Ret {
    /// Parses `FULL` or `HDRS`.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        [Self::Full, Self::Headers].into_iter().find(|ret| value.eq_ignore_ascii_case(ret.keyword()))
    }

    const fn keyword(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

impl Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

impl Notify {
    /// No notifications.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    /// The events of a recipient without NOTIFY: failures and delays (RFC 3461 section 4.1).
    pub const DEFAULT: Self = Self { success: false, failure: true, delay: true };

    /// Parses `NEVER` or a list of `SUCCESS`, `FAILURE` and `DELAY`.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut notify = Self::NEVER;
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(notify);
        }
        for occasion in value.split(',') {
            let asked = match occasion {
                _ if occasion.eq_ignore_ascii_case("SUCCESS") => &mut notify.success,
                _ if occasion.eq_ignore_ascii_case("FAILURE") => &mut notify.failure,
                _ if occasion.eq_ignore_ascii_case("DELAY") => &mut notify.delay,
                _ => return None,
            };
            *asked = true;
        }
        Some(notify)
    }
}

impl Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("NEVER");
        }
        let occasions = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut separator = "";
        for (_, keyword) in occasions.into_iter().filter(|(asked, _)| *asked) {
            write!(f, "{separator}{keyword}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl EnvelopeId {
    /// `None` if the text is empty, too long, or has a control character.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Xtext::new(text).map(Self).filter(|id| encoded_chars(id) <= ENVELOPE_ID_CHARS_MAX)
    }

    /// Parses the value of ENVID.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        Self::new(Xtext::decode(value)?.as_str())
    }

    /// The decoded text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl OriginalRecipient {
    /// `None` if the type has other characters than letters, digits and hyphens, or the address is empty, too long, or has a
    /// control character.
    #[must_use]
    pub fn new(kind: &str, address: &str) -> Option<Self> {
        let kind_ok = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let address = Xtext::new(address)?;
        let recipient = Self { kind: kind.into(), address };
        (kind_ok && encoded_chars(&recipient) <= ORIGINAL_RECIPIENT_CHARS_MAX).then_some(recipient)
    }

    /// Parses the value of ORCPT.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (kind, address) = value.split_once(';')?;
        let address = Xtext::decode(address)?;
        if !kind.eq_ignore_ascii_case(UTF8_KIND) {
            return Self::new(kind, address.as_str());
        }
        Self::new(kind, &decode_unicode(address.as_str())?)
    }

    /// The type of the address, usually `rfc822`, or `utf-8` (RFC 6533).
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The decoded address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.address.as_str()
    }

    /// Whether the address is encoded with `\x{...}`.
    fn is_utf8(&self) -> bool {
        self.kind.eq_ignore_ascii_case(UTF8_KIND)
    }
}

impl Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};", self.kind)?;
        if self.is_utf8() { write_unicode(f, self.address()) } else { self.address.fmt(f) }
    }
}

impl Xtext {
    /// `None` if the text is empty or has a control character.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains(char::is_control)).then(|| Self(text.into()))
    }

    /// The decoded text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Decodes a parameter value. Accepts an unescaped `=` or non-ASCII character, which some clients send.
    #[must_use]
    pub fn decode(value: &str) -> Option<Self> {
        let mut decoded = Vec::with_capacity(value.len());
        let mut rest = value.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte != b'+' {
                decoded.push(byte);
                continue;
            }
            let (digits, tail) = rest.split_at_checked(2)?;
            let digit = |byte: u8| char::from(byte).to_digit(16);
            decoded.push(u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?);
            rest = tail;
        }
        Self::new(std::str::from_utf8(&decoded).ok()?)
    }
}

impl Display for Xtext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'+' | b'=' | ..=b' ' | 0x7F.. => write!(f, "+{byte:02X}")?,
                _ => f.write_char(char::from(byte))?,
            }
        }
        Ok(())
    }
}

/// The address type of RFC 6533.
const UTF8_KIND: &str = "utf-8";

/// Decodes `EmbeddedUnicodeChar` of RFC 6533 section 3. Everything else stands for itself.
///
/// ```abnf
/// EmbeddedUnicodeChar = %x5C.78 "{" HEXPOINT "}"
/// ```
pub(crate) fn decode_unicode(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        let (digits, after) = after.split_once('}')?;
        let is_hex = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        decoded.push_str(before);
        decoded.push(u32::from_str_radix(digits, 16).ok().filter(|_| is_hex).and_then(char::from_u32)?);
        rest = after;
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// Encodes `utf-8-addr-xtext` of RFC 6533 section 3, which is valid with and without SMTPUTF8.
///
/// ```abnf
/// utf-8-addr-xtext = 1*(QCHAR / EmbeddedUnicodeChar)
/// QCHAR            = any ASCII CHAR between "!" and "~" inclusive, except for "\", "+" and "="
/// ```
pub(crate) fn write_unicode(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '\\' | '+' | '=' => write!(f, "\\x{{{:X}}}", u32::from(c))?,
            '!'..='~' => f.write_char(c)?,
            _ => write!(f, "\\x{{{:X}}}", u32::from(c))?,
        }
    }
    Ok(())
}

fn encoded_chars(value: &impl Display) -> usize {
    value.to_string().len()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn original_recipient_encodes_utf8_as_rfc_6533_says() {
        let recipient = OriginalRecipient::new("utf-8", "jörg+\\x@exämple.org").expect("valid");
        let encoded = "utf-8;j\\x{F6}rg\\x{2B}\\x{5C}x@ex\\x{E4}mple.org";
        assert_eq!(recipient.to_string(), encoded);
        assert_eq!(OriginalRecipient::parse(encoded), Some(recipient.clone()));
        // utf-8-addr-unitext, in a session with SMTPUTF8.
        let raw = OriginalRecipient::parse("utf-8;jörg\\x{2B}\\x{5c}x@exämple.org");
        assert_eq!(raw, Some(recipient));
        for bad in [
            "utf-8;\\x{}",
            "utf-8;\\x{D800}",
            "utf-8;\\x{110000}",
            "utf-8;\\x{0D}",
            "utf-8;\\x{+1}",
            "utf-8;\\x{41",
        ] {
            assert_eq!(OriginalRecipient::parse(bad), None, "{bad}");
        }
        let other = OriginalRecipient::parse("rfc822;a\\x{41}").expect("valid");
        assert_eq!((other.kind(), other.address()), ("rfc822", "a\\x{41}"));
    }

    #[test]
    fn values_are_limited_to_their_encoded_length() {
        assert!(EnvelopeId::new(&"a".repeat(100)).is_some() && EnvelopeId::new(&"a".repeat(101)).is_none());
        assert!(EnvelopeId::parse(&"+41".repeat(100)).is_some(), "a client may escape more than necessary");
        assert!(EnvelopeId::new(&"+".repeat(34)).is_none());
        assert!(OriginalRecipient::new("rfc822", &"a".repeat(493)).is_some());
        assert!(OriginalRecipient::new("rfc822", &"a".repeat(494)).is_none());
        assert!(OriginalRecipient::new("utf-8", &"é".repeat(84)).is_none());
    }

    pub(in crate::smtp) fn xtext() -> impl Strategy<Value = Xtext> {
        "[ -~é]{1,8}".prop_map(|text| Xtext::new(&text).expect("has no control character"))
    }

    pub(in crate::smtp) fn envelope_id() -> impl Strategy<Value = EnvelopeId> {
        xtext().prop_map(EnvelopeId)
    }

    pub(in crate::smtp) fn ret() -> impl Strategy<Value = Ret> {
        prop_oneof![Just(Ret::Full), Just(Ret::Headers)]
    }

    pub(in crate::smtp) fn notify() -> impl Strategy<Value = Notify> {
        any::<[bool; 3]>().prop_map(|[success, failure, delay]| Notify { success, failure, delay })
    }

    pub(in crate::smtp) fn original_recipient() -> impl Strategy<Value = OriginalRecipient> {
        ("[A-Za-z0-9-]{1,8}|utf-8|UTF-8", xtext())
            .prop_map(|(kind, address)| OriginalRecipient { kind: kind.into(), address })
    }

    proptest! {
        #[test]
        fn original_recipient_parses_what_it_formats(recipient in original_recipient()) {
            prop_assert_eq!(OriginalRecipient::parse(&recipient.to_string()), Some(recipient));
        }

        #[test]
        fn formatted_values_are_one_word_of_ascii(value in any::<String>(), kind in "rfc822|utf-8") {
            let word = |text: String| text.bytes().all(|b| b.is_ascii_graphic() && b != b'=' && b != b'+');
            if let Some(recipient) = OriginalRecipient::parse(&format!("{kind};{value}")) {
                let encoded = recipient.to_string();
                prop_assert!(encoded.len() <= ORIGINAL_RECIPIENT_CHARS_MAX);
                prop_assert!(word(encoded.replace('+', "")));
            }
            if let Some(id) = EnvelopeId::parse(&value) {
                let encoded = id.to_string();
                prop_assert!(encoded.len() <= ENVELOPE_ID_CHARS_MAX && word(encoded.replace('+', "")));
            }
        }
    }
}
