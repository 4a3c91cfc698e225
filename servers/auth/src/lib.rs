//! Authentication of mail: DKIM signatures for outgoing messages; SPF, DKIM, DMARC and iprev for incoming ones.
//!
//! | module | contents |
//! |---|---|
//! | `keys` | the DKIM keys of this host |
//! | `sign` | signatures of outgoing messages |
//! | `check` | verification of incoming messages |
//! | `results` | its results in the words of RFC 8601 |

mod check;
mod keys;
mod results;
mod sign;

pub use check::Authenticator;
pub use keys::{DIRECTORY, DkimKeys};
pub use sign::MessageSigner;
