//! Defects of a certificate that clients reject: its validity period (RFC 5280 section 4.1.2.5) and its names (RFC 9525). Trust is not checked: the clients' root certificates are unknown.

use std::fmt::{self, Display};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, Validity, X509Certificate};

/// A certificate that expires sooner is reported. ACME clients renew 30 days before expiry, so a renewal has failed by then.
const EXPIRY_WARNING: Duration = Duration::from_hours(14 * 24);

/// A reason for clients to refuse the certificate, now or soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The position in the chain starts at 1, the server's own certificate.
    Expired {
        position: usize,
        at: String,
    },
    ExpiresSoon {
        position: usize,
        at: String,
    },
    NotYetValid {
        position: usize,
        from: String,
    },
    /// The certificate is not valid for this host name.
    WrongName(String),
    /// Not an X.509 certificate.
    Unreadable {
        position: usize,
    },
}

impl Finding {
    /// Whether clients refuse the certificate now.
    #[must_use]
    pub const fn is_defect(&self) -> bool {
        !matches!(self, Self::ExpiresSoon { .. })
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { position, at } => {
                write!(f, "{} expired on {at}; install a renewed one", Subject(*position))
            }
            Self::ExpiresSoon { position, at } => {
                write!(f, "{} expires on {at}; renew it before then", Subject(*position))
            }
            Self::NotYetValid { position, from } => write!(
                f,
                "{} is not valid before {from}; check this host's clock, or install a valid one",
                Subject(*position)
            ),
            Self::WrongName(name) => write!(
                f,
                "the certificate is not valid for `{name}`; install one that names it, or correct the host name"
            ),
            Self::Unreadable { position } => {
                write!(f, "{} is not an X.509 certificate; install one that is", Subject(*position))
            }
        }
    }
}

/// The subject of a finding's sentence.
struct Subject(usize);

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("the certificate"),
            position => write!(f, "certificate {position} of the chain"),
        }
    }
}

