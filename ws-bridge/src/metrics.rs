//! Metrics of the bridge.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::close::CloseReason;

#[derive(Debug)]
pub(crate) struct Metrics {
    connections: Family<[Label; 1], Counter>,
    open: Family<[Label; 1], Gauge>,
    octets: Family<[Label; 2], Counter>,
    refused_family: Family<[Label; 1], Counter>,
    close_family: Family<[Label; 2], Counter>,
    targets: OnceLock<BTreeMap<String, TargetMetrics>>,
    pub(crate) refused: Refused,
    /// By [`CloseReason::index`].
    closes: Vec<Counter>,
    /// Connections that the browser closed with a Close frame.
    pub(crate) closed_by_browser: Counter,
    /// Connections whose browser disconnected without a Close, or did not answer the bridge's.
    pub(crate) lost: Counter,
}

type Label = (&'static str, String);

/// Connections to one target.
#[derive(Debug)]
pub(crate) struct TargetMetrics {
    connections: Counter,
    open: Gauge,
    /// Stream octets written to the target.
    pub(crate) octets_up: Counter,
    /// Stream octets read from the target.
    pub(crate) octets_down: Counter,
}

/// Requests refused before the upgrade, by reason.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) host_or_origin: Counter,
    pub(crate) target: Counter,
    pub(crate) handshake: Counter,
    /// `connections` is reached.
    pub(crate) total_limit: Counter,
    /// `connections_per_address` is reached.
    pub(crate) address_limit: Counter,
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection<'a>(&'a Gauge);

impl Metrics {
    pub(crate) fn new() -> Self {
        let refused_family = Family::default();
        let refused = |reason: &str| child(&refused_family, [("reason", reason.to_owned())]);
        let close_family = Family::default();
        let closes = CloseReason::CODES_AND_LABELS.iter().map(|(code, reason)| {
            child(&close_family, [("code", code.to_string()), ("reason", (*reason).to_owned())])
        });
        Self {
            connections: Family::default(),
            open: Family::default(),
            octets: Family::default(),
            refused: Refused {
                host_or_origin: refused("host_or_origin"),
                target: refused("target"),
                handshake: refused("handshake"),
                total_limit: refused("connections"),
                address_limit: refused("connections_per_address"),
            },
            closes: closes.collect(),
            refused_family,
            close_family,
            targets: OnceLock::new(),
            closed_by_browser: Counter::default(),
            lost: Counter::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let connections = self.connections.clone();
        registry.register("bridge_connections", "WebSocket connections upgraded", connections);
        registry.register("bridge_connections_open", "WebSocket connections open now", self.open.clone());
        let help = "Octets relayed, up to the target or down to the browser";
        registry.register("bridge_octets", help, self.octets.clone());
        let help = "WebSocket requests refused before the upgrade, by reason";
        registry.register("bridge_connections_refused", help, self.refused_family.clone());
        let help = "WebSocket connections closed by the bridge, by close code and reason";
        registry.register("bridge_closes", help, self.close_family.clone());
        let help = "WebSocket connections closed by the browser";
        registry.register("bridge_closed_by_browser", help, self.closed_by_browser.clone());
        let help = "WebSocket connections that ended without a close handshake";
        registry.register("bridge_lost", help, self.lost.clone());
    }

    /// Creates the metrics of all targets, with the value 0.
    pub(crate) fn set_targets<'a>(&self, names: impl Iterator<Item = &'a String>) {
        let targets = names.map(|name| (name.clone(), self.new_target(name))).collect();
        self.targets.set(targets).expect("the bridge serves once");
    }

    fn new_target(&self, name: &str) -> TargetMetrics {
        let target = || ("target", name.to_owned());
        let octets = |direction: &str| child(&self.octets, [target(), ("direction", direction.to_owned())]);
        TargetMetrics {
            connections: child(&self.connections, [target()]),
            open: child(&self.open, [target()]),
            octets_up: octets("up"),
            octets_down: octets("down"),
        }
    }

    pub(crate) fn target(&self, name: &str) -> Option<&TargetMetrics> {
        self.targets.get()?.get(name)
    }

    pub(crate) fn count_close(&self, reason: CloseReason) {
        self.closes[reason.index()].inc();
    }
}

fn child<L, M>(family: &Family<L, M>, labels: L) -> M
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet,
    M: Clone + Default,
{
    family.get_or_create(&labels).clone()
}

impl TargetMetrics {
    pub(crate) fn open_connection(&self) -> OpenConnection<'_> {
        self.connections.inc();
        self.open.inc();
        OpenConnection(&self.open)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
