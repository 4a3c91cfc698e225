//! Counts the bridged connections: in all, and of each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

#[derive(Debug)]
pub(crate) struct Census {
    all: Arc<Semaphore>,
    all_max: u32,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    by_address_max: usize,
}

/// A place among the connections; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    census: Arc<Census>,
    address: IpAddr,
    _of_all: OwnedSemaphorePermit,
}

/// What there is no place left of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    All,
    Address,
}

impl Census {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let all_max = u32::try_from(limits.connections).unwrap_or(u32::MAX).min(MANY);
        Arc::new(Self {
            all: Arc::new(Semaphore::new(all_max as usize)),
            all_max,
            by_address: Mutex::default(),
            by_address_max: limits.connections_per_address,
        })
    }

    /// A place for a connection from this address.
    ///
    /// # Errors
    /// All, or all of that address, are taken.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::All)?;
        let address = network(address);
        let mut by_address = self.by_address();
        let count = by_address.entry(address).or_insert(0);
        // An entry is there only while somebody counts, so a full one had others before.
        if *count >= self.by_address_max {
            return Err(Full::Address);
        }
        *count += 1;
        Ok(Place { census: Arc::clone(self), address, _of_all: of_all })
    }

    /// Waits until nobody is left.
    pub(crate) async fn empty(&self) {
        let _all = self.all.acquire_many(self.all_max).await.expect("the semaphore is never closed");
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().expect("nothing panics while it counts")
    }
}

/// More than any machine has ports for, and few enough for a semaphore everywhere.
const MANY: u32 = 1 << 24;

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.census.by_address();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// With IPv6 one customer has a whole /64 network of addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(connections: usize, connections_per_address: usize) -> Arc<Census> {
        let configured = config::WebLimits { connections, connections_per_address, ..Default::default() };
        Census::new(&Limits::from(&configured))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test]
    async fn all_places_are_given_once_and_given_back() {
        let census = census(2, 2);
        let one = census.enter(address("192.0.2.1")).expect("a free place");
        let two = census.enter(address("192.0.2.2")).expect("a free place");
        assert_eq!(census.enter(address("192.0.2.3")).err(), Some(Full::All));
        drop(one);
        let three = census.enter(address("192.0.2.3")).expect("a place came back");
        drop((two, three));
        census.empty().await;
        assert!(census.by_address().is_empty());
    }

    #[test]
    fn one_address_has_its_share() {
        let census = census(9, 1);
        let one = census.enter(address("2001:db8::1")).expect("a free place");
        assert_eq!(census.enter(address("2001:db8::ffff:2")).err(), Some(Full::Address), "the same /64");
        let other = census.enter(address("2001:db8:0:1::1")).expect("another network");
        let four = census.enter(address("::ffff:192.0.2.1")).expect("another address");
        assert_eq!(census.enter(address("192.0.2.1")).err(), Some(Full::Address), "the same in IPv6 clothes");
        drop((one, other, four));
        assert!(census.by_address().is_empty());
        assert!(census.enter(address("2001:db8::2")).is_ok());
    }
}
