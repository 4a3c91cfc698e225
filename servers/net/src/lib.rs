//! Networking shared by the mail servers and the web bridge.
//!
//! | module | contents |
//! |---|---|
//! | [`accept`] | binding, the accept loop with back-off, graceful shutdown |
//! | [`limiter`] | connection limits in total and per address |
//! | [`stream`] | a plain or TLS stream |
//! | [`proxy`] | reading and writing the PROXY protocol header |
//! | [`local`] | connections between two services of one process |
//! | [`listener`] | a mail protocol's listener: all of the above for one session per connection |
//! | [`driver`] | runs a protocol machine and its session over a stream |
//! | [`metrics`] | counters of a protocol's connections |
//! | [`health`] | readiness for probes |
//! | [`log`] | the log's queue and writer, and the `--log` flag |
//! | [`signals`] | signals that must not end a server |

pub mod accept;
pub mod driver;
pub mod health;
pub mod limiter;
pub mod listener;
pub mod local;
pub mod log;
pub mod metrics;
pub mod proxy;
pub mod signals;
pub mod stream;
