//! `[inbound]`: authentication and filtering of mail from unauthenticated clients, the policy for hosts that send it, and fields of
//! delivered mail.

use std::net::SocketAddr;
use std::time::Duration;

use mail_core::mta_sts::{HostPattern, Mode, Policy};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::{Config, InvalidValue, Tls};

/// The time for which other hosts keep the policy. RFC 8461 section 3.2 recommends weeks.
const ENFORCE_AGE: Duration = Duration::from_secs(14 * 24 * 3_600);
const TESTING_AGE: Duration = Duration::from_secs(24 * 3_600);

/// `[inbound]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inbound {
    /// Whether SPF, DKIM and DMARC are verified, with DNS queries. `None`: if `[outbound]` exists; see
    /// [`Config::authenticates`].
    pub authenticate: Option<bool>,
    pub dmarc: DmarcMode,
    /// The spam filter.
    pub rspamd: Option<SpamFilter>,
    /// The MTA-STS policy of the local domains, which the page's listener serves (RFC 8461).
    pub mta_sts: MtaStsMode,
    /// Whether delivered mail gets a Delivered-To field (RFC 9228). `None`: if `[outbound]` exists; see
    /// [`Config::adds_delivered_to`].
    pub delivered_to: Option<bool>,
}

/// The address of Rspamd's normal worker: `http://127.0.0.1:11333`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpamFilter(pub SocketAddr);

impl<'de> Deserialize<'de> for SpamFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        address.and_then(|address| address.parse().ok()).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not the URL of a spam filter; write its IP address and port, as in \"http://127.0.0.1:11333\""
            ))
        })
    }
}

/// The policy that other hosts find for mail to the local domains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MtaStsMode {
    /// There is none.
    #[default]
    Off,
    Testing,
    Enforce,
}

/// Treatment of a message that fails a DMARC policy `p=reject`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcMode {
    /// It is accepted, and its Authentication-Results field shows the result.
    #[default]
    Report,
    Reject,
}

impl Config {
    /// Whether mail from unauthenticated clients is authenticated.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        self.inbound.authenticate.unwrap_or(self.outbound.is_some())
    }

    /// The names that serve the MTA-STS policy of each local domain, in ASCII form.
    #[must_use]
    pub fn policy_hosts(&self) -> Vec<String> {
        if self.inbound.mta_sts == MtaStsMode::Off {
            return Vec::new();
        }
        self.domains.iter().map(|domain| format!("mta-sts.{}", domain.ascii())).collect()
    }

    /// The MTA-STS policy of the local domains: this host is their only mail server.
    #[must_use]
    pub fn mta_sts_policy(&self) -> Option<Policy> {
        let (mode, max_age) = match self.inbound.mta_sts {
            MtaStsMode::Off => return None,
            MtaStsMode::Testing => (Mode::Testing, TESTING_AGE),
            MtaStsMode::Enforce => (Mode::Enforce, ENFORCE_AGE),
        };
        Some(Policy { mode, hosts: vec![HostPattern::host(self.hostname.clone())], max_age })
    }

    /// Whether each delivered copy gets a Delivered-To field with the address that led to its mailbox.
    #[must_use]
    pub fn adds_delivered_to(&self) -> bool {
        self.inbound.delivered_to.unwrap_or(self.outbound.is_some())
    }

    pub(crate) fn validate_inbound(&self) -> Result<(), InvalidValue> {
        InvalidValue::require(
            self.inbound.mta_sts == MtaStsMode::Off
                || (self.web.listen.address().is_some() && !matches!(self.tls, Tls::Off | Tls::SelfSigned)),
            "[inbound]",
            "mta_sts",
            "needs the listener of [web], and a certificate that other hosts trust in [tls]",
        )?;
        InvalidValue::require(
            self.inbound.dmarc == DmarcMode::Report || self.authenticates(),
            "[inbound]",
            "dmarc",
            "is \"reject\", which needs `authenticate = true`",
        )?;
        InvalidValue::require(
            self.inbound.rspamd.is_none() || self.authenticates(),
            "[inbound]",
            "rspamd",
            "needs `authenticate = true`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_authenticated_if_there_is_outbound_mail_unless_configured() {
        let outbound = "[outbound]\nmode = 'direct'\n";
        for (text, authenticates) in [
            ("", false),
            ("[inbound]\nauthenticate = true\ndmarc = 'reject'", true),
            (outbound, true),
            (&format!("{outbound}[inbound]\nauthenticate = false"), false),
        ] {
            assert_eq!(Config::parse(text).unwrap().authenticates(), authenticates, "{text}");
        }
        for (text, part) in [
            ("[inbound]\ndmarc = 'reject'", "`authenticate = true`"),
            ("[inbound]\nrspamd = 'http://127.0.0.1:11333'", "`authenticate = true`"),
            ("[inbound]\nrspamd = 'http://localhost:11333'", "127.0.0.1:11333"),
            ("[inbound]\nmta_sts = 'enforce'", "a certificate that other hosts trust"),
            (
                "[inbound]\nmta_sts = 'testing'\n[tls]\nself_signed = true",
                "a certificate that other hosts trust",
            ),
        ] {
            let error = Config::parse(text).expect_err("contradictory").reason;
            assert!(error.contains(part), "{error}");
        }
    }
}
