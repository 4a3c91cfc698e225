//! Limits on open connections, in total and per client network.
//!
//! A connection over a limit is answered and closed instead of left waiting: another mail server can then try its next
//! host, and a person reads the reason.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail_core::network::client_network;
use tokio::sync::Notify;

/// Maximum numbers of open connections.
#[derive(Clone)]
pub struct ConnectionLimits {
    pub connections_max: usize,
    /// Per IPv4 address or IPv6 /64 network.
    pub per_address_max: usize,
    /// Addresses that share many clients, such as a proxy's: exempt from `per_address_max`.
    pub is_trusted: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

impl fmt::Debug for ConnectionLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections_max, per_address_max, is_trusted: _ } = self;
        f.debug_struct("ConnectionLimits")
            .field("connections_max", connections_max)
            .field("per_address_max", per_address_max)
            .finish_non_exhaustive()
    }
}

/// Counts the open connections of a listener.
#[derive(Debug)]
pub struct ConnectionLimiter {
    limits: ConnectionLimits,
    counts: Mutex<Counts>,
    idle: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// The right to one open connection; dropping it frees the slot.
#[derive(Debug)]
pub struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    /// The network that the connection is counted under, if its client is known and not trusted.
    network: Option<IpAddr>,
}

/// The limit that a new connection would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitExceeded {
    Total,
    Address,
}

impl ConnectionLimiter {
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::default(), idle: Notify::new() })
    }

    #[must_use]
    pub const fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    /// Counts a connection from `address`.
    ///
    /// # Errors
    /// A limit is reached.
    pub fn acquire(self: &Arc<Self>, address: IpAddr) -> Result<ConnectionPermit, LimitExceeded> {
        self.acquire_unidentified()?.identify(address)
    }

    /// Counts a connection whose client is not known yet, for example before its PROXY header is read.
    ///
    /// # Errors
    /// The total limit is reached.
    pub fn acquire_unidentified(self: &Arc<Self>) -> Result<ConnectionPermit, LimitExceeded> {
        let mut counts = self.counts();
        if counts.total >= self.limits.connections_max {
            return Err(LimitExceeded::Total);
        }
        counts.total += 1;
        Ok(ConnectionPermit { limiter: Arc::clone(self), network: None })
    }

    /// Waits until no connection is open.
    pub async fn wait_until_idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.counts().total == 0 {
                return;
            }
            notified.await;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPermit {
    /// Counts the connection under its client's address.
    ///
    /// # Errors
    /// The address has reached its limit; the permit is released.
    pub fn identify(mut self, address: IpAddr) -> Result<Self, LimitExceeded> {
        debug_assert!(self.network.is_none(), "a connection is identified once");
        let limiter = Arc::clone(&self.limiter);
        if (limiter.limits.is_trusted)(address) {
            return Ok(self);
        }
        let network = client_network(address);
        let mut counts = limiter.counts();
        let count = counts.by_network.get(&network).copied().unwrap_or(0);
        if count >= limiter.limits.per_address_max {
            drop(counts);
            return Err(LimitExceeded::Address);
        }
        counts.by_network.insert(network, count + 1);
        self.network = Some(network);
        Ok(self)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = self.limiter.counts();
        counts.total -= 1;
        if let Some(network) = self.network
            && let Some(count) = counts.by_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_network.remove(&network);
            }
        }
        if counts.total == 0 {
            self.limiter.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(connections_max: usize, per_address_max: usize) -> Arc<ConnectionLimiter> {
        let is_trusted = Arc::new(|address: IpAddr| address == "10.1.1.1".parse::<IpAddr>().unwrap());
        ConnectionLimiter::new(ConnectionLimits { connections_max, per_address_max, is_trusted })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn address_limit_counts_ipv4_addresses_and_ipv6_networks() {
        let limiter = limiter(9, 2);
        let first = limiter.acquire(address("192.0.2.1")).expect("below the limit");
        let _mapped = limiter.acquire(address("::ffff:192.0.2.1")).expect("the same address, IPv4-mapped");
        assert_eq!(limiter.acquire(address("192.0.2.1")).err(), Some(LimitExceeded::Address));
        let _other = limiter.acquire(address("192.0.2.2")).expect("another address");
        drop(first);
        let _second = limiter.acquire(address("192.0.2.1")).expect("a slot was freed");
        let _v6 = ["2001:db8::1", "2001:db8::ffff:2"]
            .map(|text| limiter.acquire(address(text)).expect("below the limit"));
        assert_eq!(limiter.acquire(address("2001:db8::3")).err(), Some(LimitExceeded::Address));
        let _trusted = ["10.1.1.1"; 3].map(|text| limiter.acquire(address(text)).expect("trusted"));
        assert_eq!(limiter.counts().total, 8);
    }

    #[test]
    fn total_limit_counts_unidentified_connections() {
        let limiter = limiter(2, 2);
        let known = limiter.acquire(address("192.0.2.1")).expect("below the limit");
        let unidentified = limiter.acquire_unidentified().expect("below the limit");
        assert_eq!(limiter.acquire_unidentified().err(), Some(LimitExceeded::Total));
        assert_eq!(limiter.acquire(address("10.1.1.1")).err(), Some(LimitExceeded::Total));
        let identified = unidentified.identify(address("192.0.2.1")).expect("below the address limit");
        drop((known, identified));
        let counts = limiter.counts();
        assert!(counts.total == 0 && counts.by_network.is_empty(), "{counts:?}");
    }

    #[test]
    fn refused_identification_releases_the_permit() {
        let limiter = limiter(2, 1);
        let _first = limiter.acquire(address("192.0.2.1")).expect("below the limit");
        let unidentified = limiter.acquire_unidentified().expect("below the limit");
        assert_eq!(unidentified.identify(address("192.0.2.1")).err(), Some(LimitExceeded::Address));
        assert_eq!(limiter.counts().total, 1);
    }

    #[tokio::test]
    async fn wait_until_idle_ends_with_the_last_connection() {
        let limiter = limiter(2, 2);
        limiter.wait_until_idle().await;
        let permit = limiter.acquire(address("192.0.2.1")).expect("below the limit");
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.wait_until_idle().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(permit);
        waiting.await.expect("no panic");
    }
}
