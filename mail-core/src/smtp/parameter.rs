//! The parameters of MAIL and RCPT.
//!
//! SIZE (RFC 1870), BODY (RFC 6152, RFC 3030), SMTPUTF8 (RFC 6531), AUTH (RFC 4954 section 5), and RET, ENVID, NOTIFY
//! and ORCPT of DSN (RFC 3461).

use std::fmt::{self, Display, Write as _};

/// The reason a parameter is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The parameter is unknown or not supported.
    #[error("parameter not recognized")]
    Unknown,
    /// The value is invalid; the correct syntax.
    #[error("syntax: {0}")]
    Syntax(&'static str),
    /// The parameter occurs twice.
    #[error("duplicate parameter")]
    Duplicate,
}

/// Parameters of MAIL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=`: estimated octets of the message.
    pub size: Option<u64>,
    /// `BODY=`.
    pub body: Option<BodyType>,
    /// `SMTPUTF8`.
    pub utf8: bool,
    /// `AUTH=`: the original submitter, or `<>` if unknown.
    pub auth: Option<Xtext>,
    /// `RET=`: contents of a failure notification.
    pub ret: Option<Ret>,
    /// `ENVID=`: the sender's envelope identifier.
    pub envid: Option<Xtext>,
}

/// Parameters of RCPT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// `NOTIFY=`: events of which the sender is notified.
    pub notify: Option<Notify>,
    /// `ORCPT=`: the original recipient.
    pub orcpt: Option<OriginalRecipient>,
}

/// The encoding of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// `7BIT`.
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
    /// `BINARYMIME`.
    BinaryMime,
}

/// The part of the message that a failure notification returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// `FULL`.
    Full,
    /// `HDRS`.
    Headers,
}

/// The events of which the sender is notified. All false means `NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// `SUCCESS`.
    pub success: bool,
    /// `FAILURE`.
    pub failure: bool,
    /// `DELAY`.
    pub delay: bool,
}

/// `original-recipient-address = addr-type ";" xtext`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// Usually `rfc822`; letters, digits and hyphens.
    kind: Box<str>,
    /// The address.
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

impl MailParameters {
    /// Parses the rest of a MAIL command after the path.
    ///
    /// # Errors
    /// An unknown, duplicate or invalid parameter.
    pub fn parse(rest: &[u8]) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        for (keyword, value) in split(rest)? {
            if keyword.eq_ignore_ascii_case("SIZE") {
                // Some clients send SIZE twice, from two of their layers. The larger one counts.
                let mut size = None;
                once(&mut size, value, "SIZE=octets", parse_size)?;
                parameters.size = parameters.size.max(size);
            } else if keyword.eq_ignore_ascii_case("BODY") {
                once(&mut parameters.body, value, "BODY=7BIT or BODY=8BITMIME", BodyType::parse)?;
            } else if keyword.eq_ignore_ascii_case("SMTPUTF8") {
                if value.is_some() {
                    return Err(ParameterError::Syntax("SMTPUTF8"));
                }
                if std::mem::replace(&mut parameters.utf8, true) {
                    return Err(ParameterError::Duplicate);
                }
            } else if keyword.eq_ignore_ascii_case("AUTH") {
                once(&mut parameters.auth, value, "AUTH=<> or AUTH=mailbox", Xtext::decode)?;
            } else if keyword.eq_ignore_ascii_case("RET") {
                once(&mut parameters.ret, value, "RET=FULL or RET=HDRS", Ret::parse)?;
            } else if keyword.eq_ignore_ascii_case("ENVID") {
                once(&mut parameters.envid, value, "ENVID=identifier", Xtext::decode)?;
            } else {
                return Err(ParameterError::Unknown);
            }
        }
        Ok(parameters)
    }

    /// Whether there is a parameter of DSN.
    #[must_use]
    pub const fn requests_dsn(&self) -> bool {
        self.ret.is_some() || self.envid.is_some()
    }
}

