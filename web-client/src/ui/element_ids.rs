//! Ids of elements that receive the focus.

pub(super) const SEARCH_ID: &str = "search";
/// The title of the open message.
pub(super) const TITLE_ID: &str = "title";
pub(super) const TO_ID: &str = "to";
pub(super) const CC_ID: &str = "cc";
pub(super) const BCC_ID: &str = "bcc";
pub(super) const SUBJECT_ID: &str = "subject";
pub(super) const BODY_ID: &str = "body";

/// The id of a list row's button begins with this.
pub(super) const ROW_PREFIX: &str = "row-";

/// The button of a list row.
pub(super) fn row_id(id: &str) -> String {
    format!("{ROW_PREFIX}{id}")
}
