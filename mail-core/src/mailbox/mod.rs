//! The MyMailBox.txt format: [`mod@write`] a record, [`scan`] records, and serve what a person wrote.
//!
//! A record is the guide's: the fields From, To, Subject and Received (`date : hour : minute`), the rest of the
//! header, a blank line, the body, a line with a single dot. A record that a server wrote has the trace fields of
//! RFC 5321 section 4.4 behind the fourth field, and its text is dot-stuffed (RFC 5321 section 4.5.2), which is just
//! how POP3 sends it (RFC 1939 section 3): RETR is three stretches of the file as they stand.
//!
//! What a reader meets in a file, each with its bounds:
//!
//! | kind | what it is |
//! |---|---|
//! | [`Kind::Message`], [`Author::Server`] | four fields, then Return-Path, lines ending with CRLF; ends at `CRLF . CRLF` |
//! | [`Kind::Message`], [`Author::Person`] | any other four fields; lines end as they please; ends at the first line with a single dot, which at the end of the file needs no line end |
//! | [`Kind::Removed`] | begins with `#`; ends as a person's does |
//! | [`Kind::Broken`] | ended by a line with a single dot, but not begun by the four fields in their order, or the fourth is no date, or the head is endless, or there is a NUL in it (the hole that a crash leaves) |
//! | [`Kind::Torn`] | anything that the end of the file cuts off before its line with a single dot |
//!
//! White space between records means nothing. A server's line ends and NULs are checked before it writes
//! (RFC 5321 section 2.3.8), so no text of its own can look like an end to either rule.
//!
//! No file is opened here, and no lock taken: whoever calls brings the bytes.

mod head;
mod person;
pub mod scan;
mod unique_id;
pub mod write;

pub use person::{LineEndMender, person_head};
pub use scan::{Author, Flaw, Kind, Message, Record, Scanner};
pub use unique_id::HashedId;
pub use write::{Header, Intake, Trace};

/// The most of a message's header that is searched for From, To and Subject; what comes after counts as more lines
/// of the header and stays where it is. Real headers are a hundredth of it.
pub const HEADER_SEARCH_OCTETS_MAX: usize = 1 << 20;

/// The longest head of a record (to the end of the trace fields, or of a person's header): what a writer can make of
/// [`HEADER_SEARCH_OCTETS_MAX`], and room for the fields that it adds.
pub const HEAD_OCTETS_MAX: usize = HEADER_SEARCH_OCTETS_MAX + (16 << 10);