impl Display for MailParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_option(f, "SIZE", self.size.as_ref())?;
        write_option(f, "BODY", self.body.map(BodyType::keyword).as_ref())?;
        if self.utf8 {
            f.write_str(" SMTPUTF8")?;
        }
        write_option(f, "AUTH", self.auth.as_ref())?;
        write_option(f, "RET", self.ret.map(Ret::keyword).as_ref())?;
        write_option(f, "ENVID", self.envid.as_ref())
    }
}

impl RcptParameters {
    /// Parses the rest of a RCPT command after the path.
    ///
    /// # Errors
    /// As for [`MailParameters::parse`].
    pub fn parse(rest: &[u8]) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        for (keyword, value) in split(rest)? {
            if keyword.eq_ignore_ascii_case("NOTIFY") {
                let syntax = "NOTIFY=NEVER or a list of SUCCESS, FAILURE, DELAY";
                once(&mut parameters.notify, value, syntax, Notify::parse)?;
            } else if keyword.eq_ignore_ascii_case("ORCPT") {
                once(&mut parameters.orcpt, value, "ORCPT=rfc822;address", OriginalRecipient::parse)?;
            } else {
                return Err(ParameterError::Unknown);
            }
        }
        Ok(parameters)
    }

    /// Whether there is a parameter of DSN.
    #[must_use]
    pub const fn requests_dsn(&self) -> bool {
        self.notify.is_some() || self.orcpt.is_some()
    }
}

impl Display for RcptParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_option(f, "NOTIFY", self.notify.as_ref())?;
        write_option(f, "ORCPT", self.orcpt.as_ref())
    }
}

impl BodyType {
    fn parse(value: &str) -> Option<Self> {
        [Self::SevenBit, Self::EightBitMime, Self::BinaryMime]
            .into_iter()
            .find(|body| value.eq_ignore_ascii_case(body.keyword()))
    }

    const fn keyword(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
            Self::BinaryMime => "BINARYMIME",
        }
    }
}

impl Ret {
    fn parse(value: &str) -> Option<Self> {
        [Self::Full, Self::Headers].into_iter().find(|ret| value.eq_ignore_ascii_case(ret.keyword()))
    }

