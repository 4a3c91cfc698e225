//! Authentication of incoming mail, as configured.

use std::sync::Arc;

use config::Config;
use mail_authentication::{Authenticator, SpamMetrics};
use mail_service::authentication::MessageAuthenticator;
use prometheus_client::registry::Registry;

/// Verifies incoming mail; `None` if this process receives none, or is not to verify it.
///
/// # Errors
/// A sentence: the DNS servers cannot be used.
pub(crate) fn authenticator(
    config: &Config,
    serves_smtp: bool,
    registry: &mut Registry,
) -> Result<Option<Arc<dyn MessageAuthenticator>>, String> {
    if !serves_smtp || !config.authenticates() {
        return Ok(None);
    }
    let servers = config.outbound.as_ref().map(|outbound| &outbound.resolver[..]).unwrap_or_default();
    let mut authenticator = Authenticator::new(&config.hostname, servers, config.inbound.dmarc)?;
    if let Some(filter) = config.inbound.rspamd {
        authenticator = authenticator.with_rspamd(filter, SpamMetrics::registered(registry));
    }
    Ok(Some(Arc::new(authenticator)))
}
