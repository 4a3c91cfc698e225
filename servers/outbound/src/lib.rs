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
//! | `session` | the SMTP connection to another host |
//! | `report` | delivery status notifications |
//! | `srs_key` | the secret for rewritten senders |

mod agent;
mod body;
mod incoming;
pub mod queue;
mod report;
mod route;
mod schedule;
mod session;
mod srs_key;

pub use agent::{Agent, ControlError, Metrics, ReportTarget, Request, request};
pub use incoming::{OutboundIncoming, OutboundQueue, ReadBody, Signer};
pub use route::dns_resolver;
pub use schedule::{Grouping, SharedSchedule};
pub use srs_key::{SRS_KEY, open_srs};

pub use route::is_public;
