//! Serves the built page, and carries the bytes of its WebSockets to TCP ports and back.
//!
//! The browser client speaks SMTP and POP3 itself, but a page cannot open a TCP connection. `GET /ws/<target>`
//! upgrades to a WebSocket (RFC 6455) whose binary frames are cut wherever it suits; this crate never looks into the
//! bytes, and connects to configured targets only, never to an address that a page names.
//!
//! ```text
//! server (accept, TLS, limits, stop) -> door (Host, Origin, target, limits, upgrade) -> relay (WebSocket <-> TCP)
//!                                    -> page (files, compression, caching, security headers)
//! ```
//!
//! | before the upgrade | | after it | |
//! |---|---|---|---|
//! | 403 | wrong Host or Origin | 1000 | the target has ended the stream |
//! | 404 | unknown target | 1001 | the bridge is stopping |
//! | 503 | too many connections | 1002 | the browser broke the WebSocket protocol |
//! | 400 | no WebSocket handshake | 1003 | a text frame |
//! | | | 1007 | text, or the reason of a Close, that is not UTF-8 |
//! | | | 1008 | too many frames that carry nothing |
//! | | | 1011 | the target cannot be reached, or its connection broke |
//! | | | 1013 | a frame over the limit, or nothing moved for too long |
//!
//! The upgrade comes before the connection to the target: a page learns nothing of a handshake that failed, but it
//! can read a close code and its reason.
//!
//! With a certificate all of it is spoken over TLS, and a target marked `proxy` learns that the browser's way is encrypted.
//!
//! What it doesn't do: HTTP/2, and any protocol inside the stream.

mod access;
mod census;
mod close;
mod door;
#[cfg(feature = "embed")]
mod embedded;
mod frame;
mod https;
mod inlet;
mod limits;
pub mod meters;
mod outlet;
mod page;
mod relay;
mod server;
#[cfg_attr(not(target_os = "linux"), path = "no_splice.rs")]
mod splice;
mod stream;
mod traffic;

pub use server::Bridge;
