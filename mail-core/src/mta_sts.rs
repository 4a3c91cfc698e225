//! The formats of MTA-STS (RFC 8461): the TXT record that announces a policy, and the policy, a text file.
//!
//! ```text
//! _mta-sts.example.net. IN TXT "v=STSv1; id=20261129T173000;"
//!
//! version: STSv1
//! mode: enforce
//! mx: mail.example.net
//! mx: *.backup.example.net
//! max_age: 604800
//! ```

use std::fmt::{self, Display};

use crate::message::address::Domain;
use crate::time::Duration;

/// Longest policy (RFC 8461 section 3.3), in octets.
pub const POLICY_OCTETS_MAX: usize = 64 << 10;
/// Longest time for which a policy is kept: a year (RFC 8461 section 3.2).
pub const AGE_MAX: Duration = Duration::from_secs(31_557_600);

const VERSION: &str = "STSv1";
/// RFC 8461 section 3.1.
const ID_OCTETS_MAX: usize = 32;

/// The id of a policy: 1 to 32 letters and digits. A new policy has a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyId(Box<str>);

impl PolicyId {
    /// Parses an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = (1..=ID_OCTETS_MAX).contains(&text.len())
            && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
        is_valid.then(|| Self(text.into()))
    }

    /// An id that depends on the content of a policy only, so that a changed one has another.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        // FNV-1a. Nobody gains from two policies with one id but the domain itself.
        let digest = policy.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, octet| {
            (digest ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(format!("{digest:016x}").into())
    }

    /// The id in the TXT records of `_mta-sts.DOMAIN`. `None`: there is no policy, or the records contradict each other (RFC 8461
    /// section 3.1).
    #[must_use]
    pub fn from_records<'a>(records: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut announced = records.filter_map(announcement);
        let first = announced.next()?;
        if announced.next().is_some() { None } else { first }
    }

    /// The TXT record that announces the policy.
    #[must_use]
    pub fn record(&self) -> String {
        format!("v={VERSION}; id={self}")
    }
}

impl Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id in a record of this version; `Some(None)` if it has none.
fn announcement(record: &str) -> Option<Option<PolicyId>> {
    let mut fields = record.split(';').map(str::trim_ascii);
    let version = fields.next()?.strip_prefix("v=")?;
    (version.trim_ascii() == VERSION)
        .then(|| fields.find_map(|field| field.strip_prefix("id=")).and_then(PolicyId::parse))
}

/// A policy for mail to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The treatment of mail that cannot be sent as the policy demands.
    pub mode: Mode,
    /// The mail servers of the domain.
    pub hosts: Vec<HostPattern>,
    /// The time for which the policy is kept after it was read; at most [`AGE_MAX`].
    pub max_age: Duration,
}

/// The treatment of mail that cannot be sent as the policy demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is not sent.
    Enforce,
    /// It is sent, and the failure is reported.
    Testing,
    /// The domain has no policy any more.
    None,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Enforce, Self::Testing, Self::None];

    const fn keyword(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// A name of mail servers, which may begin with `*.` for exactly one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    is_wildcard: bool,
    domain: Domain,
}

impl HostPattern {
    /// The pattern of one host.
    #[must_use]
    pub const fn host(domain: Domain) -> Self {
        Self { is_wildcard: false, domain }
    }

    fn parse(text: &str) -> Option<Self> {
        let parent = text.strip_prefix("*.");
        let domain = Domain::parse(parent.unwrap_or(text)).ok()?;
        Some(Self { is_wildcard: parent.is_some(), domain })
    }

    fn matches(&self, host: &Domain) -> bool {
        if !self.is_wildcard {
            return *host == self.domain;
        }
        host.ascii().split_once('.').is_some_and(|(_, parent)| parent == self.domain.ascii())
    }
}

impl Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_wildcard { "*." } else { "" }, self.domain.ascii())
    }
}

/// The reason a policy is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is longer than [`POLICY_OCTETS_MAX`] or not UTF-8.
    #[error("the policy is too long or not a text")]
    Unreadable,
    /// A field is missing or invalid.
    #[error("the policy has no valid field `{0}`")]
    Field(&'static str),
}

impl Policy {
    /// Parses a policy. Of a repeated field other than `mx`, the first one counts; unknown ones are ignored (RFC 8461 section 3.2).
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn parse(octets: &[u8]) -> Result<Self, PolicyError> {
        let text = str::from_utf8(octets).ok().filter(|text| text.len() <= POLICY_OCTETS_MAX);
        let text = text.ok_or(PolicyError::Unreadable)?;
        let fields = || {
            text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key, value.trim_ascii()))
        };
        let first = |name| fields().find(|(key, _)| *key == name).map(|(_, value)| value);
        first("version").filter(|version| *version == VERSION).ok_or(PolicyError::Field("version"))?;
        let mode = first("mode").and_then(|mode| Mode::ALL.into_iter().find(|known| known.keyword() == mode));
        let mode = mode.ok_or(PolicyError::Field("mode"))?;
        let hosts: Option<Vec<_>> =
            fields().filter(|(key, _)| *key == "mx").map(|(_, value)| HostPattern::parse(value)).collect();
        let hosts =
            hosts.filter(|hosts| mode == Mode::None || !hosts.is_empty()).ok_or(PolicyError::Field("mx"))?;
        let max_age = first("max_age").and_then(parse_age).ok_or(PolicyError::Field("max_age"))?;
        Ok(Self { mode, hosts, max_age })
    }

    /// Whether the policy names a mail server (RFC 8461 section 4.1).
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        Domain::parse(host).is_ok_and(|host| self.hosts.iter().any(|pattern| pattern.matches(&host)))
    }
}

