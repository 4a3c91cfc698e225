//! The MyMailBox.txt format: [`mod@write`] creates records, [`scan`] finds them, and [`wire_head`] converts handwritten
//! ones for POP3.
//!
//! A record consists of the fields From, To, Subject and Received (`date : hour : minute`), the rest of the header, a
//! blank line, the body and a line with a single dot. A record that a server wrote has the trace fields of RFC 5321
//! section 4.4 after the fourth field. Its text is dot-stuffed (RFC 5321 section 4.5.2), as POP3 sends it (RFC 1939
//! section 3), so RETR is at most three unmodified byte ranges of the file.
//!
//! The scanner divides a file into these kinds:
//!
//! | kind | condition |
//! |---|---|
//! | [`Kind::Message`], [`Author::Server`] | four fields, then Return-Path, with CRLF line ends; ends at `CRLF . CRLF`, whose last line end may be missing at the end of the file |
//! | [`Kind::Message`], [`Author::Human`] | any other four fields; any line ends; ends at the first line with a single dot, whose line end may be missing at the end of the file |
//! | [`Kind::Removed`] | begins with `#`; ends like a handwritten record |
//! | [`Kind::Broken`] | ends with a line with a single dot, but lacks the four fields in order or a valid date, or its head is too long, or it contains a NUL (data lost in a crash) |
//! | [`Kind::Torn`] | cut off by the end of the file |
//!
//! White space between records is ignored. A server rejects malformed line ends and NULs before it writes (RFC 5321
//! section 2.3.8), so the text of a server's record never contains a terminator of either kind.
//!
//! This module does not open or lock files.

mod handwritten;
mod head;
pub mod scan;
mod trace;
mod unique_id;
pub mod write;

pub use handwritten::{LfToCrlf, wire_head};
pub use head::{Author, Defect, HEAD_OCTETS_MAX};
pub use scan::{Kind, Message, Record, Scanner};
pub use trace::Trace;
pub use unique_id::HashedId;
pub use write::{HEADER_SEARCH_OCTETS_MAX, Header, RecordWriter, WireHead, WireRecord};
