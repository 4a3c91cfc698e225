//! The data source of the page of `pennypost catch`: the catcher's HTTP API instead of POP3 and SMTP. There are no accounts, no drafts
//! and nothing to store in the browser, so it has a state of its own; messages are parsed, sanitised and drawn by the same modules.
//!
//! | module | contents |
//! |---|---|
//! | [`api`] | requests and their answers |
//! | [`json`] | access to parsed JSON |
//! | [`events`] | the WebSocket that reports changes |
//! | [`state`] | what the page shows |
//! | [`control`] | loads the state and carries out actions |
//! | [`compatibility`] | names of the mail programs that lack a feature |
//! | [`parts`] | the tree of MIME parts |
//! | [`removed`] | what the sanitizer removed |

pub(crate) mod api;
pub(crate) mod compatibility;
pub(crate) mod control;
mod events;
mod json;
pub(crate) mod parts;
pub(crate) mod removed;
pub(crate) mod state;

use crate::platform::dom;

/// The element that the catcher adds to index.html.
const MARK: &str = "meta[name=pennypost-catch]";

/// Whether a catcher serves the page.
pub(crate) fn is_catcher() -> bool {
    dom::document().is_some_and(|document| matches!(document.query_selector(MARK), Ok(Some(_))))
}
