//! The JSON of Mailpit (`internal/storage/structs.go`, `server/apiv1` of axllent/mailpit).

use chrono::{DateTime, SecondsFormat, Utc};
use md5::Md5;
use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::content::{Contact, Content, File};
use crate::store::Message;

/// `MessageSummary`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Summary<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "MessageID")]
    message_id: &'a str,
    read: bool,
    from: Contact,
    to: &'a [Contact],
    cc: &'a [Contact],
    bcc: &'a [Contact],
    reply_to: &'a [Contact],
    subject: &'a str,
    created: String,
    username: &'a str,
    tags: Vec<String>,
    size: u64,
    attachments: usize,
    snippet: &'a str,
}

impl<'a> Summary<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        let summary = &message.summary;
        let state = message.state().clone();
        Self {
            id: &message.id,
            message_id: &summary.message_id,
            read: state.read,
            from: summary.from.clone().unwrap_or_default(),
            to: &summary.to,
            cc: &summary.cc,
            bcc: &summary.bcc,
            reply_to: &summary.reply_to,
            subject: &summary.subject,
            created: time(message.received),
            username: &message.user,
            tags: state.tags,
            size: message.size,
            attachments: summary.attachments,
            snippet: &summary.snippet,
        }
    }
}

/// `MessagesSummary`.
#[derive(Debug, Serialize)]
pub(super) struct List<'a> {
    pub(super) total: usize,
    pub(super) unread: usize,
    pub(super) count: usize,
    pub(super) messages_count: usize,
    pub(super) messages_unread: usize,
    pub(super) start: usize,
    pub(super) tags: Vec<String>,
    pub(super) messages: Vec<Summary<'a>>,
}

/// `Message`. `Read` is from older versions, whose clients require it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Details {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "MessageID")]
    message_id: String,
    read: bool,
    from: Contact,
    to: Vec<Contact>,
    cc: Vec<Contact>,
    bcc: Vec<Contact>,
    reply_to: Vec<Contact>,
    return_path: String,
    subject: String,
    list_unsubscribe: ListUnsubscribe,
    date: String,
    tags: Vec<String>,
    username: String,
    text: String,
    #[serde(rename = "HTML")]
    html: String,
    size: u64,
    inline: Vec<Attachment>,
    attachments: Vec<Attachment>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListUnsubscribe {
    header: String,
    links: Vec<String>,
    errors: String,
    header_post: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    #[serde(rename = "PartID")]
    part_id: String,
    file_name: String,
    content_type: String,
    #[serde(rename = "ContentID")]
    content_id: String,
    size: usize,
    checksums: Checksums,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Checksums {
    md5: String,
    sha1: String,
    sha256: String,
}

impl Details {
    /// Decodes every part.
    pub(super) fn of(message: &Message, octets: &[u8]) -> Self {
        let content = Content::parse(octets);
        let (text, html) = content.texts();
        let (inline, attachments): (Vec<_>, Vec<_>) =
            content.files().into_iter().partition(|file| file.is_inline);
        let summary = &message.summary;
        Self {
            id: message.id.clone(),
            message_id: summary.message_id.clone(),
            read: true,
            from: summary.from.clone().unwrap_or_default(),
            to: summary.to.clone(),
            cc: summary.cc.clone(),
            bcc: summary.bcc.clone(),
            reply_to: summary.reply_to.clone(),
            return_path: message.envelope.from.clone(),
            subject: summary.subject.clone(),
            list_unsubscribe: ListUnsubscribe::of(&content.headers()),
            date: summary.date.map_or_else(
                || time(message.received),
                |date| date.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            ),
            tags: message.state().tags.clone(),
            username: message.user.clone(),
            text,
            html,
            size: message.size,
            inline: inline.into_iter().map(Attachment::of).collect(),
            attachments: attachments.into_iter().map(Attachment::of).collect(),
        }
    }
}

impl Attachment {
    fn of(file: File) -> Self {
        let checksums = Checksums {
            md5: hex(&Md5::digest(&file.octets)),
            sha1: hex(&Sha1::digest(&file.octets)),
            sha256: hex(&Sha256::digest(&file.octets)),
        };
        Self {
            part_id: file.part_id,
            file_name: file.name,
            content_type: file.media_type,
            content_id: file.content_id,
            size: file.octets.len(),
            checksums,
        }
    }
}

impl ListUnsubscribe {
    /// RFC 2369 section 3: addresses in angle brackets, separated by commas.
    fn of(headers: &[(String, String)]) -> Self {
        let value = |name: &str| {
            let found = headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let header = value("List-Unsubscribe");
        let links = header
            .split('<')
            .skip(1)
            .filter_map(|rest| rest.split_once('>'))
            .map(|(link, _)| link.trim().to_owned());
        let links: Vec<String> = links.collect();
        let errors = if header.is_empty() || !links.is_empty() { "" } else { "no address in angle brackets" };
        Self { header_post: value("List-Unsubscribe-Post"), errors: errors.to_owned(), links, header }
    }
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Like Go's RFC3339 times of milliseconds.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The form of header names in Go's maps: `Message-Id`, `Mime-Version`.
pub(super) fn canonical_name(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + &chars.as_str().to_ascii_lowercase()
        })
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_are_those_of_go() {
        for (name, canonical) in
            [("MESSAGE-ID", "Message-Id"), ("mime-version", "Mime-Version"), ("X", "X"), ("a--b", "A--B")]
        {
            assert_eq!(canonical_name(name), canonical);
        }
    }

    #[test]
    fn list_unsubscribe_has_the_links_of_its_header() {
        let header = |value: &str| [("list-unsubscribe".to_owned(), value.to_owned())];
        let parsed = ListUnsubscribe::of(&header("<mailto:u@a.example>, <https://a.example/u>"));
        assert_eq!(
            (parsed.links.join(" "), parsed.errors.as_str()),
            ("mailto:u@a.example https://a.example/u".to_owned(), "")
        );
        assert!(!ListUnsubscribe::of(&header("none")).errors.is_empty());
        assert!(ListUnsubscribe::of(&[]).errors.is_empty());
    }
}
