//! POP3: the commands, the replies, the maildrop, and the server's and the client's machines.
//!
//! RFC 1939, with the extension mechanism and the command limits of RFC 2449, the response codes of
//! RFC 3206, STLS (RFC 2595), SASL (RFC 5034) and UTF8 (RFC 6856). APOP is not spoken: it needs every
//! password in plain text on the server. Nor is LANG: there is one language.

pub mod capability;
pub mod client;
pub mod command;
pub mod limits;
pub mod listing;
pub mod maildrop;
pub mod reply;
pub mod server;
pub mod top;

pub use capability::Capability;
pub use command::{Argument, Command, CommandError};
pub use listing::{DropListing, ScanListing, UniqueIdListing};
pub use maildrop::Maildrop;
pub use reply::{Reply, ResponseCode};
pub use top::TopLimiter;

/// Appends a number in decimal, without a detour through a `String`.
fn put_number(mut number: u64, out: &mut bytes::BytesMut) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}
