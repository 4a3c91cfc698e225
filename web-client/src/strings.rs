//! Sentences of the page that occur in several places or follow the product's wording.

use crate::model::format;

pub(crate) const MESSAGE_SENT: &str = "Message sent.";
pub(crate) const FIX_FIELDS: &str = "Not sent. Fix the highlighted fields.";
pub(crate) const FULL_ADDRESS: &str = "Add a full address, such as name@example.org.";
pub(crate) const NO_RESULTS: &str = "No messages match.";
pub(crate) const EMPTY_INBOX: &str = "Your inbox is empty.";
pub(crate) const THIS_BROWSER_ONLY: &str = "This browser only";
pub(crate) const FILED_IN_THIS_BROWSER: &str =
    "Archive and labels are stored in this browser only. The messages stay on the server.";
pub(crate) const SHOW_QUOTED_TEXT: &str = "Show quoted text";
pub(crate) const HIDE_QUOTED_TEXT: &str = "Hide quoted text";
pub(crate) const DRAFT_OPEN_ELSEWHERE: &str = "This draft is open in another tab.";
pub(crate) const LOADING_CANCELLED: &str = "Loading was cancelled.";
pub(crate) const OFFLINE: &str = "Offline.";
pub(crate) const NEW_VERSION: &str = "A new version is available.";
pub(crate) const IN_OUTBOX: &str = "Offline. Your message will be sent when the connection returns.";
pub(crate) const NOT_CLAIMED: &str = "Not sent: the browser's storage does not answer, and another tab may be sending the message. \
    It is in Drafts. Reload the page, or open the message to send it.";
pub(crate) const PASSWORD_UNKNOWN: &str = "The server did not answer: the password may have been changed. If the old one is refused, try the new one.";
pub(crate) const OUTBOX: &str = "Outbox";
pub(crate) const SIGN_OUT_AND_DELETE: &str = "Sign out and delete local data…";
pub(crate) const SHOW_PROTOCOL_LOG: &str = "Show protocol log";
pub(crate) const HIDE_PROTOCOL_LOG: &str = "Hide protocol log";

pub(crate) fn subject_too_long(excess_chars: usize) -> String {
    format!("Subject is {} too long.", format::count(excess_chars, "character"))
}

pub(crate) fn message_too_large(octets_max: u64, octets: u64) -> String {
    let [octets_max, octets] = [octets_max, octets].map(format::binary_size);
    format!("The server accepts up to {octets_max}. Yours is {octets}.")
}

pub(crate) fn retrying_in(seconds: i64) -> String {
    format!("Retrying in {seconds} s.")
}

/// Messages that wait for a connection.
pub(crate) fn in_outbox(waiting: usize) -> String {
    format!("{} waiting to be sent.", format::count(waiting, "message"))
}

pub(crate) fn available_offline(stored: usize, all: usize) -> String {
    format!("{} of {} available offline", format::number(stored), format::number(all))
}

/// The number of messages whose text a search covers. Their headers are always searched.
pub(crate) fn search_coverage(searched: usize, all: usize) -> String {
    let messages = format::count(all, "message");
    if searched == all {
        format!("Searched {messages}")
    } else {
        format!("Searched {} of {messages}", format::number(searched))
    }
}

pub(crate) const fn protocol_log(is_open: bool) -> &'static str {
    if is_open { HIDE_PROTOCOL_LOG } else { SHOW_PROTOCOL_LOG }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn sentences_have_their_numbers() {
        assert_eq!(subject_too_long(1), "Subject is 1 character too long.");
        assert_eq!(subject_too_long(20), "Subject is 20 characters too long.");
        assert_eq!(
            message_too_large(41_943_040, 67_108_864),
            "The server accepts up to 40 MB. Yours is 64 MB."
        );
        assert_eq!(search_coverage(1_240, 1_300), "Searched 1,240 of 1,300 messages");
        assert_eq!(search_coverage(1, 1), "Searched 1 message");
        assert_eq!(in_outbox(1), "1 message waiting to be sent.");
        assert_eq!(in_outbox(3), "3 messages waiting to be sent.");
        assert_eq!(available_offline(32, 1_032), "32 of 1,032 available offline");
    }
}
