//! Internet messages: addresses, header fields, dates, drafts, composing and parsing MIME, delivery reports, rewritten
//! senders.

pub mod address;
pub mod answer;
pub mod authentication_results;
pub mod complete;
pub mod compose;
pub mod date;
pub mod draft;
pub mod header;
pub mod html;
pub mod id;
pub mod mbox;
pub mod mime;
pub mod parsed;
pub mod platform;
pub mod printable;
pub mod recipients;
pub mod report;
pub mod resend;
pub mod srs;
mod subject_prefix;
