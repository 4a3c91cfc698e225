//! The user's settings, stored per account in this browser.

/// Octets that may be fetched in the background: off, then the choices of the settings.
pub(crate) const OFFLINE_OCTETS: [u64; 4] = [0, 50_000_000, 200_000_000, 1_000_000_000];
/// Seconds for which sending can be undone.
pub(crate) const UNDO_SEND_SECONDS: [u32; 4] = [0, 5, 10, 30];
/// Width of the message list in pixels.
pub(crate) const LIST_WIDTH_DEFAULT: u32 = 380;
pub(crate) const LIST_WIDTH_MIN: u32 = 260;
pub(crate) const LIST_WIDTH_MAX: u32 = 900;
/// Senders whose images are always shown. Of more, the oldest are forgotten.
const IMAGE_SENDERS_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The display name in From.
    pub(crate) name: String,
    /// Added to new messages and replies. Without the `-- ` line.
    pub(crate) signature: String,
    /// Budget for messages that are fetched in the background, for the search and for reading offline.
    pub(crate) offline_octets: u64,
    pub(crate) undo_send_seconds: u32,
    /// The reader shows the other messages of a conversation.
    pub(crate) conversations: bool,
    /// New messages are in plain text.
    pub(crate) plain_text: bool,
    /// The rows of the list have no snippet.
    pub(crate) compact: bool,
    /// In pixels, within the limits.
    pub(crate) list_width: u32,
    /// Addresses in lower case whose remote images are always shown, the last one added first.
    pub(crate) images_from: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            signature: String::new(),
            offline_octets: OFFLINE_OCTETS[1],
            undo_send_seconds: UNDO_SEND_SECONDS[2],
            conversations: true,
            plain_text: false,
            compact: false,
            list_width: LIST_WIDTH_DEFAULT,
            images_from: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether the remote images of a sender are always shown.
    pub(crate) fn shows_images_from(&self, sender: &str) -> bool {
        self.images_from.iter().any(|shown| shown == sender)
    }

    pub(crate) fn show_images_from(&mut self, sender: &str) {
        self.block_images_from(sender);
        self.images_from.insert(0, sender.to_owned());
        self.images_from.truncate(IMAGE_SENDERS_MAX);
    }

    pub(crate) fn block_images_from(&mut self, sender: &str) {
        self.images_from.retain(|shown| shown != sender);
    }

    /// Adds the changes from `before` to `after` to these settings, which another tab may have changed meanwhile.
    pub(crate) fn with_changes(self, before: &Self, after: &Self) -> Self {
        fn changed<T: Clone + PartialEq>(own: T, before: &T, after: &T) -> T {
            if before == after { own } else { after.clone() }
        }
        let mut settings = Self {
            name: changed(self.name, &before.name, &after.name),
            signature: changed(self.signature, &before.signature, &after.signature),
            offline_octets: changed(self.offline_octets, &before.offline_octets, &after.offline_octets),
            undo_send_seconds: changed(
                self.undo_send_seconds,
                &before.undo_send_seconds,
                &after.undo_send_seconds,
            ),
            conversations: changed(self.conversations, &before.conversations, &after.conversations),
            plain_text: changed(self.plain_text, &before.plain_text, &after.plain_text),
            compact: changed(self.compact, &before.compact, &after.compact),
            list_width: changed(self.list_width, &before.list_width, &after.list_width),
            images_from: self.images_from,
        };
        for sender in before.images_from.iter().filter(|sender| !after.shows_images_from(sender)) {
            settings.block_images_from(sender);
        }
        for sender in after.images_from.iter().rev().filter(|sender| !before.shows_images_from(sender)) {
            settings.show_images_from(sender);
        }
        settings
    }

    /// Adds the signature to the text of a new message, or above the quotation of a reply (RFC 3676 section 4.3).
    pub(crate) fn sign(&self, body: &str) -> String {
        let signature = self.signature.trim_end();
        if signature.is_empty() { body.to_owned() } else { format!("\n\n-- \n{signature}\n{body}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn signature_stands_above_the_quotation() {
        let settings = Settings { signature: "Ag Mitra\nKharagpur\n".to_owned(), ..Settings::default() };
        assert_eq!(settings.sign(""), "\n\n-- \nAg Mitra\nKharagpur\n");
        assert_eq!(settings.sign("\n\n> Hello"), "\n\n-- \nAg Mitra\nKharagpur\n\n\n> Hello");
        assert_eq!(Settings::default().sign("\n\n> Hello"), "\n\n> Hello");
    }

    #[test]
    fn changes_of_two_tabs_are_merged() {
        let senders = |senders: &[&str]| senders.iter().map(|sender| (*sender).to_owned()).collect();
        let before = Settings { images_from: senders(&["a@b", "c@d"]), ..Settings::default() };
        let one = Settings { name: "Ag".to_owned(), images_from: senders(&["a@b"]), ..before.clone() };
        let other = Settings {
            signature: "Ag".to_owned(),
            conversations: false,
            plain_text: true,
            undo_send_seconds: 30,
            offline_octets: 0,
            images_from: senders(&["e@f", "a@b", "c@d"]),
            ..before.clone()
        };
        let merged = one.clone().with_changes(&before, &other);
        assert_eq!(
            merged,
            Settings { name: "Ag".to_owned(), images_from: senders(&["e@f", "a@b"]), ..other.clone() }
        );
        assert_eq!(other.with_changes(&before, &one), merged);
        assert_eq!(one.clone().with_changes(&before, &before), one);
    }

    #[test]
    fn images_are_shown_from_a_bounded_number_of_senders() {
        let mut settings = Settings::default();
        for number in 0..=IMAGE_SENDERS_MAX {
            settings.show_images_from(&format!("{number}@iit.edu"));
        }
        settings.show_images_from("7@iit.edu");
        assert_eq!(settings.images_from.len(), IMAGE_SENDERS_MAX);
        assert_eq!(settings.images_from[..2], ["7@iit.edu", "1000@iit.edu"]);
        assert!(!settings.shows_images_from("0@iit.edu"));
        settings.block_images_from("7@iit.edu");
        assert!(!settings.shows_images_from("7@iit.edu") && settings.shows_images_from("1000@iit.edu"));
    }
}
