//! Server policy: routing, logins, limits, and the sessions of SMTP and POP3. No sockets, no files.
//!
//! ```text
//! mail_core::smtp::server -> smtp_session -> intake -> mail_store
//! mail_store -> pop3_session -> mail_core::pop3::server
//! ```

pub mod authentication;
pub mod budget;
pub mod context;
pub mod faults;
pub mod intake;
mod log;
pub mod metrics;
pub mod pop3_session;
mod reports;
pub mod routing;
pub mod smtp_service;
pub mod smtp_session;
mod success_report;
pub mod throttle;
