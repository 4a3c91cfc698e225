//! Archive and labels of a message. POP3 has neither, so they exist in this browser only.

use std::collections::BTreeSet;

use mail_core::message::printable::printable_line;

/// Characters of a label's name.
pub(crate) const LABEL_CHARS_MAX: usize = 60;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filing {
    /// The message is in Archive instead of the inbox.
    pub(crate) archived: bool,
    pub(crate) labels: BTreeSet<String>,
}

impl Filing {
    pub(crate) fn is_default(&self) -> bool {
        !self.archived && self.labels.is_empty()
    }

    /// Archived or with a label in one of the two.
    pub(crate) fn union(mut self, other: Self) -> Self {
        self.archived |= other.archived;
        self.labels.extend(other.labels);
        self
    }
}

/// A label's name in one line. The name of an existing label that differs in case only is used instead. `None` if it is
/// empty.
pub(crate) fn label_name<'a>(text: &str, mut existing: impl Iterator<Item = &'a str>) -> Option<String> {
    let line = printable_line(text);
    let name = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let name: String = name.chars().take(LABEL_CHARS_MAX).collect();
    let name = name.trim_end();
    if name.is_empty() {
        return None;
    }
    let lowercase = name.to_lowercase();
    let same = existing.find(|label| label.to_lowercase() == lowercase);
    Some(same.unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn label_name_is_one_short_line_and_reuses_an_existing_name() {
        let name = |text: &str| label_name(text, ["Bills", "Straße"].into_iter());
        assert_eq!(name("  Tax \n 2026 ").as_deref(), Some("Tax 2026"));
        assert_eq!(name("bills").as_deref(), Some("Bills"));
        assert_eq!(name(" \t "), None);
        assert_eq!(name(&"ü".repeat(100)).map(|name| name.chars().count()), Some(LABEL_CHARS_MAX));
    }

    #[test]
    fn union_keeps_what_either_has() {
        let labels = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
        let one = Filing { archived: true, labels: labels(&["a"]) };
        let other = Filing { archived: false, labels: labels(&["b"]) };
        assert_eq!(one.union(other), Filing { archived: true, labels: labels(&["a", "b"]) });
        assert!(Filing::default().is_default());
    }
}