/// Inspects a chain, leaf first, at a time. The leaf must be valid for each of `names`.
pub(crate) fn inspect(chain: &[CertificateDer<'_>], names: &[String], now: SystemTime) -> Vec<Finding> {
    let mut findings: Vec<_> =
        (1..).zip(chain).filter_map(|(position, der)| check_validity(position, der, now)).collect();
    if let Some(Ok(leaf)) = chain.first().map(ParsedCertificate::try_from) {
        let wrong = names.iter().filter(|name| !is_valid_for(&leaf, name));
        findings.extend(wrong.cloned().map(Finding::WrongName));
    }
    findings
}

/// The end of two thirds of a certificate's lifetime; `None` if it is not valid for each of `names`.
pub(crate) fn renewal_due(leaf: &CertificateDer<'_>, names: &[String]) -> Option<SystemTime> {
    let parsed = ParsedCertificate::try_from(leaf).ok()?;
    if !names.iter().all(|name| is_valid_for(&parsed, name)) {
        return None;
    }
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let seconds = |timestamp: i64| u64::try_from(timestamp).unwrap_or_default();
    let Validity { not_before, not_after } = certificate.validity();
    let (start, end) = (seconds(not_before.timestamp()), seconds(not_after.timestamp()));
    // The year of a certificate has four digits.
    Some(UNIX_EPOCH + Duration::from_secs(start + end.saturating_sub(start) * 2 / 3))
}

fn is_valid_for(leaf: &ParsedCertificate<'_>, name: &str) -> bool {
    ServerName::try_from(name).is_ok_and(|name| verify_server_name(leaf, &name).is_ok())
}

fn check_validity(position: usize, der: &[u8], now: SystemTime) -> Option<Finding> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Some(Finding::Unreadable { position });
    };
    let Validity { not_before, not_after } = certificate.validity();
    // Both ends belong to the period.
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
    let warned_from = not_after.timestamp() - EXPIRY_WARNING.as_secs().cast_signed();
    if now < not_before.timestamp() {
        Some(Finding::NotYetValid { position, from: not_before.to_string() })
    } else if now > not_after.timestamp() {
        Some(Finding::Expired { position, at: not_after.to_string() })
    } else if now > warned_from {
        Some(Finding::ExpiresSoon { position, at: not_after.to_string() })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    /// The certificates are valid from the first of these days to the second.
    const NOT_BEFORE: Duration = Duration::from_hours(20_000 * 24);
    const NOT_AFTER: Duration = Duration::from_hours(20_090 * 24);

    fn chain(names: &[&str]) -> Vec<CertificateDer<'static>> {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).expect("valid names");
        parameters.not_before = date_time_ymd(1970, 1, 1) + NOT_BEFORE;
        parameters.not_after = date_time_ymd(1970, 1, 1) + NOT_AFTER;
        vec![parameters.self_signed(&key).expect("signed").der().clone()]
    }

    fn inspect_at(chain: &[CertificateDer<'_>], names: &[&str], age: Duration) -> Vec<Finding> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        inspect(chain, &names, UNIX_EPOCH + age)
    }

    #[test]
    fn validity_period_is_compared_with_the_time() {
        let chain = chain(&["iitkgp.edu"]);
        let second = Duration::from_secs(1);
        for (age, expected) in [
            (NOT_BEFORE - second, Some("is not valid before")),
            (NOT_BEFORE, None),
            (NOT_AFTER - 14 * DAY, None),
            (NOT_AFTER - 14 * DAY + second, Some("expires on")),
            (NOT_AFTER, Some("expires on")),
            (NOT_AFTER + second, Some("expired on")),
            (NOT_AFTER + 5_000 * DAY, Some("expired on")),
        ] {
            let findings = inspect_at(&chain, &["iitkgp.edu"], age);
            let sentences: Vec<_> = findings.iter().map(Finding::to_string).collect();
            assert_eq!(sentences.len(), usize::from(expected.is_some()), "{age:?}: {sentences:?}");
            let expected = expected.unwrap_or_default();
            assert!(sentences.iter().all(|sentence| sentence.contains(expected)), "{age:?}: {sentences:?}");
            assert!(findings.iter().all(|finding| finding.is_defect() != (expected == "expires on")));
        }
    }

    #[test]
    fn every_certificate_of_the_chain_is_checked() {
        let mut both = chain(&["iitkgp.edu"]);
        both.extend(chain(&["issuer.example"]));
        both.push(CertificateDer::from(b"no certificate".to_vec()));
        let sentences: Vec<_> =
            inspect_at(&both, &["iitkgp.edu"], NOT_AFTER + DAY).iter().map(Finding::to_string).collect();
        assert_eq!(sentences.len(), 3, "{sentences:?}");
        for (sentence, subject) in sentences.iter().zip([
            "the certificate",
            "certificate 2 of the chain",
            "certificate 3 of the chain",
        ]) {
            assert!(sentence.starts_with(subject), "{sentence}");
        }
    }

    #[test]
    fn renewal_is_due_after_two_thirds_of_the_lifetime_and_for_another_name() {
        let chain = chain(&["iitkgp.edu", "iit.edu"]);
        let due = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            renewal_due(&chain[0], &names)
        };
        assert_eq!(due(&["iit.edu"]), Some(UNIX_EPOCH + NOT_BEFORE + 60 * DAY));
        assert_eq!(due(&["iit.edu", "iitkgp.edu"]), due(&["iit.edu"]));
        assert_eq!(due(&["iit.edu", "mail.iit.edu"]), None);
        assert_eq!(renewal_due(&CertificateDer::from(b"none".to_vec()), &[]), None);
    }

    #[test]
    fn name_that_the_certificate_lacks_is_reported() {
        let chain = chain(&["*.iit.edu", "iitkgp.edu", "192.0.2.1"]);
        let good = ["mail.iit.edu", "IITKGP.edu", "192.0.2.1"];
        assert_eq!(inspect_at(&chain, &good, NOT_BEFORE), []);
        for name in ["iit.edu", "a.mail.iit.edu", "iitkgp.edu.example", "192.0.2.2", "not a name"] {
            let findings = inspect_at(&chain, &["iitkgp.edu", name], NOT_BEFORE);
            assert_eq!(findings, [Finding::WrongName(name.to_owned())]);
            assert!(findings[0].is_defect());
        }
    }
}
