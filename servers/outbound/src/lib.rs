//! Mail to other hosts: a queue of text files, and the agent that delivers it.
//!
//! ```text
//!   SMTP session ──▶ OutboundQueue (a DeliveryTarget) ──▶ data/queue/ID ──▶ Agent ──▶ mail servers of the recipients
//!                                                          ID.log ◀── result ──┘ └──▶ reports to the sender
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`queue`] | the files of the queue |
//! | `incoming` | receives a message into the queue |
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
mod waiting;

pub use agent::{Agent, ControlError, Metrics, ReportTarget, Request, request};
pub use dns::dns_resolver;
pub use incoming::{OutboundIncoming, OutboundQueue, ReadBody, Signer};
pub use network::{Connecting, Connection, Network};
pub use schedule::{Grouping, SharedSchedule};
pub use srs_key::{SRS_KEY, open_srs};
pub use waiting::{WaitingMessage, WaitingRecipient, WaitingState};

pub use route::is_public;
