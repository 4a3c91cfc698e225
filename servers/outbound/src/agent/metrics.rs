//! Metrics of outbound mail.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of the agent.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(super) delivered: Counter,
    pub(super) deferred: Counter,
    pub(super) failed: Counter,
    pub(super) reports: Counter,
    pub(super) waiting: Gauge,
}

type Labels = [(&'static str, &'static str); 1];

impl Metrics {
    /// Registers the metrics with the value 0.
    #[must_use]
    pub fn registered(registry: &mut Registry) -> Self {
        let recipients = Family::<Labels, Counter>::default();
        let help = "Results of outbound attempts, one per recipient";
        registry.register("outbound_recipients", help, recipients.clone());
        let outcome = |outcome| recipients.get_or_create(&[("outcome", outcome)]).clone();
        let metrics = Self {
            delivered: outcome("delivered"),
            deferred: outcome("deferred"),
            failed: outcome("failed"),
            ..Self::default()
        };
        let help = "Reports about delayed and undelivered mail";
        registry.register("outbound_reports", help, metrics.reports.clone());
        let help = "Queued messages, counted once per destination";
        registry.register("outbound_waiting", help, metrics.waiting.clone());
        metrics
    }
}