    const fn keyword(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

impl Notify {
    /// No notifications.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    fn parse(value: &str) -> Option<Self> {
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

impl OriginalRecipient {
    /// `None` if the type has other characters than letters, digits and hyphens, or the address has a control character.
    #[must_use]
    pub fn new(kind: &str, address: &str) -> Option<Self> {
        let kind_ok = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let address = Xtext::new(address)?;
        kind_ok.then(|| Self { kind: kind.into(), address })
    }

    fn parse(value: &str) -> Option<Self> {
        let (kind, address) = value.split_once(';')?;
        Self::new(kind, Xtext::decode(address)?.as_str())
    }
}

impl Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.kind, self.address)
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

    /// Accepts an unescaped `=` or non-ASCII character, which some clients send.
    fn decode(value: &str) -> Option<Self> {
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

/// The keywords and values in `rest`.
///
/// ```abnf
/// esmtp-param    = esmtp-keyword ["=" esmtp-value]
/// ```
fn split(rest: &[u8]) -> Result<impl Iterator<Item = (&str, Option<&str>)>, ParameterError> {
    let rest = std::str::from_utf8(rest).map_err(|_| ParameterError::Unknown)?;
    Ok(rest.split_ascii_whitespace().map(|word| match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    }))
}

/// Sets a parameter that is not set yet. `syntax` is used in the error.
fn once<T>(
    slot: &mut Option<T>,
    value: Option<&str>,
    syntax: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<(), ParameterError> {
    let parsed = value.and_then(parse).ok_or(ParameterError::Syntax(syntax))?;
    match slot.replace(parsed) {
        None => Ok(()),
        Some(_) => Err(ParameterError::Duplicate),
    }
}

/// `size-value = 1*20DIGIT` (RFC 1870 section 3).
fn parse_size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    // Twenty digits may exceed 64 bits. The maximum is above any size limit, too.
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn write_option(f: &mut fmt::Formatter<'_>, keyword: &str, value: Option<&impl Display>) -> fmt::Result {
    match value {
        Some(value) => write!(f, " {keyword}={value}"),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn parse_reads_every_parameter() {
        let parameters = MailParameters::parse(
            b" size=1000 BODY=8bitmime  SMTPUTF8 AUTH=a+2Bb@iit.edu RET=hdrs ENVID=QQ314159",
        );
        let expected = MailParameters {
            size: Some(1_000),
            body: Some(BodyType::EightBitMime),
            utf8: true,
            auth: Xtext::new("a+b@iit.edu"),
            ret: Some(Ret::Headers),
            envid: Xtext::new("QQ314159"),
        };
        assert_eq!(parameters, Ok(expected));
        let parameters = RcptParameters::parse(b" NOTIFY=success,DELAY ORCPT=rfc822;gb@iit.edu");
        let notify = Notify { success: true, failure: false, delay: true };
        let orcpt = OriginalRecipient::new("rfc822", "gb@iit.edu");
        assert_eq!(parameters, Ok(RcptParameters { notify: Some(notify), orcpt }));
    }

    #[test]
    fn parse_rejects_invalid_parameters() {
        for bad in [
            "SIZE",
            "SIZE=",
            "SIZE=-1",
            "SIZE=+1",
            "BODY=7BIT BODY=7BIT",
            "SIZE=111111111111111111111",
            "BODY=9BIT",
            "SMTPUTF8=1",
            "SMTPUTF8 SMTPUTF8",
            "AUTH",
            "AUTH=+0D+0A",
            "AUTH=a+4",
            "AUTH=+GG",
            "RET=ALL",
            "ENVID=",
        ] {
            assert!(
                matches!(
                    MailParameters::parse(bad.as_bytes()),
                    Err(ParameterError::Syntax(_) | ParameterError::Duplicate)
                ),
                "{bad}"
            );
        }
        for bad in
            ["NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=SOON", "ORCPT=gb@iit.edu", "ORCPT=;x", "ORCPT=a b;x"]
        {
            assert!(
                matches!(
                    RcptParameters::parse(bad.as_bytes()),
                    Err(ParameterError::Syntax(_) | ParameterError::Duplicate)
                ),
                "{bad}"
            );
        }
        for unknown in [&b"XYZZY"[..], b"XYZZY=1", b"=", b"NOTIFY=NEVER", b"\xFF"] {
            assert_eq!(MailParameters::parse(unknown), Err(ParameterError::Unknown));
        }
        assert_eq!(MailParameters::parse(b"SIZE=5 SIZE=9 BODY=7BIT SIZE=7").map(|p| p.size), Ok(Some(9)));
        assert_eq!(MailParameters::parse(b"SIZE=99999999999999999999").map(|p| p.size), Ok(Some(u64::MAX)));
    }

    fn xtext() -> impl Strategy<Value = Xtext> {
        "[ -~é]{1,8}".prop_map(|text| Xtext::new(&text).expect("has no control character"))
    }

    pub(in crate::smtp) fn mail_parameters() -> impl Strategy<Value = MailParameters> {
        let body =
            prop_oneof![Just(BodyType::SevenBit), Just(BodyType::EightBitMime), Just(BodyType::BinaryMime)];
        let ret = prop_oneof![Just(Ret::Full), Just(Ret::Headers)];
        let option = proptest::option::of::<BoxedStrategy<Xtext>>;
        (
            proptest::option::of(any::<u64>()),
            proptest::option::of(body),
            any::<bool>(),
            option(xtext().boxed()),
            proptest::option::of(ret),
            option(xtext().boxed()),
        )
            .prop_map(|(size, body, utf8, auth, ret, envid)| MailParameters {
                size,
                body,
                utf8,
                auth,
                ret,
                envid,
            })
    }

    pub(in crate::smtp) fn rcpt_parameters() -> impl Strategy<Value = RcptParameters> {
        let notify =
            any::<[bool; 3]>().prop_map(|[success, failure, delay]| Notify { success, failure, delay });
        let orcpt = ("[A-Za-z0-9-]{1,8}", xtext())
            .prop_map(|(kind, address)| OriginalRecipient { kind: kind.into(), address });
        (proptest::option::of(notify), proptest::option::of(orcpt))
            .prop_map(|(notify, orcpt)| RcptParameters { notify, orcpt })
    }
}
