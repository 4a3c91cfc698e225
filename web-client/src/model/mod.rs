//! Pure data: messages, drafts, routes, searches, the transcript, and the page's [`state`]. No I/O, no clock, no browser.

pub(crate) mod calendar;
pub(crate) mod content_lines;
pub(crate) mod conversation;
pub(crate) mod draft_form;
pub(crate) mod fetched_message;
pub(crate) mod filing;
pub(crate) mod format;
pub(crate) mod import;
pub(crate) mod mailto;
pub(crate) mod message;
pub(crate) mod people;
pub(crate) mod queued_mail;
pub(crate) mod quotation;
pub(crate) mod rich_text;
pub(crate) mod route;
pub(crate) mod search;
pub(crate) mod settings;
pub(crate) mod sign_in_form;
pub(crate) mod state;
pub(crate) mod transcript;
pub(crate) mod unsubscribe;
pub(crate) mod vcard;
