//! What the bridge counts while it runs: connections, octets, refusals, and why connections ended.
//!
//! Plain numbers, an atomic addition for each piece that is carried. How they are shown, and to whom, is not known here.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::close::Close;

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Meters {
    targets: OnceLock<BTreeMap<String, Passage>>,
    pub refused: Refused,
    closes: [Count; Close::REASONS.len()],
    /// Connections that the browser closed.
    pub closed_by_browser: Count,
    /// Connections whose browser was gone without a Close, or did not answer the bridge's.
    pub lost: Count,
}

/// The connections to one target.
#[derive(Debug, Default)]
pub struct Passage {
    /// Upgraded, whatever became of them.
    pub accepted: Count,
    /// Bridged at the moment.
    pub open: Count,
    /// Octets of the stream that the target took, and that it sent.
    pub octets_up: Count,
    pub octets_down: Count,
}

/// Requests for a connection that were refused before the upgrade, by reason.
#[derive(Debug, Default)]
pub struct Refused {
    pub host_or_origin: Count,
    pub target: Count,
    pub handshake: Count,
    /// All of `connections` were there.
    pub all_taken: Count,
    /// All of `connections_per_address` were there.
    pub address_full: Count,
}

/// A number that grows, but for the open connections'.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

/// A connection that is bridged; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Open<'a>(&'a Passage);

impl Meters {
    /// The targets by name; none before the bridge serves.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &Passage)> {
        self.targets.get().into_iter().flatten().map(|(name, passage)| (name.as_str(), passage))
    }

    /// How many connections the bridge itself has closed, by the code and the name of each reason there is.
    pub fn closes(&self) -> impl Iterator<Item = (u16, &'static str, u64)> {
        Close::REASONS.iter().zip(&self.closes).map(|((code, name), count)| (*code, *name, count.get()))
    }

    pub(crate) fn begin<'a>(&self, targets: impl Iterator<Item = &'a String>) {
        self.targets.get_or_init(|| targets.map(|name| (name.clone(), Passage::default())).collect());
    }

    pub(crate) fn target(&self, name: &str) -> Option<&Passage> {
        self.targets.get()?.get(name)
    }

    pub(crate) fn count_close(&self, close: Close) {
        self.closes[close.reason()].add(1);
    }
}

impl Passage {
    pub(crate) fn enter(&self) -> Open<'_> {
        self.accepted.add(1);
        self.open.add(1);
        Open(self)
    }
}

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.0.fetch_sub(1, Ordering::Relaxed);
    }
}
