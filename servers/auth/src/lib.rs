//! Authentication of mail: DKIM signatures for outgoing messages; SPF, DKIM, ARC, DMARC and iprev for incoming ones, and their spam filter.
//!
//! | module | contents |
//! |---|---|
//! | `keys` | the DKIM keys of this host |
//! | `sign` | signatures of outgoing messages |
//! | `check` | verification of incoming messages |
//! | `authors` | the domain that DMARC protects |
//! | `results` | its results in the words of RFC 8601 |
//! | `rspamd` | the spam filter |

mod authors;
mod check;
mod keys;
mod results;
mod rspamd;
mod sign;

pub use check::Authenticator;
pub use keys::{DIRECTORY, DkimKeys};
pub use rspamd::SpamMetrics;
pub use sign::MessageSigner;
