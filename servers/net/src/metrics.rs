//! Counters of the connections of one protocol.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tracing::info;

/// Upper bounds of a latency histogram, in seconds: from a lookup in memory to a disk that hangs.
pub const LATENCY_BUCKETS: [f64; 12] =
    [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Metrics of one protocol's connections.
#[derive(Debug)]
pub struct ConnectionMetrics {
    format: ReplyFormat,
    /// Accepted connections, refused ones included.
    pub accepted: Counter,
    /// Connections that are open now.
    pub open: Gauge,
    pub refused: RefusedConnections,
    pub handshakes: Counter,
    pub failed_handshakes: Counter,
    /// By the classes of the [`ReplyFormat`].
    replies: Vec<Counter>,
    /// Seconds from an event to the first octet of its reply; deliberate delays are excluded.
    pub answer_seconds: Histogram,
}

/// Connections that were closed before a session began, by reason.
#[derive(Debug)]
pub struct RefusedConnections {
    /// The total limit was reached.
    pub total_limit: Counter,
    /// The limit of the client's address was reached.
    pub address_limit: Counter,
    /// No valid PROXY header, or from a peer that may not send one.
    pub proxy_header: Counter,
}

/// The form of a reply in a protocol's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyFormat {
    /// RFC 5321 section 4.2: a three-digit code, followed by a hyphen on all lines but the last.
    Smtp,
    /// RFC 1939 section 3: a status indicator.
    Pop3,
}

/// The registered metrics of all protocols.
#[derive(Debug)]
pub struct ConnectionFamilies {
    accepted: Family<[Label; 1], Counter>,
    open: Family<[Label; 1], Gauge>,
    refused: Family<[Label; 2], Counter>,
    handshakes: Family<[Label; 2], Counter>,
    replies: Family<[Label; 2], Counter>,
    answer_seconds: Family<[Label; 1], Histogram, LatencyHistogram>,
}

type Label = (&'static str, &'static str);

/// Makes a histogram of [`LATENCY_BUCKETS`].
#[derive(Debug, Clone, Copy)]
pub struct LatencyHistogram;

impl MetricConstructor<Histogram> for LatencyHistogram {
    fn new_metric(&self) -> Histogram {
        Histogram::new(LATENCY_BUCKETS)
    }
}

/// Decrements a gauge when dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl ConnectionFamilies {
    /// Registers the metrics, without values.
    pub fn register(registry: &mut Registry) -> Self {
        let families = Self {
            accepted: Family::default(),
            open: Family::default(),
            refused: Family::default(),
            handshakes: Family::default(),
            replies: Family::default(),
            answer_seconds: Family::new_with_constructor(LatencyHistogram),
        };
        let Self { accepted, open, refused, handshakes, replies, answer_seconds } = &families;
        registry.register(
            "connections_accepted",
            "Accepted connections, refused ones included",
            accepted.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections closed before a session began, by reason",
            refused.clone(),
        );
        registry.register("tls_handshakes", "TLS handshakes, by result", handshakes.clone());
        registry.register("replies", "Replies, greetings included, by class", replies.clone());
        registry.register("connections_open", "Connections that are open now", open.clone());
        let help = "Seconds from an event to its reply, without deliberate delays";
        registry.register("answer_seconds", help, answer_seconds.clone());
        families
    }

    /// The metrics of a protocol; all of them exist, with the value 0, from now on.
    #[must_use]
    pub fn protocol(&self, name: &'static str, format: ReplyFormat) -> Arc<ConnectionMetrics> {
        let protocol = ("protocol", name);
        let refused = |reason| child(&self.refused, [protocol, ("reason", reason)]);
        let handshakes = |result| child(&self.handshakes, [protocol, ("result", result)]);
        Arc::new(ConnectionMetrics {
            format,
            accepted: child(&self.accepted, [protocol]),
            open: child(&self.open, [protocol]),
            refused: RefusedConnections {
                total_limit: refused("connections"),
                address_limit: refused("connections_per_address"),
                proxy_header: refused("proxy_header"),
            },
            handshakes: handshakes("good"),
            failed_handshakes: handshakes("failed"),
            replies: format
                .classes()
                .iter()
                .map(|class| child(&self.replies, [protocol, ("class", class)]))
                .collect(),
            answer_seconds: child(&self.answer_seconds, [protocol]),
        })
    }
}

