//! What a message is made of: addresses, header fields, dates, drafts, and the MIME in and out.

pub mod address;
pub mod charset;
pub mod compose;
pub mod date;
pub mod draft;
pub mod header;
pub mod id;
pub mod text;
pub mod view;
