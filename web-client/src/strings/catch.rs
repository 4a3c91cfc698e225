//! Sentences of a catcher's page.

use std::fmt::Display;

pub(crate) const ALL_MAIL: &str = "All mail";
pub(crate) const CATCHER_DOES_NOT_ANSWER: &str = "The catcher does not answer. Connecting again…";
pub(crate) const CATCH_IS_EMPTY: &str = "No mail yet";
pub(crate) const CATCH_LIST_IS_EMPTY: &str = "No mail yet.";
pub(crate) const CATCH_SEARCH_HINT: &str = "Words, or to: from: subject: tag: has:attachment is:unread larger:100k before:2026-11-22 after:2026-11-22; - excludes";
pub(crate) const CHECKING_LINKS: &str = "Checking links…";
pub(crate) const CHECK_LINKS: &str = "Check links";
pub(crate) const CHECK_LINKS_EXPLANATION: &str = " Sends a HEAD request to each, and follows redirects.";
pub(crate) const COMPATIBILITY: &str = "Compatibility";
pub(crate) const CONNECTING: &str = "Connecting";
pub(crate) const DATA_CANIEMAIL_COM: &str = "Data: caniemail.com";
pub(crate) const DELETED_FROM_CATCHER: &str = "They are deleted from the catcher and cannot be restored.";
pub(crate) const DELETE_ALL: &str = "Delete all";
pub(crate) const DIALOGUE: &str = "Dialogue";
pub(crate) const FAULTS: &str = "Faults";
pub(crate) const FEATURE: &str = "Feature";
pub(crate) const FIT: &str = "Fit";
pub(crate) const HOW_TO_CATCH: &str = "Send mail to the SMTP address that the catcher printed at its start, by default 127.0.0.1:1025. It appears here at once.";
pub(crate) const LINKS: &str = "Links";
pub(crate) const LINT: &str = "Lint";
pub(crate) const LIVE: &str = "Live";
pub(crate) const LOADING: &str = "Loading…";
pub(crate) const MARK_ALL_READ: &str = "Mark all read";
pub(crate) const MARK_UNREAD: &str = "Mark unread";
pub(crate) const NOTHING_REMOVED: &str = "No element or attribute was removed.";
pub(crate) const NOT_SUPPORTED_BY: &str = "Not supported by";
pub(crate) const NO_COMPATIBILITY_GAP: &str = "None of the known gaps is in the HTML.";
pub(crate) const NO_DEFECTS: &str = "No defects.";
pub(crate) const ONE_REMOTE_IMAGE: &str = "remote image";
pub(crate) const ONE_TIME_CODES: &str = "One-time codes";
pub(crate) const OTHER_SERVERS_REJECT_IT: &str = "Other servers reject it";
pub(crate) const PARTLY_SUPPORTED_BY: &str = "Partly supported by";
pub(crate) const PARTS: &str = "Parts";
pub(crate) const PENNYPOST_CATCH: &str = "Pennypost catch";
pub(crate) const RECEIVED: &str = "Received";
pub(crate) const RECIPIENT: &str = "Recipient";
pub(crate) const RECIPIENTS: &str = "Recipients";
pub(crate) const RELEASE: &str = "Release";
pub(crate) const RELEASE_EXPLANATION: &str =
    "The message leaves the catcher: it is delivered to these addresses.";
pub(crate) const RELEASE_THIS_MESSAGE: &str = "Release this message?";
pub(crate) const REMOVED_BY_SANITIZER: &str = "Removed by the sanitizer of this page";
pub(crate) const SAVE_SOURCE: &str = "Save source";
pub(crate) const SAVE_THE_SOURCE: &str = "Save the source";
pub(crate) const SELECT_CAUGHT_MESSAGE: &str =
    "Select a message. Keys: j and k open the next and the previous one, / searches.";
pub(crate) const SHOW_OLDER_MESSAGES: &str = "Show older messages";
pub(crate) const SIZE: &str = "Size";
pub(crate) const SOURCE: &str = "Source";
pub(crate) const STATUS: &str = "Status";
pub(crate) const TAGS: &str = "Tags";
pub(crate) const THE_MESSAGE_HAS_NO_HTML: &str = "The message has no HTML.";
pub(crate) const TYPE: &str = "Type";
pub(crate) const UNSAFE_HTML: &str = "The HTML could not be made safe, so it is not shown.";
pub(crate) const UNSUPPORTED_FEATURES: &str = "Features that mail programs do not support";
pub(crate) const VIEWS: &str = "Views";
pub(crate) const WARNING: &str = "Warning";
pub(crate) const WIDTH: &str = "Width";

pub(crate) fn to_several(named: &dyn Display, others: &dyn Display) -> String {
    format!("To {named} and {others}")
}

pub(crate) fn lint(defects: &dyn Display) -> String {
    format!("Lint ({defects})")
}

pub(crate) fn more_recipients_hint(more: &dyn Display) -> String {
    format!("{more} more. Search with to:")
}

pub(crate) fn permitted(allowed: &dyn Display) -> String {
    format!("Permitted: {allowed}")
}

pub(crate) fn html_not_checked(error: &dyn Display) -> String {
    format!("The HTML was not checked. {error}")
}

pub(crate) fn octets_of_message(octets: &dyn Display) -> String {
    format!("({octets} octets of the message)")
}

pub(crate) fn line(number: &dyn Display) -> String {
    format!(" (line {number})")
}
