//! Every limit of the bridge: the configured ones, and those that are nobody's to choose.

use std::time::Duration;

use config::WebLimits;

/// HTTP connections that are not, or not yet, bridged; more wait to be accepted.
pub(crate) const HTTP_CONNECTIONS_MAX: usize = 1_024;
/// A request's head; browsers send well under 4 KiB to a site without cookies.
pub(crate) const HEAD_OCTETS_MAX: usize = 16 << 10;
/// For a TLS handshake, from the connection's start on: three round trips at most, and time for each to be sent again.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// For a request's head, from the connection's or the last answer's end on.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// One HTTP connection in all: a browser that takes its answers slower than this gets a new one.
pub(crate) const HTTP_LIFETIME_MAX: Duration = Duration::from_secs(600);
/// For the target to accept a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the browser to answer a Close, and for its last bytes before it to pass.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// For the target to end a stream whose browser is gone. A socket that is closed with unread input resets the
/// connection, and with it what the browser had sent before it left.
pub(crate) const FAREWELL_TIMEOUT: Duration = Duration::from_secs(10);
/// When the bridge stops, a connection that has moved nothing for so long is closed. A frame moves when it is whole.
/// In mid-message a browser may be silent for some seconds: what its network loses is sent again after one, two and four.
pub(crate) const STOP_QUIET: Duration = Duration::from_secs(10);
/// When the bridge stops, one that is at work may go on for so long: a message may be on its way.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(20);
/// One read of a target that has much to say, and what a frame to the browser holds at most that is copied; also what a
/// browser's message may have and still go on whole or not at all. A connection at work holds eight times as much for what
/// comes from the browser.
pub(crate) const READ_OCTETS: usize = 64 << 10;
/// One read, in either direction, where little is said.
pub(crate) const SMALL_READ_OCTETS: usize = 8 << 10;
/// After so long without a move a connection gives back what it has taken to move much.
pub(crate) const REST: Duration = Duration::from_secs(1);
/// Frames without octets, pings and pongs among them, that a browser may send behind each other: they cost work and keep
/// nothing going. One that answers a ping each second takes hours of silence to send so many.
pub(crate) const EMPTY_FRAMES_MAX: usize = 10_000;
/// What a pipe holds, and a frame that goes through it at most: as much as every user of Linux may have in one (pipe(7)).
#[cfg(target_os = "linux")]
pub(crate) const SPLICE_OCTETS: usize = 1 << 20;

/// A century: a longer time could not be added to any other.
const SECONDS_MAX: u64 = 100 * 366 * 24 * 60 * 60;

/// The configured limits, in the types of those who keep them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) connections_per_address: usize,
    pub(crate) idle: Duration,
    pub(crate) ping: Duration,
    pub(crate) frame_octets: usize,
    /// Octets a second each way; `None` is as many as it can.
    pub(crate) octets_per_second: Option<u64>,
}

impl From<&WebLimits> for Limits {
    fn from(configured: &WebLimits) -> Self {
        Self {
            connections: configured.connections,
            connections_per_address: configured.connections_per_address,
            idle: Duration::from_secs(configured.idle_seconds.min(SECONDS_MAX)),
            ping: Duration::from_secs(configured.ping_seconds.min(SECONDS_MAX)),
            frame_octets: usize::try_from(configured.frame_size.get()).unwrap_or(usize::MAX),
            octets_per_second: Some(configured.octets_per_second.get()).filter(|octets| *octets > 0),
        }
    }
}
