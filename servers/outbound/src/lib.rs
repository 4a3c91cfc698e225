//! Mail to other hosts: a queue, and the agent that delivers it.
//!
//! ```text
//!   SMTP session ──▶ OutboundQueue (a DeliveryTarget) ──▶ data/queue/ID ──▶ Agent ──▶ mail servers of the recipients
//!                                                          ID.log ◀── result ──┘ └──▶ reports to the sender
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`store`] | the queue as the agent uses it: files, or a database (crate mail-postgres) |
//! | `compose` | the entry of a message |
//! | [`queue`], `text` | the files of the queue |
//! | `incoming` | receives a message into the files |
//! | `schedule` | which message is due, and which destination may have another connection |
//! | `agent` | the tasks that deliver |
//! | `route` | the mail servers of a domain |
//! | `dns` | DNS look-ups, with DNSSEC |
//! | `dane`, `policy` | TLS that the recipients' domains demand: DANE, MTA-STS |
//! | `network` | connections and the wall clock, which the simulation replaces |
//! | `session` | the SMTP connection to another host |
//! | `report` | delivery status notifications |
//! | `waiting` | queued messages as their senders see them |
//! | `srs_key` | the secret for rewritten senders |

mod agent;
mod body;
mod compose;
mod dane;
mod dns;
mod incoming;
mod network;
mod policy;
pub mod queue;
mod report;
mod route;
mod schedule;
mod session;
mod srs_key;
pub mod store;
mod text;
mod waiting;

pub use agent::{Agent, ControlError, Metrics, ReportTarget, Request, request};
pub use body::FileBody;
pub use compose::{Composed, Composer, ReadBody, Signer};
pub use dns::dns_resolver;
pub use incoming::{OutboundIncoming, OutboundQueue};
pub use network::{Connecting, Connection, Network};
pub use schedule::{Grouping, SharedSchedule};
pub use srs_key::{SRS_KEY, open_srs};
pub use text::{FileContent, TextQueue};
pub use waiting::{WaitingMessage, WaitingRecipient, WaitingState, senders, waiting};

pub use route::is_public;
