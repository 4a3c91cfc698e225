//! Sentences about the list and the messages.

use std::fmt::Display;

pub(crate) const ALL: &str = "All";
pub(crate) const ANSWER: &str = "Answer";
pub(crate) const ARCHIVE: &str = "Archive";
pub(crate) const ARCHIVE_SELECTED: &str = "Archive selected";
pub(crate) const ARCHIVE_TITLE: &str = "Archive (e)";
pub(crate) const ARRIVED: &str = "Arrived";
pub(crate) const ATTACHMENT_REMINDER: &str = "Your text mentions an attachment, but no file is attached.";
pub(crate) const BEGINNING_SHOWN: &str = "Only the beginning is shown.";
pub(crate) const BY_SENDER: &str = "By sender";
pub(crate) const BY_SUBJECT: &str = "By subject";
pub(crate) const CANNOT_COPY: &str =
    "This browser does not allow copying here. Select the lines and copy them.";
pub(crate) const CC_INFIX: &str = ", cc ";
pub(crate) const CHECKING: &str = "Checking…";
pub(crate) const CHECKS: &str = "Checks";
pub(crate) const CHECK_MAIL: &str = "Check mail";
pub(crate) const CLEAR_SELECTION: &str = "Clear selection";
pub(crate) const CLEAR_SELECTION_TITLE: &str = "Clear selection (Escape)";
pub(crate) const CONNECTED: &str = "Connected";
pub(crate) const COPIED: &str = "Copied.";
pub(crate) const COPY: &str = "Copy";
pub(crate) const COPY_IS_GONE: &str = "This copy is no longer in this browser.";
pub(crate) const DELETE_AND_SIGN_OUT: &str = "Delete and sign out";
pub(crate) const DELETE_COPY: &str = "Delete copy";
pub(crate) const DELETE_SELECTED: &str = "Delete selected";
pub(crate) const DELETE_TITLE: &str = "Delete (#)";
pub(crate) const DELIVERY_REPORT: &str = "Delivery report";
pub(crate) const DATED_PREFIX: &str = "dated ";
pub(crate) const DETAILS: &str = "Details";
pub(crate) const DIALOGUE_WITH_THE_SERVERS: &str = "Dialogue with the servers";
pub(crate) const DISCARD_DRAFT: &str = "Discard draft";
pub(crate) const DIVIDER_HINT: &str = "Drag to resize. Double-click to reset.";
pub(crate) const DRAFT_CLOSED_ELSEWHERE: &str = "This draft was sent or discarded in another window.";
pub(crate) const EARLIER: &str = "Earlier";
pub(crate) const EARLIER_MESSAGES: &str = "Earlier messages in this conversation";
pub(crate) const EVENT: &str = "Event";
pub(crate) const FILE_BEGINNING_SHOWN: &str = "Only the beginning is shown. Save the file to see all of it.";
pub(crate) const FILING_NOT_STORED: &str =
    "This browser cannot store Archive and labels: they last until the page is closed.";
pub(crate) const FORWARD_AS_ATTACHMENT: &str = "Forward as attachment";
pub(crate) const FORWARD_TITLE: &str = "Forward (f)";
pub(crate) const HEADERS_FETCHED: &str = "Headers fetched";
pub(crate) const INBOX: &str = "Inbox";
pub(crate) const IT_CANNOT_BE_RESTORED: &str = "It exists only in this browser and cannot be restored.";
pub(crate) const IT_IS_LOCAL: &str = "It exists only in this browser.";
pub(crate) const KEEP_EDITING: &str = "Keep editing";
pub(crate) const LABEL: &str = "Label";
pub(crate) const LABELS_PREFIX: &str = "Labels: ";
pub(crate) const LABEL_SELECTED: &str = "Label selected";
pub(crate) const LABEL_TITLE: &str = "Label (l)";
pub(crate) const LARGEST_FIRST: &str = "Largest first";
pub(crate) const LATER_MESSAGES: &str = "Later messages in this conversation";
pub(crate) const LOADED: &str = "Loaded";
pub(crate) const LOADING_MAILBOX: &str = "Loading mailbox…";
pub(crate) const LOCAL_DATA_NOT_DELETED: &str =
    "Not deleted: the browser could not change its storage. Reload the page and try again.";
