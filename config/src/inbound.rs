//! `[inbound]`: authentication of mail from unauthenticated clients.

use serde::Deserialize;

use crate::{Config, InvalidValue};

/// `[inbound]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inbound {
    /// Whether SPF, DKIM and DMARC are verified, with DNS queries. `None`: if `[outbound]` exists; see
    /// [`Config::authenticates`].
    pub authenticate: Option<bool>,
    pub dmarc: DmarcMode,
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

    pub(crate) fn validate_inbound(&self) -> Result<(), InvalidValue> {
        InvalidValue::require(
            self.inbound.dmarc == DmarcMode::Report || self.authenticates(),
            "[inbound]",
            "dmarc",
            "is \"reject\", which needs `authenticate = true`",
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
        let error = Config::parse("[inbound]\ndmarc = 'reject'").expect_err("contradictory").reason;
        assert!(error.contains("`authenticate = true`"), "{error}");
    }
}
