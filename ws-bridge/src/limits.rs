//! Limits of the bridge: the configured ones and the fixed ones.

use std::time::Duration;

use config::WebLimits;

/// HTTP connections before an upgrade, in all. Bridged connections have separate limits.
pub(crate) const HTTP_CONNECTIONS_MAX: usize = 4_096;
/// HTTP connections before an upgrade, per address, unless `connections_per_address` is larger. A browser opens up to
/// 6, and tens of users may share one NAT address.
pub(crate) const HTTP_CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// Size of a request head. Without cookies, browsers send less than 4 KiB.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
/// Timeout of a request head, counted from the start of the connection or the end of the previous response.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Lifetime of an HTTP connection; a browser that needs more opens another one.
pub(crate) const HTTP_LIFETIME_MAX: Duration = Duration::from_secs(600);
/// Timeout of a connection attempt to a target.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the browser to answer a Close, and for data that it sent before to reach the target.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the target to close its side after the browser disconnected. Closing a socket with unread input resets the
/// connection, and the target might lose what the browser had sent.
pub(crate) const TARGET_CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// During shutdown, a connection without activity for this time is closed. TCP retransmits after one, two and four seconds,
/// so a browser may pause that long in mid-message.
pub(crate) const SHUTDOWN_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Grace period for active connections at shutdown.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);
/// Time after which shutdown aborts the connections that are still open.
pub(crate) const SHUTDOWN_TIMEOUT: Duration =
    Duration::from_secs(SHUTDOWN_GRACE.as_secs() + CLOSE_TIMEOUT.as_secs() + TARGET_CLOSE_TIMEOUT.as_secs());
/// Size of a read, in either direction, on a connection with little traffic.
pub(crate) const SMALL_READ_BYTES: usize = 8 << 10;
/// Size of a read from a busy target, and thus the largest frame sent to a browser.
pub(crate) const TARGET_READ_BYTES: usize = 64 << 10;
/// Size of a read from a busy browser. Fewer, larger reads save wake-ups.
pub(crate) const BROWSER_READ_BYTES: usize = 512 << 10;
/// The relay stops reading from the browser while this much waits to be written to the target.
pub(crate) const TO_TARGET_BYTES_MAX: usize = 256 << 10;
/// Size of tungstenite's write buffer: one frame, and the pongs behind it.
pub(crate) const WRITE_BUFFER_BYTES: usize = 128 << 10;
/// A connection without activity for this time releases its buffers.
pub(crate) const BUFFER_RELEASE_DELAY: Duration = Duration::from_secs(1);
/// Consecutive frames without stream data (pings and pongs included) that a browser may send. Such frames cost work, and do
/// not count as activity.
pub(crate) const EMPTY_FRAMES_MAX: usize = 10_000;

/// A century; longer durations could overflow an `Instant`.
const SECONDS_MAX: u64 = 100 * 366 * 24 * 60 * 60;

/// The configured limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) connections_per_address: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) message_bytes_max: usize,
    /// Rate limit of each direction of a connection.
    pub(crate) bytes_per_second: Option<u64>,
}

impl From<&WebLimits> for Limits {
    fn from(configured: &WebLimits) -> Self {
        Self {
            connections: configured.connections,
            connections_per_address: configured.connections_per_address,
            idle_timeout: Duration::from_secs(configured.idle_seconds.min(SECONDS_MAX)),
            ping_interval: Duration::from_secs(configured.ping_seconds.min(SECONDS_MAX)),
            message_bytes_max: usize::try_from(configured.frame_size.get()).unwrap_or(usize::MAX),
            bytes_per_second: Some(configured.octets_per_second.get()).filter(|bytes| *bytes > 0),
        }
    }
}