pub(crate) const MARK_AS_READ_TITLE: &str = "Mark as read (Shift+I)";
pub(crate) const MARK_AS_UNREAD: &str = "Mark as unread";
pub(crate) const MARK_AS_UNREAD_AND_CLOSE: &str = "Mark as unread and close";
pub(crate) const MARK_AS_UNREAD_TITLE: &str = "Mark as unread (Shift+U)";
pub(crate) const MARK_SELECTED_AS_READ: &str = "Mark selected as read";
pub(crate) const MARK_SELECTED_AS_UNREAD: &str = "Mark selected as unread";
pub(crate) const MORE: &str = "More";
pub(crate) const MOVE_SELECTED_TO_INBOX: &str = "Move selected to inbox";
pub(crate) const MOVE_TO_INBOX: &str = "Move to inbox";
pub(crate) const MOVE_TO_THE_INBOX: &str = "Move to the inbox";
pub(crate) const NEWEST_FIRST: &str = "Newest first";
pub(crate) const NEW_LABEL: &str = "New label";
pub(crate) const NOT_SENT_YET: &str = "Not sent yet";
pub(crate) const NOT_USED: &str = "not used";
pub(crate) const NO_ARCHIVED_MESSAGES: &str =
    "No archived messages. Press e to archive a message. The server does not know Archive.";
pub(crate) const NO_CONNECTION_YET: &str = "No connection yet.";
pub(crate) const NO_DRAFTS: &str = "No drafts. Drafts are stored in this browser only.";
pub(crate) const NO_LABELLED_MESSAGES: &str = "No messages with this label.";
pub(crate) const NO_RECIPIENTS: &str = "(no recipients)";
pub(crate) const NO_SAFE_CONTENT: &str =
    "This message has no safe content. Scripts and remote content are blocked.";
pub(crate) const NO_SAFE_HTML: &str = "The formatted version has no safe content. This is the plain text.";
pub(crate) const NO_SENT_MESSAGES: &str =
    "No sent messages. Copies of messages sent from here are stored in this browser only.";
pub(crate) const NO_STARRED_MESSAGES: &str = "No starred messages. Stars are stored in this browser only.";
pub(crate) const NO_UNREAD_MESSAGES: &str = "No unread messages";
pub(crate) const OLDEST_FIRST: &str = "Oldest first";
pub(crate) const ONE_NEW_MESSAGE: &str = "new message";
pub(crate) const ONE_SENT_COPY: &str = "1 sent copy";
pub(crate) const ONE_UNREAD_MESSAGE: &str = "unread message";
pub(crate) const ORGANIZER_PREFIX: &str = "Organizer: ";
pub(crate) const PRINT: &str = "Print";
pub(crate) const PROTOCOL_LOG: &str = "Protocol log";
pub(crate) const RELOAD: &str = "Reload";
pub(crate) const REPEATS_SUFFIX: &str = ", repeats";
pub(crate) const REPLIES_GO_TO_PREFIX: &str = "replies go to ";
pub(crate) const REPLY_ALL_TITLE: &str = "Reply all (a)";
pub(crate) const REPLY_TITLE: &str = "Reply (r)";
pub(crate) const REPLY_TO: &str = "Reply to";
pub(crate) const RESTORE: &str = "Restore";
pub(crate) const RESTORE_SELECTED: &str = "Restore selected";
pub(crate) const SAVE_MESSAGE: &str = "Save message";
pub(crate) const SEARCH_HINT: &str =
    "Words, or from: to: subject: has:attachment is:unread before:2026-11-22 after:2026-11-22";
pub(crate) const SELECTED_MESSAGES: &str = "Selected messages";
pub(crate) const SELECT_A_MESSAGE: &str = "Select a message to read it. Press ? for keyboard shortcuts.";
pub(crate) const SELECT_TITLE: &str = "Select (x)";
pub(crate) const SEND_AGAIN: &str = "Send again";
pub(crate) const SEND_ANYWAY: &str = "Send anyway";
pub(crate) const SEND_WITHOUT_ATTACHMENT: &str = "Send without an attachment?";
pub(crate) const SEND_WITHOUT_A_SUBJECT: &str = "Send without a subject?";
pub(crate) const SENT_ELSEWHERE: &str = "This message is being sent in another window.";
pub(crate) const SERVER_IS_DELETING: &str = "The server is deleting messages now. Try again in a moment.";
pub(crate) const SHOW_FORMATTED: &str = "Show formatted";
pub(crate) const SHOW_MESSAGE: &str = "Show message";
pub(crate) const SHOW_PLAIN_TEXT: &str = "Show plain text";
pub(crate) const SHOW_SOURCE: &str = "Show source";
pub(crate) const SORT: &str = "Sort";
pub(crate) const STARRED: &str = "Starred";
pub(crate) const STARTING: &str = "Starting…";
pub(crate) const STAR_SELECTED: &str = "Star selected";
pub(crate) const STAR_TITLE: &str = "Star (s)";
pub(crate) const SYNCING: &str = "Syncing";
pub(crate) const THEY_CANNOT_BE_RESTORED: &str = "They exist only in this browser and cannot be restored.";
pub(crate) const THE_MESSAGE_AS_RECEIVED: &str = "The message as received";
pub(crate) const THE_SUBJECT_IS_EMPTY: &str = "The subject is empty.";
pub(crate) const THIS_EVENT_IS_CANCELLED: &str = "This event is cancelled.";
pub(crate) const THIS_MESSAGE_HAS_NO_TEXT: &str = "This message has no text.";
pub(crate) const TODAY: &str = "Today";
pub(crate) const TO_PREFIX: &str = "to ";
pub(crate) const TRASH: &str = "Trash";
pub(crate) const TRASH_IS_EMPTY: &str =
    "Trash is empty. Deleted messages are here until the server has deleted them.";