/// The policy file, with LF line ends.
impl Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version: {VERSION}\nmode: {}", self.mode.keyword())?;
        self.hosts.iter().try_for_each(|host| writeln!(f, "mx: {host}"))?;
        writeln!(f, "max_age: {}", self.max_age.as_secs())
    }
}

/// `sts-policy-max-age-value = 1*10(DIGIT)`
fn parse_age(text: &str) -> Option<Duration> {
    let is_number = (1..=10).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    let seconds = is_number.then(|| text.parse().ok()).flatten()?;
    Some(Duration::from_secs(seconds).min(AGE_MAX))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const POLICY: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.net\r\nmx: *.Backup.example.net\r\n\
        mode: none\r\nmax_age:604800 \r\nunknown: x\r\nno field\r\n";

    #[test]
    fn policy_is_read_with_either_line_end() {
        for text in [POLICY.to_owned(), POLICY.replace("\r\n", "\n"), POLICY.trim_end().to_owned()] {
            let policy = Policy::parse(text.as_bytes()).unwrap();
            assert_eq!((policy.mode, policy.max_age.as_secs()), (Mode::Enforce, 604_800));
            assert_eq!(policy.hosts.len(), 2);
            assert_eq!(Policy::parse(policy.to_string().as_bytes()), Ok(policy));
        }
    }

    #[test]
    fn wildcard_matches_exactly_one_label() {
        let policy = Policy::parse(POLICY.as_bytes()).unwrap();
        for (host, is_allowed) in [
            ("mail.example.net", true),
            ("MAIL.example.NET", true),
            ("a.backup.example.net", true),
            ("backup.example.net", false),
            ("a.b.backup.example.net", false),
            ("xbackup.example.net", false),
            ("evil.example", false),
            ("mail.example.net.", false),
            ("", false),
        ] {
            assert_eq!(policy.allows(host), is_allowed, "{host}");
        }
    }

    #[test]
    fn invalid_policy_names_the_field() {
        let valid = "version: STSv1\nmode: testing\nmx: a.example\nmax_age: 1\n";
        assert!(Policy::parse(valid.as_bytes()).is_ok());
        assert!(Policy::parse(b"version: STSv1\nmode: none\nmax_age: 99999999999\n").is_err());
        let none = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 9999999999\n").unwrap();
        assert_eq!(none.max_age, AGE_MAX);
        for (part, changed, field) in [
            ("STSv1", "STSv2", "version"),
            ("testing", "Testing", "mode"),
            ("mx: a.example\n", "", "mx"),
            ("mx: a.example", "mx: *", "mx"),
            ("mx: a.example", "mx: a.*.example", "mx"),
            ("max_age: 1", "max_age: +1", "max_age"),
            ("max_age: 1", "max_age:", "max_age"),
        ] {
            let text = valid.replace(part, changed);
            assert_eq!(Policy::parse(text.as_bytes()), Err(PolicyError::Field(field)), "{text}");
        }
        let long = format!("{valid}x: {}\n", "x".repeat(POLICY_OCTETS_MAX));
        assert_eq!(Policy::parse(long.as_bytes()), Err(PolicyError::Unreadable));
        assert_eq!(Policy::parse(b"\xff"), Err(PolicyError::Unreadable));
    }

    #[test]
    fn record_announces_one_id() {
        let id = |records: &[&str]| PolicyId::from_records(records.iter().copied()).map(|id| id.to_string());
        assert_eq!(id(&["v=STSv1; id=20261129T17;"]).as_deref(), Some("20261129T17"));
        assert_eq!(id(&["v=spf1 -all", "v=STSv1;x=y;id=1"]).as_deref(), Some("1"));
        let long = format!("v=STSv1; id={}", "1".repeat(33));
        for records in [
            &["v=STSv1; id=1", "v=STSv1; id=2"][..],
            &["v=STSv1"],
            &["v=STSv1; id=../x"],
            &["v=STSv2; id=1"],
            &["id=1; v=STSv1"],
            &[long.as_str()],
            &[],
        ] {
            assert_eq!(id(records), None, "{records:?}");
        }
        let id = PolicyId::of(&Policy::parse(POLICY.as_bytes()).unwrap());
        assert_ne!(id, PolicyId::of(&Policy::parse(POLICY.replace("604800", "1").as_bytes()).unwrap()));
        assert_eq!(PolicyId::from_records([id.record().as_str()].into_iter()), Some(id));
    }
}
