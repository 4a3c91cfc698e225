//! What a message is made of: addresses, header fields, dates, drafts, and the MIME in and out.

pub mod address;
pub mod date;
pub mod header;
