//! A built-in mail for each kind of input that the MIME parser tolerates. Natively and on WebAssembly.

#[path = "platform/mod.rs"]
mod platform;

#[path = "mime/charsets.rs"]
mod charsets;
#[path = "mime/fields.rs"]
mod fields;
#[path = "mime/files.rs"]
mod files;
#[path = "mime/layout.rs"]
mod layout;
#[cfg(not(target_arch = "wasm32"))]
#[path = "mime/limits.rs"]
mod limits;
#[path = "mime/structure.rs"]
mod structure;

use mail_core::message::parsed::ParsedMessage;

/// Converts a mail with LF line ends to CRLF and parses it.
fn parse(mail: &str) -> ParsedMessage {
    parse_bytes(mail.replace('\n', "\r\n").as_bytes())
}

fn parse_bytes(mail: &[u8]) -> ParsedMessage {
    ParsedMessage::parse_with(mail, platform::PLATFORM)
}

/// The text without white space around it, with LF.
fn text(parsed: &ParsedMessage) -> String {
    parsed.plain_text().replace("\r\n", "\n").trim().to_owned()
}

/// The names of the attachments.
fn names(parsed: &ParsedMessage) -> Vec<&str> {
    parsed.attachments.iter().map(|file| file.name.as_str()).collect()
}
