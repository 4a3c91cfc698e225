//! What the servers count while they run: connections, replies, mail, and how long it took.
//!
//! Plain numbers, a few atomic additions on a message's way. How they are shown, and to whom, is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::info;

use crate::store::StoreError;

/// Everything that is counted.
#[derive(Debug)]
pub struct Meters {
    pub smtp: Arc<Traffic>,
    pub submission: Arc<Traffic>,
    pub pop3: Arc<Traffic>,
    pub sign_ins: SignIns,
    /// Messages that were made durable, once each however many recipients they have, and their octets as sent.
    pub delivered: Mail,
    /// From the end of a message to its last copy on stable storage.
    pub commit: Latency,
    /// Messages that RETR gave whole, and their octets as LIST says them.
    pub retrieved: Mail,
    pub store_errors: StoreErrors,
}

/// One protocol's connections.
#[derive(Debug)]
pub struct Traffic {
    dialect: Dialect,
    /// Accepted by the system, whatever became of them.
    pub accepted: Count,
    /// Served at the moment.
    pub open: Count,
    pub refused: Refused,
    pub handshakes: Count,
    pub failed_handshakes: Count,
    replies: [Count; 4],
    /// From an event that the policy decides to its answer; what is held back on purpose is not in it.
    pub answers: Latency,
}

/// How a reply is told from the rest of what a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 5321 section 4.2: by the first digit; the last line of a reply has no hyphen.
    Smtp,
    /// RFC 1939 section 3: by the status indicator. Nothing else that a machine says begins with one.
    Pop3,
}

/// Connections that were not served, by reason.
#[derive(Debug, Default)]
pub struct Refused {
    /// All of `connections` were there.
    pub all_taken: Count,
    /// All of `connections_per_address` were there.
    pub address_full: Count,
    /// No PROXY header, or from nobody who may send one.
    pub no_proxy_header: Count,
}

/// Sign-ins by what came of them.
#[derive(Debug, Default)]
pub struct SignIns {
    pub good: Count,
    pub wrong: Count,
    pub too_many: Count,
    pub not_now: Count,
}

#[derive(Debug, Default)]
pub struct Mail {
    pub messages: Count,
    pub octets: Count,
}

/// What a store could not do, by kind. A maildrop in use is no error.
#[derive(Debug, Default)]
pub struct StoreErrors {
    pub full: Count,
    pub lost: Count,
    pub failed: Count,
}

/// A number that grows, but for the open connections'.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Latency {
    /// One for each of [`BOUNDS`], and one for what took longer.
    counts: [Count; BOUNDS.len() + 1],
    nanoseconds: Count,
}

/// The longest that each stretch of a [`Latency`] holds: from a look-up in memory to a disk that hangs.
pub const BOUNDS: [Duration; 12] = [
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// A connection that is being served; dropping it ends that.
#[derive(Debug)]
pub struct Open(Arc<Traffic>);

impl Default for Meters {
    fn default() -> Self {
        Self {
            smtp: Arc::new(Traffic::new(Dialect::Smtp)),
            submission: Arc::new(Traffic::new(Dialect::Smtp)),
            pop3: Arc::new(Traffic::new(Dialect::Pop3)),
            sign_ins: SignIns::default(),
            delivered: Mail::default(),
            commit: Latency::default(),
            retrieved: Mail::default(),
            store_errors: StoreErrors::default(),
        }
    }
}

impl Traffic {
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            accepted: Count::default(),
            open: Count::default(),
            refused: Refused::default(),
            handshakes: Count::default(),
            failed_handshakes: Count::default(),
            replies: Default::default(),
            answers: Latency::default(),
        }
    }

    /// Counts a connection as open for as long as the value lives.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Open {
        self.open.add(1);
        Open(Arc::clone(self))
    }

    /// Counts the replies in whole lines of a machine's output; whether there were any. A refusal, of a limit or of anything
    /// else, is told to the log as it is told to the peer.
    pub fn count_replies(&self, output: &[u8]) -> bool {
        let mut any = false;
        for line in output.split_inclusive(|octet| *octet == b'\n') {
            if let Some(class) = self.dialect.class(line) {
                if self.dialect.classes()[class].starts_with(['4', '5', '-']) {
                    info!(reply = %line.trim_ascii_end().escape_ascii(), "refused");
                }
                self.replies[class].add(1);
                any = true;
            }
        }
        any
    }

    /// How many replies of each class there were.
    pub fn replies(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.dialect.classes().iter().zip(&self.replies).map(|(class, count)| (*class, count.get()))
    }
}