pub(crate) const TRY_AGAIN: &str = "Try again";
pub(crate) const TRY_NOW: &str = "Try now";
pub(crate) const UNREAD: &str = "Unread";
pub(crate) const UNSUBSCRIBE: &str = "Unsubscribe";
pub(crate) const WHOLE_MESSAGE: &str = "Whole message";
pub(crate) const WIDTH_OF_THE_LIST: &str = "Width of the list";
pub(crate) const WITHOUT_A_SUBJECT: &str = "without a subject";

pub(crate) fn exported_labels(count: &dyn Display, file: &dyn Display) -> String {
    format!("Exported the labels of {count} to {file}.")
}

pub(crate) fn imported_labels(imported: &dyn Display, all: &dyn Display, name: &dyn Display) -> String {
    format!("Imported the labels of {imported} of {all} from {name}.")
}

pub(crate) fn not_deleted(error: &dyn Display) -> String {
    format!("Not deleted. {error}")
}

pub(crate) fn waiting_until(address: &dyn Display, time: &dyn Display) -> String {
    format!("Waiting to be sent to {address}: next attempt at {time}")
}

pub(crate) fn being_sent(address: &dyn Display) -> String {
    format!("Being sent to {address}")
}

pub(crate) fn on_hold(address: &dyn Display) -> String {
    format!("On hold, not sent to {address}: the administrator releases it")
}

pub(crate) fn not_delivered(address: &dyn Display) -> String {
    format!("Not delivered to {address}: a report follows")
}

pub(crate) fn discard_question(subject: &dyn Display) -> String {
    format!("Discard the draft {subject}?")
}

pub(crate) fn delete_copy_question(subject: &dyn Display) -> String {
    format!("Delete the sent copy {subject}?")
}

pub(crate) fn delete_data_question(name: &dyn Display) -> String {
    format!("Delete the local data of {name}?")
}

pub(crate) fn only_in_this_browser(what: &dyn Display) -> String {
    format!("{what} in this browser only and cannot be restored.")
}

pub(crate) fn labels_of(messages: &dyn Display) -> String {
    format!("the labels of {messages}")
}

pub(crate) fn archive_exists(labels: &dyn Display) -> String {
    format!("Archive and {labels} exist")
}

pub(crate) fn mail_and_archive_exist(mail: &dyn Display, labels: &dyn Display) -> String {
    format!("{mail}, Archive and {labels} exist")
}

pub(crate) fn sent_copies(count: &dyn Display) -> String {
    format!("{count} sent copies")
}

pub(crate) fn and(one: &dyn Display, other: &dyn Display) -> String {
    format!("{one} and {other}")
}

pub(crate) fn and_others(others: &dyn Display) -> String {
    format!("And {others}.")
}

pub(crate) fn period(start: &dyn Display, end: &dyn Display) -> String {
    format!("{start} to {end}")
}

pub(crate) fn and_more(count: &dyn Display) -> String {
    format!("and {count} more")
}

pub(crate) fn select(subject: &dyn Display) -> String {
    format!("Select {subject}")
}

pub(crate) fn star(subject: &dyn Display) -> String {
    format!("Star {subject}")
}

pub(crate) fn loading_message(octets: &dyn Display, announced: &dyn Display) -> String {
    format!("Loading message… {octets} of {announced}")
}

pub(crate) fn select_all(count: &dyn Display) -> String {
    format!("Select all {count}")
}

pub(crate) fn as_received(size: &dyn Display) -> String {
    format!(" As received, {size}. ")
}

pub(crate) fn first_fields_shown(count: &dyn Display) -> String {
    format!("Only the first {count} header fields are shown.")
}

pub(crate) fn found(count: &dyn Display) -> String {
    format!("{count} found")
}

pub(crate) fn exists(what: &dyn Display) -> String {
    format!("{what} exists")
}

pub(crate) fn exist(what: &dyn Display) -> String {
    format!("{what} exist")
}
