//! Sentences that occur in several parts of the page.

use std::fmt::Display;

pub(crate) const BACK_TO_THE_LIST: &str = "Back to the list";
pub(crate) const CANCEL: &str = "Cancel";
pub(crate) const CC: &str = "Cc";
pub(crate) const DELETE: &str = "Delete";
pub(crate) const DRAFTS: &str = "Drafts";
pub(crate) const FILE_NOT_SAVED: &str = "This browser cannot save the file.";
pub(crate) const FORWARD: &str = "Forward";
pub(crate) const FROM: &str = "From";
pub(crate) const HAS_ATTACHMENTS: &str = "Has attachments";
pub(crate) const HEADERS: &str = "Headers";
pub(crate) const KEEP: &str = "Keep";
pub(crate) const LABELS: &str = "Labels";
pub(crate) const LINK: &str = "Link";
pub(crate) const LOADING_MESSAGE: &str = "Loading message…";
pub(crate) const MESSAGE: &str = "Message";
pub(crate) const MESSAGES: &str = "Messages";
pub(crate) const MESSAGE_ACTIONS: &str = "Message actions";
pub(crate) const NOTHING_TO_EXPORT: &str = "There is nothing to export.";
pub(crate) const NOT_CONNECTED: &str = "Not connected";
pub(crate) const NO_SENDER: &str = "(no sender)";
pub(crate) const NO_SUBJECT: &str = "(no subject)";
pub(crate) const OPEN: &str = "Open";
pub(crate) const PENNYPOST: &str = "Pennypost";
pub(crate) const REMOVE: &str = "Remove";
pub(crate) const REPLY: &str = "Reply";
pub(crate) const REPLY_ALL: &str = "Reply all";
pub(crate) const SAVE: &str = "Save";
pub(crate) const SEARCH: &str = "Search";
pub(crate) const SEARCH_MAIL: &str = "Search mail";
pub(crate) const SEARCH_PLACEHOLDER: &str = "Search mail   /";
pub(crate) const SEND: &str = "Send";
pub(crate) const SENT: &str = "Sent";
pub(crate) const STAR: &str = "Star";
pub(crate) const TEXT: &str = "Text";
pub(crate) const TO: &str = "To";
pub(crate) const UNDO: &str = "Undo";
pub(crate) const UNREAD_PREFIX: &str = "Unread. ";

pub(crate) fn invalid_username(error: &dyn Display) -> String {
    format!("Invalid username: {error}.")
}

pub(crate) fn to_recipient(recipient: &dyn Display) -> String {
    format!("To {recipient}")
}

pub(crate) fn delete_question(what: &dyn Display) -> String {
    format!("Delete {what}?")
}

pub(crate) fn remove(name: &dyn Display) -> String {
    format!("Remove {name}")
}