impl Dialect {
    const fn classes(self) -> &'static [&'static str] {
        match self {
            Self::Smtp => &["2xx", "3xx", "4xx", "5xx"],
            Self::Pop3 => &["+OK", "-ERR"],
        }
    }

    fn class(self, line: &[u8]) -> Option<usize> {
        match self {
            Self::Smtp => match *line {
                [_, _, _, b'-', ..] => None,
                [digit @ b'2'..=b'5', ..] => Some(usize::from(digit - b'2')),
                _ => None,
            },
            Self::Pop3 if line.starts_with(b"+OK") => Some(0),
            Self::Pop3 if line.starts_with(b"-ERR") => Some(1),
            Self::Pop3 => None,
        }
    }
}

impl Mail {
    /// Counts one more message.
    pub fn add(&self, octets: u64) {
        self.messages.add(1);
        self.octets.add(octets);
    }
}

impl StoreErrors {
    pub fn add(&self, error: &StoreError) {
        match error {
            StoreError::InUse => {}
            StoreError::Full(_) => self.full.add(1),
            StoreError::Lost(_) => self.lost.add(1),
            StoreError::Failed(_) => self.failed.add(1),
        }
    }
}

impl Count {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Latency {
    pub fn observe(&self, time: Duration) {
        self.counts[BOUNDS.partition_point(|bound| *bound < time)].add(1);
        // Saturates after five hundred years.
        self.nanoseconds.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How often it took longer than the bound before and at most this one; the last has no bound.
    pub fn counts(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        bounds.zip(&self.counts).map(|(bound, count)| (bound, count.get()))
    }

    /// All that it ever took.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.get())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_counts_once_however_many_lines_it_has() {
        let smtp = Traffic::new(Dialect::Smtp);
        assert!(
            smtp.count_replies(b"250-iitkgp.edu\r\n250-SIZE 1\r\n250 HELP\r\n354 go\r\n550 5.1.1 no\r\n")
        );
        assert!(smtp.count_replies(b"421 busy\r\n"));
        assert!(!smtp.count_replies(b"250-iitkgp.edu\r\n") && !smtp.count_replies(b""));
        assert_eq!(smtp.replies().map(|(_, count)| count).collect::<Vec<_>>(), [1, 1, 1, 1]);
    }

    #[test]
    fn what_a_pop3_server_lists_is_no_reply() {
        let pop3 = Traffic::new(Dialect::Pop3);
        assert!(
            pop3.count_replies(b"+OK 2 messages\r\n1 250\r\n250 12\r\n.\r\n-ERR no such message\r\n+OK\r\n")
        );
        assert!(!pop3.count_replies(b"+ \r\n3 +OK\r\n.\r\n"));
        assert_eq!(pop3.replies().collect::<Vec<_>>(), [("+OK", 2), ("-ERR", 1)]);
    }

    #[test]
    fn a_time_is_counted_up_to_its_bound() {
        let latency = Latency::default();
        for time in [Duration::ZERO, BOUNDS[0], BOUNDS[0] + Duration::from_nanos(1), Duration::from_secs(31)]
        {
            latency.observe(time);
        }
        let counts: Vec<u64> = latency.counts().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[12]), (2, 1, 1));
        assert_eq!(latency.counts().last().map(|(bound, _)| bound), Some(None));
        assert_eq!(latency.sum(), BOUNDS[0] * 2 + Duration::from_nanos(1) + Duration::from_secs(31));
    }

    #[test]
    fn an_open_connection_is_open_until_it_is_dropped() {
        let traffic = Arc::new(Traffic::new(Dialect::Smtp));
        let both = [traffic.enter(), traffic.enter()];
        assert_eq!(traffic.open.get(), 2);
        drop(both);
        assert_eq!(traffic.open.get(), 0);
    }
}
