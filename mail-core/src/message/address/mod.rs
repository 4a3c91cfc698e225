//! Mail addresses and envelope paths.
//!
//! Implements the Mailbox and Path grammar of RFC 5321 section 4.1.2, address literals (section 4.1.3), the size
//! limits of section 4.5.3.1, and RFC 6531 section 3.3 (UTF-8 in local parts, internationalised domains). The comments,
//! folding and display names of RFC 5322 header fields are parsed by [`parsed`](super::parsed).
//!
//! Values of these types contain no control characters, so they are safe to send.

mod error;
mod host;
mod local;
mod mailbox;
mod path;

pub use error::{
    ADDRESS_OCTETS_MAX, AddressError, DOMAIN_OCTETS_MAX, LABEL_OCTETS_MAX, LOCAL_PART_OCTETS_MAX,
};
pub use host::{AddressLiteral, Domain, Host};
pub use local::LocalPart;
pub use mailbox::Address;
pub use path::{ForwardPath, ReversePath};
