//! Serves the built page, and relays its WebSockets to the mail servers.
//!
//! The browser client speaks SMTP and POP3 itself, but a page cannot open TCP connections. `GET /ws/<target>` upgrades to a
//! WebSocket (RFC 6455) whose binary messages are the bytes of the stream, divided arbitrarily. The bridge does not parse the
//! stream, and connects to configured targets only.
//!
//! ```text
//! server (accept, TLS, limits, shutdown) -> routes -> upgrade (Host, Origin, target, limits) -> relay
//!                                                  -> page (files, caching, compression)
//! ```
//!
//! | status before the upgrade | | close code after it | |
//! |---|---|---|---|
//! | 400 | invalid WebSocket handshake | 1000 | the target closed its stream |
//! | 403 | wrong Host or Origin | 1001 | the bridge is shutting down |
//! | 404 | unknown target | 1002 | WebSocket protocol error |
//! | 503 | too many connections | 1003 | text message |
//! | | | 1007 | invalid UTF-8 in a text message or a close reason |
//! | | | 1008 | too many frames without data |
//! | | | 1011 | the target cannot be reached, or its connection failed |
//! | | | 1013 | message over the limit, or idle timeout |
//!
//! The upgrade precedes the connection to the target, because a page can read a close code and reason, but not the response to
//! a failed handshake.
//!
//! A program can add routes of its own ([`Bridge::with_routes`]). HTTP/2 is not supported.

mod access;
mod close;
#[cfg(feature = "embed")]
mod embedded;
mod forwarded;
mod headers;
pub mod http;
mod https_redirect;
mod limits;
mod metrics;
mod mta_sts;
mod page;
mod rate_limiter;
mod read_ahead;
mod relay;
mod routes;
mod server;
mod subpath;
mod target;
mod timers;
mod upgrade;

pub use access::{AccessPolicy, Rejection};
pub use headers::secured;
pub use page::page;
pub use server::Bridge;
pub use target::{Browser, Target};
