//! Counts the connections of a listener: in all, and of each address.
//!
//! One connection too many is answered and closed at once, not left waiting: a mail server with another host to go to, or
//! a queue, should use it now, and a person should read why. With IPv6 a customer has a whole /64 of addresses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use config::{Limits, Networks};

use crate::accounts::throttle::network;

#[derive(Debug)]
pub(crate) struct Census {
    connections_max: usize,
    per_address_max: usize,
    /// Not counted by address: what comes from there is many clients.
    trusted: Networks,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among the connections; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    census: Arc<Census>,
    /// Where it is counted, besides in all.
    address: Option<IpAddr>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowd {
    All,
    OneAddress,
}

impl Census {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            connections_max: limits.connections,
            per_address_max: limits.connections_per_address,
            trusted: limits.trusted.clone(),
            counts: Mutex::default(),
        })
    }

    /// A place for a connection from this address.
    ///
    /// # Errors
    /// All places are taken, or all that the address may have.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Crowd> {
        let address = (!self.trusted.contains(address)).then(|| network(address));
        let mut counts = self.counts();
        if counts.all >= self.connections_max {
            return Err(Crowd::All);
        }
        if let Some(address) = address {
            let count = counts.by_address.entry(address).or_insert(0);
            // An entry is there only while somebody counts, so a full one had others before.
            if *count >= self.per_address_max {
                return Err(Crowd::OneAddress);
            }
            *count += 1;
        }
        counts.all += 1;
        Ok(Place { census: Arc::clone(self), address })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("nothing panics while it counts")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.census.counts();
        counts.all -= 1;
        if let Some(address) = self.address
            && let Some(count) = counts.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(connections: usize, connections_per_address: usize) -> Arc<Census> {
        let trusted = Networks::parse(&["10.0.0.0/8"]).expect("a network");
        Census::new(&Limits { connections, connections_per_address, trusted, ..Limits::default() })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let census = census(9, 2);
        let first = census.enter(address("192.0.2.1")).expect("a place");
        let _second = census.enter(address("::ffff:192.0.2.1")).expect("the same address in other clothes");
        assert_eq!(census.enter(address("192.0.2.1")).expect_err("two are there"), Crowd::OneAddress);
        let _other = census.enter(address("192.0.2.2")).expect("another address");
        drop(first);
        let _third = census.enter(address("192.0.2.1")).expect("one has gone");
        let _six =
            ["2001:db8::1", "2001:db8::ffff:2"].map(|text| census.enter(address(text)).expect("a place"));
        assert_eq!(census.enter(address("2001:db8::3")).expect_err("the same /64"), Crowd::OneAddress);
        let _trusted = ["10.1.1.1"; 3].map(|text| census.enter(address(text)).expect("trusted"));
        assert_eq!(census.counts().all, 8);
    }

    #[test]
    fn all_together_have_their_share_and_nothing_stays_counted() {
        let census = census(2, 2);
        let places = [census.enter(address("192.0.2.1")), census.enter(address("10.0.0.1"))];
        for text in ["192.0.2.2", "10.0.0.1", "192.0.2.1"] {
            assert_eq!(census.enter(address(text)).expect_err("two are there"), Crowd::All);
        }
        drop(places);
        let counts = census.counts();
        assert!(counts.all == 0 && counts.by_address.is_empty(), "{counts:?}");
    }
}
