//! Sentences of the sign-in form, the menu and the settings.

use std::fmt::Display;

pub(crate) const ABOUT: &str = "This page is an SMTP and POP3 client. ";
pub(crate) const ADD_ACCOUNT: &str = "Add account";
pub(crate) const ALWAYS_SHOW_IMAGES_FROM: &str = "Always show images from";
pub(crate) const ARCHIVE_OR_MOVE: &str = "Archive, or move to the inbox";
pub(crate) const BOLD_ITALIC_LINK: &str = "Bold, italic, link";
pub(crate) const CHANGE_PASSWORD: &str = "Change password";
pub(crate) const COMFORTABLE: &str = "Comfortable";
pub(crate) const COMPACT: &str = "Compact";
pub(crate) const CONTINUE_AS: &str = "Continue as";
pub(crate) const CURRENT_PASSWORD: &str = "Current password";
pub(crate) const DOWNLOAD_MESSAGES: &str = "Download messages for search and offline reading";
pub(crate) const ENTER_A_NEW_PASSWORD: &str = "Enter a new password.";
pub(crate) const ENTER_YOUR_CURRENT_PASSWORD: &str = "Enter your current password.";
pub(crate) const ENTER_YOUR_PASSWORD: &str = "Enter your password.";
pub(crate) const ENTER_YOUR_USERNAME: &str = "Enter your username.";
pub(crate) const EXPORT_CONTACTS: &str = "Export contacts";
pub(crate) const EXPORT_LABELS_AND_STARS: &str = "Export labels and stars";
pub(crate) const EXPORT_MAIL: &str = "Export mail of this browser as mbox files";
pub(crate) const EXTEND_THE_SELECTION: &str = "Extend the selection";
pub(crate) const FILES_TO_IMPORT: &str = "Files to import";
pub(crate) const FIRST_AND_LAST_MESSAGE: &str = "First and last message";
pub(crate) const IMPORT: &str = "Import…";
pub(crate) const IMPORT_EXPLANATION: &str = "Messages are sent to yourself and keep their dates.";
pub(crate) const IMPORT_KINDS: &str = "Import mail (mbox, eml), contacts (vcf) and labels (json)";
pub(crate) const INBOX_AVAILABLE_OFFLINE: &str = "Inbox (available offline)";
pub(crate) const KEYBOARD_SHORTCUTS: &str = "Keyboard shortcuts";
pub(crate) const LISTS_AND_QUOTE: &str = "Numbered list, list, quote";
pub(crate) const LIST_ITEM_OUT_IN: &str = "List item out, in";
pub(crate) const MARK_AS_READ_OR_UNREAD: &str = "Mark as read, as unread";
pub(crate) const MENU: &str = "Menu";
pub(crate) const MESSAGE_LIST: &str = "Message list";
pub(crate) const NEW_PASSWORD: &str = "New password";
pub(crate) const NEXT_AND_PREVIOUS_MESSAGE: &str = "Next and previous message";
pub(crate) const NO_PASSWORD_CHANGE: &str =
    "Password not changed: this server offers no change of passwords.";
pub(crate) const OFF: &str = "Off";
pub(crate) const PASSWORD: &str = "Password";
pub(crate) const PASSWORDS_DIFFER: &str = "The two new passwords differ.";
pub(crate) const PASSWORD_CHANGED: &str = "Password changed.";
pub(crate) const REPEAT_PASSWORD: &str = "Repeat the new password";
pub(crate) const SELECT: &str = "Select";
pub(crate) const SELECT_ALL: &str = "Select all";
pub(crate) const SERVER: &str = "Server";
pub(crate) const SETTINGS: &str = "Settings";
pub(crate) const SETTINGS_ARE_LOCAL: &str = "Settings are stored in this browser only.";
pub(crate) const SETTINGS_NOT_STORED: &str =
    "This browser cannot store the settings: they last until the page is closed.";
pub(crate) const SHOW_CONVERSATIONS: &str = "Show conversations";
pub(crate) const SHOW_IMAGES: &str = "Show images";
pub(crate) const SIGNING_IN: &str = "Signing in…";
pub(crate) const SIGN_IN: &str = "Sign in";
pub(crate) const SIGN_OUT: &str = "Sign out";
pub(crate) const STAY_SIGNED_IN: &str = "Stay signed in on this device";
pub(crate) const SWITCH_TO: &str = "Switch to";
pub(crate) const UNDO_SEND: &str = "Undo send";
pub(crate) const USERNAME: &str = "Username";
pub(crate) const YOUR_NAME: &str = "Your name";

pub(crate) fn password_not_changed(reason: &dyn Display) -> String {
    format!("Password not changed: {reason}")
}

pub(crate) fn exported(count: &dyn Display, name: &dyn Display) -> String {
    format!("Exported {count} to {name}.")
}

pub(crate) fn cannot_read(name: &dyn Display) -> String {
    format!("Cannot read {name}.")
}

pub(crate) fn nothing_to_import(name: &dyn Display) -> String {
    format!("{name} contains no messages, contacts or labels. Import mbox, eml, vcf and json files.")
}

pub(crate) fn of_account(account: &dyn Display, text: &dyn Display) -> String {
    format!("Account {account}: {text}")
}

pub(crate) fn not_imported(error: &dyn Display) -> String {
    format!("Not imported. {error}")
}

pub(crate) fn importing(imported: &dyn Display, all: &dyn Display) -> String {
    format!("Importing {imported} of {all}…")
}

pub(crate) fn imported_some(imported: &dyn Display, all: &dyn Display, name: &dyn Display) -> String {
    format!("Imported {imported} of {all} from {name}.")
}

pub(crate) fn exported_contacts(count: &dyn Display) -> String {
    format!("Exported {count} to contacts.vcf.")
}

pub(crate) fn imported(count: &dyn Display, name: &dyn Display) -> String {
    format!("Imported {count} from {name}.")
}

pub(crate) fn always_show_from(sender: &dyn Display) -> String {
    format!("Always show from {sender}")
}

pub(crate) fn blocked_images(images: &dyn Display, verb: &dyn Display) -> String {
    format!("{images} {verb} blocked to protect your privacy.")
}

pub(crate) fn storage_usage(size: &dyn Display) -> String {
    format!(" This page uses {size} in it.")
}

pub(crate) fn up_to(size: &dyn Display) -> String {
    format!("Up to {size}")
}

pub(crate) fn export(label: &dyn Display) -> String {
    format!("Export {label}")
}

pub(crate) fn trying_again(reason: &dyn Display) -> String {
    format!("{reason} Trying again in a moment.")
}

pub(crate) fn import_limit(limit: &dyn Display) -> String {
    format!(" At most {limit} are imported from a file; split it to import the others.")
}

pub(crate) fn invalid_contacts(invalid: &dyn Display) -> String {
    format!(" {invalid} without a valid address left out.")
}

pub(crate) fn contacts_limit(lines: &dyn Display) -> String {
    format!(" Only the first {lines} lines were read; split the file to import the others.")
}
