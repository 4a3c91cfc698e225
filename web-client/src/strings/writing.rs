//! Sentences about writing and sending.

use std::fmt::Display;

pub(crate) const ADDRESS: &str = "Address";
pub(crate) const ADD_A_RECIPIENT: &str = "Add a recipient.";
pub(crate) const APPLY: &str = "Apply";
pub(crate) const ATTACH: &str = "Attach";
pub(crate) const ATTACHING: &str = "Attaching…";
pub(crate) const ATTACHMENTS: &str = "Attachments";
pub(crate) const BCC: &str = "Bcc";
pub(crate) const BOLD: &str = "Bold";
pub(crate) const BOLD_TITLE: &str = "Bold (Ctrl+B)";
pub(crate) const BULLETED_LIST: &str = "Bulleted list";
pub(crate) const BULLETED_LIST_TITLE: &str = "Bulleted list (Ctrl+Shift+8)";
pub(crate) const CC_BCC: &str = "Cc, Bcc";
pub(crate) const CHARACTERS_LEFT_SUFFIX: &str = " characters left";
pub(crate) const COPY_NOT_STORED: &str = "This browser could not store a copy.";
/// Shown after a connection or page ended between the final dot and the reply (RFC 5321 section 4.2.5).
pub(crate) const DELIVERY_UNKNOWN: &str = "The connection ended before the server confirmed the message: it may have been delivered. Check with the recipients before you send it again.";
pub(crate) const DISCARD: &str = "Discard";
pub(crate) const DONE_MOVED_TO_INBOX: &str = "moved to the inbox";
pub(crate) const DRAFT_ACTIONS: &str = "Draft actions";
pub(crate) const DRAFT_DISCARDED: &str = "Draft discarded.";
pub(crate) const DRAFT_IS_GONE: &str =
    "This draft no longer exists: it was sent or discarded in another window.";
pub(crate) const DRAFT_NOT_STORED: &str =
    "The browser could not save the draft. It will be lost when you close the page; copy it, or send it now.";
pub(crate) const EDIT: &str = "Edit";
pub(crate) const ENTER_LINK_ADDRESS: &str = "Enter a web or mail address.";
pub(crate) const FILES_TO_ATTACH: &str = "Files to attach";
pub(crate) const FORMATTING: &str = "Formatting";
pub(crate) const FORWARDED_MESSAGE: &str = "Forwarded message";
pub(crate) const ITALIC: &str = "Italic";
pub(crate) const ITALIC_TITLE: &str = "Italic (Ctrl+I)";
pub(crate) const LINK_TITLE: &str = "Link (Ctrl+K)";
pub(crate) const MESSAGE_CLAIMED_ELSEWHERE: &str =
    "This message was opened, sent or discarded in another window.";
pub(crate) const NUMBERED_LIST: &str = "Numbered list";
pub(crate) const NUMBERED_LIST_TITLE: &str = "Numbered list (Ctrl+Shift+7)";
pub(crate) const PASTE_CUT: &str = "The text was too long: only its beginning was pasted.";
pub(crate) const PLAIN_TEXT: &str = "Plain text";
pub(crate) const PLAIN_TEXT_EXPLANATION: &str = "Remove the formatting and write in plain text";
pub(crate) const QUOTE: &str = "Quote";
pub(crate) const QUOTED_MESSAGE: &str = "Quoted message";
pub(crate) const QUOTE_TITLE: &str = "Quote (Ctrl+Shift+9)";
pub(crate) const REMOVE_LINK: &str = "Remove link";
pub(crate) const SAVE_AND_CLOSE: &str = "Save and close";
pub(crate) const SAVE_DRAFT_AND_CLOSE: &str = "Save draft and close";
pub(crate) const SENDING: &str = "Sending…";
pub(crate) const SENDING_INTERRUPTED: &str =
    "A message may not have been sent, because the page was closed. It is in Drafts.";
pub(crate) const SEND_NOW: &str = "Send now";
pub(crate) const SEND_TITLE: &str = "Send (Ctrl+Enter)";
pub(crate) const SHOW: &str = "Show";
pub(crate) const SUBJECT: &str = "Subject";
pub(crate) const SUGGESTIONS: &str = "Suggestions";
pub(crate) const TOO_LONG_TO_EDIT: &str = "The message is too long to be edited. It stays as it is.";
pub(crate) const UNDO_TITLE: &str = "Undo (z)";

pub(crate) fn cannot_attach(name: &dyn Display) -> String {
    format!("Cannot read {name}. Folders cannot be attached. If the file was moved, choose it again.")
}

pub(crate) fn not_attached(name: &dyn Display, account: &dyn Display) -> String {
    format!("{name} was not attached to the draft of {account}.")
}

pub(crate) fn not_sent(error: &dyn Display) -> String {
    format!("Message not sent. It is in Drafts. {error}")
}

pub(crate) fn rejected_for(recipients: &dyn Display) -> String {
    format!("It was rejected for some recipients. {recipients}")
}

pub(crate) fn copies_limit(limit: &dyn Display) -> String {
    format!(
        "No copy was stored: sent messages in this browser are limited to {limit}. Delete some to make room."
    )
}

pub(crate) fn show(name: &dyn Display) -> String {
    format!("Show {name}")
}

pub(crate) fn save(name: &dyn Display) -> String {
    format!("Save {name}")
}

pub(crate) fn save_all(files: &dyn Display) -> String {
    format!("Save all {files} files")
}

pub(crate) fn open(name: &dyn Display) -> String {
    format!("Open {name}")
}

pub(crate) fn draft_saved(time: &dyn Display) -> String {
    format!("Draft saved {time}")
}

pub(crate) fn progress(done: &dyn Display, all: &dyn Display) -> String {
    format!("{done} of {all}")
}

pub(crate) fn draft_unchanged(error: &dyn Display) -> String {
    format!("{error} Your draft is unchanged.")
}

pub(crate) fn remove_the(what: &dyn Display) -> String {
    format!("Remove the {what}")
}

pub(crate) fn sending_to(recipients: &dyn Display) -> String {
    format!("Sending to {recipients}.")
}

pub(crate) fn message_done(done: &dyn Display) -> String {
    format!("Message {done}.")
}

pub(crate) fn sending(sent: &dyn Display, all: &dyn Display) -> String {
    format!("Sending… {sent} of {all}")
}