fn child<L, M, C>(family: &Family<L, M, C>, labels: L) -> M
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet,
    M: Clone,
    C: MetricConstructor<M>,
{
    family.get_or_create(&labels).clone()
}

impl ConnectionMetrics {
    /// Metrics without a registry.
    #[must_use]
    pub fn unregistered(format: ReplyFormat) -> Arc<Self> {
        ConnectionFamilies::register(&mut Registry::default()).protocol("", format)
    }

    /// Counts a connection as open while the value lives.
    #[must_use]
    pub fn open(&self) -> OpenConnection {
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// Counts the replies in whole lines of a machine's output, and logs the negative ones. Returns whether there was any.
    pub fn count_replies(&self, output: &[u8]) -> bool {
        let mut any = false;
        for line in output.split_inclusive(|octet| *octet == b'\n') {
            if let Some(class) = self.format.class(line) {
                if self.format.classes()[class].starts_with(['4', '5', '-']) {
                    info!(reply = %line.trim_ascii_end().escape_ascii(), "refused");
                }
                self.replies[class].inc();
                any = true;
            }
        }
        any
    }

    /// Records the time that an event took until its reply.
    pub fn observe_answer(&self, time: Duration) {
        self.answer_seconds.observe(time.as_secs_f64());
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ReplyFormat {
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
            // No other line of a POP3 machine's output begins with a status indicator.
            Self::Pop3 if line.starts_with(b"+OK") => Some(0),
            Self::Pop3 if line.starts_with(b"-ERR") => Some(1),
            Self::Pop3 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(metrics: &ConnectionMetrics) -> Vec<u64> {
        metrics.replies.iter().map(Counter::get).collect()
    }

    #[test]
    fn multi_line_smtp_reply_counts_once() {
        let smtp = ConnectionMetrics::unregistered(ReplyFormat::Smtp);
        assert!(
            smtp.count_replies(b"250-iitkgp.edu\r\n250-SIZE 1\r\n250 HELP\r\n354 go\r\n550 5.1.1 no\r\n")
        );
        assert!(smtp.count_replies(b"421 busy\r\n"));
        assert!(!smtp.count_replies(b"250-iitkgp.edu\r\n") && !smtp.count_replies(b""));
        assert_eq!(replies(&smtp), [1, 1, 1, 1]);
    }

    #[test]
    fn pop3_listing_lines_are_not_replies() {
        let pop3 = ConnectionMetrics::unregistered(ReplyFormat::Pop3);
        assert!(
            pop3.count_replies(b"+OK 2 messages\r\n1 250\r\n250 12\r\n.\r\n-ERR no such message\r\n+OK\r\n")
        );
        assert!(!pop3.count_replies(b"+ \r\n3 +OK\r\n.\r\n"));
        assert_eq!(replies(&pop3), [2, 1]);
    }

    #[test]
    fn open_connection_counts_until_dropped() {
        let metrics = ConnectionMetrics::unregistered(ReplyFormat::Smtp);
        let both = [metrics.open(), metrics.open()];
        assert_eq!(metrics.open.get(), 2);
        drop(both);
        assert_eq!(metrics.open.get(), 0);
    }

    #[test]
    fn registered_metrics_exist_before_the_first_event() {
        let mut registry = Registry::with_prefix("pennypost");
        let smtp = ConnectionFamilies::register(&mut registry).protocol("smtp", ReplyFormat::Smtp);
        smtp.observe_answer(Duration::from_micros(200));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("written to a string");
        for line in [
            "pennypost_connections_accepted_total{protocol=\"smtp\"} 0",
            "pennypost_connections_refused_total{protocol=\"smtp\",reason=\"proxy_header\"} 0",
            "pennypost_replies_total{protocol=\"smtp\",class=\"5xx\"} 0",
            "pennypost_answer_seconds_bucket{le=\"0.0003\",protocol=\"smtp\"} 1",
            "pennypost_answer_seconds_count{protocol=\"smtp\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
