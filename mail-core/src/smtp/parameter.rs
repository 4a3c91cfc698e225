//! The parameters of MAIL and RCPT.
//!
//! SIZE (RFC 1870), BODY (RFC 6152, RFC 3030), SMTPUTF8 (RFC 6531), AUTH (RFC 4954 section 5), REQUIRETLS (RFC 8689), and
//! RET, ENVID, NOTIFY and ORCPT of DSN (RFC 3461), whose values are in [`dsn`](super::dsn).

use std::fmt::{self, Display};

use super::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret, Xtext};
use crate::message::address::ForwardPath;

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
    pub envid: Option<EnvelopeId>,
    /// `REQUIRETLS`: every transfer of the message uses verified TLS.
    pub require_tls: bool,
}

/// Parameters of RCPT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// `NOTIFY=`: events of which the sender is notified.
    pub notify: Option<Notify>,
    /// `ORCPT=`: the original recipient.
    pub orcpt: Option<OriginalRecipient>,
}

/// A recipient of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub path: ForwardPath,
    /// The parameters of its RCPT command.
    pub parameters: RcptParameters,
}

impl From<ForwardPath> for Recipient {
    fn from(path: ForwardPath) -> Self {
        Self { path, parameters: RcptParameters::default() }
    }
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
                set_flag(&mut parameters.utf8, value, "SMTPUTF8")?;
            } else if keyword.eq_ignore_ascii_case("REQUIRETLS") {
                set_flag(&mut parameters.require_tls, value, "REQUIRETLS")?;
            } else if keyword.eq_ignore_ascii_case("AUTH") {
                once(&mut parameters.auth, value, "AUTH=<> or AUTH=mailbox", Xtext::decode)?;
            } else if keyword.eq_ignore_ascii_case("RET") {
                once(&mut parameters.ret, value, "RET=FULL or RET=HDRS", Ret::parse)?;
            } else if keyword.eq_ignore_ascii_case("ENVID") {
                once(&mut parameters.envid, value, "ENVID=identifier", EnvelopeId::parse)?;
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
        write_option(f, "RET", self.ret.as_ref())?;
        write_option(f, "ENVID", self.envid.as_ref())?;
        if self.require_tls { f.write_str(" REQUIRETLS") } else { Ok(()) }
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

/// Sets a parameter without a value.
fn set_flag(flag: &mut bool, value: Option<&str>, keyword: &'static str) -> Result<(), ParameterError> {
    match value {
        Some(_) => Err(ParameterError::Syntax(keyword)),
        None if std::mem::replace(flag, true) => Err(ParameterError::Duplicate),
        None => Ok(()),
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
    use crate::smtp::dsn::tests::{envelope_id, notify, original_recipient, ret, xtext};
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn parse_reads_every_parameter() {
        let parameters = MailParameters::parse(
            b" size=1000 BODY=8bitmime  SMTPUTF8 AUTH=a+2Bb@iit.edu RET=hdrs ENVID=QQ314159 requiretls",
        );
        let expected = MailParameters {
            size: Some(1_000),
            body: Some(BodyType::EightBitMime),
            utf8: true,
            auth: Xtext::new("a+b@iit.edu"),
            ret: Some(Ret::Headers),
            envid: EnvelopeId::new("QQ314159"),
            require_tls: true,
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
            &format!("ENVID={}", "x".repeat(101)),
            "REQUIRETLS=1",
            "REQUIRETLS requiretls",
        ] {
            assert!(
                matches!(
                    MailParameters::parse(bad.as_bytes()),
                    Err(ParameterError::Syntax(_) | ParameterError::Duplicate)
                ),
                "{bad}"
            );
        }
        for bad in [
            "NOTIFY=",
            "NOTIFY=NEVER,DELAY",
            "NOTIFY=SOON",
            "ORCPT=gb@iit.edu",
            "ORCPT=;x",
            "ORCPT=a b;x",
            &format!("ORCPT=rfc822;{}", "x".repeat(494)),
        ] {
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

    pub(in crate::smtp) fn mail_parameters() -> impl Strategy<Value = MailParameters> {
        let body =
            prop_oneof![Just(BodyType::SevenBit), Just(BodyType::EightBitMime), Just(BodyType::BinaryMime)];
        (
            proptest::option::of(any::<u64>()),
            proptest::option::of(body),
            any::<bool>(),
            proptest::option::of(xtext()),
            proptest::option::of(ret()),
            proptest::option::of(envelope_id()),
            any::<bool>(),
        )
            .prop_map(|(size, body, utf8, auth, ret, envid, require_tls)| MailParameters {
                size,
                body,
                utf8,
                auth,
                ret,
                envid,
                require_tls,
            })
    }

    pub(in crate::smtp) fn rcpt_parameters() -> impl Strategy<Value = RcptParameters> {
        (proptest::option::of(notify()), proptest::option::of(original_recipient()))
            .prop_map(|(notify, orcpt)| RcptParameters { notify, orcpt })
    }
}
