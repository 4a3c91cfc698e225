//! Pure data: messages, drafts, routes, the transcript, and the page's [`state`]. No I/O, no clock, no browser.

pub(crate) mod draft_form;
pub(crate) mod fetched_message;
pub(crate) mod format;
pub(crate) mod message;
pub(crate) mod route;
pub(crate) mod sign_in_form;
pub(crate) mod state;
pub(crate) mod transcript;
