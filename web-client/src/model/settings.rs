//! The user's settings, stored per account in this browser.

use mail_core::message::address::Address;

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

/// Colours of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// The choice of the operating system or the browser.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub(crate) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// The name in the storage and in the style sheet.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(crate) fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.id() == id)
    }
}

/// The display name and the signature of an own address, instead of those of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// In lower case.
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) signature: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The display name in From, of addresses without an identity.
    pub(crate) name: String,
    /// Added to new messages and replies from addresses without an identity. Without the `-- ` line.
    pub(crate) signature: String,
    /// One for each address at most.
    pub(crate) identities: Vec<Identity>,
    pub(crate) theme: Theme,
    /// Notifications of new mail, as far as the browser permits them.
    pub(crate) notifications: bool,
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
            identities: Vec::new(),
            theme: Theme::System,
            notifications: true,
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

    /// The identity of an address, if it has one.
    pub(crate) fn identity(&self, address: &str) -> Option<&Identity> {
        let address = address.to_lowercase();
        self.identities.iter().find(|identity| identity.address == address)
    }

    /// Adds, replaces or removes the identity of an address.
    pub(crate) fn set_identity(&mut self, address: &str, identity: Option<Identity>) {
        let address = address.to_lowercase();
        self.identities.retain(|other| other.address != address);
        self.identities.extend(identity);
    }

    /// The display name for mail from an address.
    pub(crate) fn name_of(&self, from: Option<&Address>) -> &str {
        let identity = from.and_then(|address| self.identity(&address.to_string()));
        identity.map_or(&self.name, |identity| &identity.name)
    }

    /// The lines of the signature for mail from an address, from the `-- ` line on; empty without a signature.
    pub(crate) fn signature_of(&self, from: Option<&Address>) -> String {
        let identity = from.and_then(|address| self.identity(&address.to_string()));
        let signature = identity.map_or(&self.signature, |identity| &identity.signature).trim_end();
        if signature.is_empty() { String::new() } else { format!("-- \n{signature}") }
    }

    /// Adds the changes from `before` to `after` to these settings, which another tab may have changed meanwhile.
    pub(crate) fn with_changes(self, before: &Self, after: &Self) -> Self {
        fn changed<T: Clone + PartialEq>(own: T, before: &T, after: &T) -> T {
            if before == after { own } else { after.clone() }
        }
        let mut settings = Self {
            name: changed(self.name, &before.name, &after.name),
            signature: changed(self.signature, &before.signature, &after.signature),
            identities: self.identities,
            theme: changed(self.theme, &before.theme, &after.theme),
            notifications: changed(self.notifications, &before.notifications, &after.notifications),
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
        for Identity { address, .. } in before.identities.iter().chain(&after.identities) {
            let identity = after.identity(address);
            if before.identity(address) != identity {
                settings.set_identity(address, identity.cloned());
            }
        }
        settings
    }

    /// Adds the signature to the text of a new message, or above the quotation of a reply (RFC 3676 section 4.3).
    pub(crate) fn sign(&self, body: &str, from: Option<&Address>) -> String {
        let signature = self.signature_of(from);
        if signature.is_empty() { body.to_owned() } else { format!("\n\n{signature}\n{body}") }
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
        assert_eq!(settings.sign("", None), "\n\n-- \nAg Mitra\nKharagpur\n");
        assert_eq!(settings.sign("\n\n> Hello", None), "\n\n-- \nAg Mitra\nKharagpur\n\n\n> Hello");
        assert_eq!(Settings::default().sign("\n\n> Hello", None), "\n\n> Hello");
    }

    fn identity(address: &str, name: &str) -> Identity {
        Identity { address: address.to_owned(), name: name.to_owned(), signature: String::new() }
    }

    #[test]
    fn identity_replaces_name_and_signature() {
        let own = Address::parse("Sales@iit.edu").ok();
        let mut settings =
            Settings { name: "Ag".to_owned(), signature: "Ag".to_owned(), ..Settings::default() };
        assert_eq!(
            (settings.name_of(own.as_ref()), &*settings.signature_of(own.as_ref())),
            ("Ag", "-- \nAg")
        );
        settings.set_identity("sales@IIT.edu", Some(identity("sales@iit.edu", "The shop")));
        assert_eq!((settings.name_of(own.as_ref()), &*settings.signature_of(own.as_ref())), ("The shop", ""));
        assert_eq!(settings.name_of(None), "Ag");
        settings.set_identity("sales@iit.edu", None);
        assert_eq!(settings.name_of(own.as_ref()), "Ag");
    }

    #[test]
    fn changes_of_two_tabs_are_merged() {
        let senders = |senders: &[&str]| senders.iter().map(|sender| (*sender).to_owned()).collect();
        let before = Settings {
            images_from: senders(&["a@b", "c@d"]),
            identities: vec![identity("a@b", "A"), identity("c@d", "C")],
            ..Settings::default()
        };
        let one = Settings {
            name: "Ag".to_owned(),
            images_from: senders(&["a@b"]),
            identities: vec![identity("c@d", "C")],
            ..before.clone()
        };
        let other = Settings {
            signature: "Ag".to_owned(),
            conversations: false,
            plain_text: true,
            undo_send_seconds: 30,
            offline_octets: 0,
            theme: Theme::Dark,
            notifications: false,
            identities: vec![identity("a@b", "A"), identity("c@d", "D")],
            images_from: senders(&["e@f", "a@b", "c@d"]),
            ..before.clone()
        };
        let merged = one.clone().with_changes(&before, &other);
        assert_eq!(
            merged,
            Settings {
                name: "Ag".to_owned(),
                images_from: senders(&["e@f", "a@b"]),
                identities: vec![identity("c@d", "D")],
                ..other.clone()
            }
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
