//! A mail catcher for software that sends mail: it accepts every message from every sender for every recipient, stores it, and shows
//! it over an HTTP API. Nothing is delivered, except for messages that are released on purpose.
//!
//! ```text
//! TCP -> net::listener -> net::driver -> mail_core::smtp::server -> session -> service -> incoming -> store
//!                                                                                                      |
//! TCP -> ws_bridge::http -> api (access, routes) <- query, content <----------------------------------+
//! ```
//!
//! | module | contents |
//! |---|---|
//! | `options` | the flags of `pennypost catch` |
//! | `serve` | start, ready line, shutdown |
//! | `service`, `session` | who may send what: everybody, everything; the record of a session |
//! | `incoming` | a message on its way into a file |
//! | `store` | stored messages: a file with the octets, a file with the record, a summary in memory |
//! | `content` | text, HTML, links, codes and parts of a message |
//! | `lint` | defects that other servers reject |
//! | `html_check`, `link_check` | features that mail programs lack; status of links |
//! | `release`, `own_message` | delivery of caught mail to permitted addresses; messages that this program makes |
//! | `recipients` | recipients that ask for a fault, such as `rcpt-452@example.com` |
//! | `faults` | faults set at run time |
//! | `pop3` | POP3 access |
//! | `query` | the search syntax |
//! | `api` | the HTTP API: Mailpit's routes, and this program's own |
//!
//! The catcher has no accounts and no TLS on the web listener.

mod api;
mod content;
mod faults;
mod html;
mod html_check;
mod incoming;
mod link_check;
mod lint;
mod options;
mod own_message;
mod pop3;
mod query;
mod recipients;
mod record;
mod release;
mod serve;
mod service;
mod session;
mod store;

pub use options::CatchArgs;
pub use serve::run;
