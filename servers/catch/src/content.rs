//! The content of a message: summary, text, HTML, links, one-time codes and parts.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use chrono::{DateTime, FixedOffset};
use encoding_rs::Encoding;
use mail_core::message::mime::{self, Context, Field, Header, Layout, Part};
use mail_core::message::parsed::ParsedMessage;
use mail_core::message::platform::Platform;
use regex::Regex;
use serde::Serialize;

use crate::html::Document;

/// Characters of a snippet, as in Mailpit.
const SNIPPET_CHARS_MAX: usize = 250;
/// Lines between a word such as `code` and a code that stands alone.
const LINES_AFTER_KEYWORD_MAX: usize = 2;

pub(crate) const PLATFORM: Platform =
    Platform { decode_charset, html_to_text: |html| Document::parse(html).text };

fn decode_charset(label: &str, octets: &[u8]) -> Option<String> {
    let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
    Some(encoding.decode_with_bom_removal(octets).0.into_owned())
}

/// A display name and an address, in Mailpit's form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Contact {
    pub(crate) name: String,
    pub(crate) address: String,
}

/// The fields of a list of messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summary {
    /// Without angle brackets.
    pub(crate) message_id: String,
    pub(crate) from: Option<Contact>,
    pub(crate) to: Vec<Contact>,
    pub(crate) cc: Vec<Contact>,
    pub(crate) bcc: Vec<Contact>,
    pub(crate) reply_to: Vec<Contact>,
    pub(crate) subject: String,
    pub(crate) date: Option<DateTime<FixedOffset>>,
    pub(crate) attachments: usize,
    pub(crate) inline: usize,
    pub(crate) snippet: String,
    /// From X-Tags.
    pub(crate) tags: Vec<String>,
}

/// A message with the positions of its parts.
pub(crate) struct Content<'a> {
    octets: &'a [u8],
    message: mime::Message<'a>,
    layout: Layout,
}

/// A part with its decoded content.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Position in the tree of parts: `2.1` is the first part of the second part.
    pub(crate) part_id: String,
    pub(crate) name: String,
    pub(crate) media_type: String,
    /// Without angle brackets; empty if there is none.
    pub(crate) content_id: String,
    /// Displayed within the HTML.
    pub(crate) is_inline: bool,
    pub(crate) octets: Vec<u8>,
}

impl<'a> Content<'a> {
    pub(crate) fn parse(octets: &'a [u8]) -> Self {
        let message = mime::Message::parse(octets, PLATFORM.decode_charset);
        let layout = message.layout();
        Self { octets, message, layout }
    }

    /// The summary, and the displayed text.
    pub(crate) fn summary(&self) -> (Summary, String) {
        let header = Header::parse(self.octets, PLATFORM.decode_charset);
        let fields: Vec<_> = mime::fields(header.bytes).collect();
        let text = self.shown_text();
        let inline = self.layout.attachments.iter().filter(|index| self.is_inline(**index)).count();
        let summary = header.with_context(|context| Summary {
            message_id: text_of(&fields, "Message-ID", context).trim_matches(['<', '>']).to_owned(),
            from: contacts(&fields, "From", context).into_iter().next(),
            to: contacts(&fields, "To", context),
            cc: contacts(&fields, "Cc", context),
            bcc: contacts(&fields, "Bcc", context),
            reply_to: contacts(&fields, "Reply-To", context),
            subject: text_of(&fields, "Subject", context),
            date: mime::date(&String::from_utf8_lossy(value_of(&fields, "Date"))),
            attachments: self.layout.attachments.len() - inline,
            inline,
            snippet: snippet(&text),
            tags: split_tags(&text_of(&fields, "X-Tags", context)),
        });
        (summary, text)
    }

    fn shown_text(&self) -> String {
        let mut shown = String::new();
        for index in &self.layout.text {
            let part = &self.message.parts()[*index];
            let (text, _) = self.message.text(part);
            if !shown.is_empty() {
                shown.push('\n');
            }
            shown.push_str(&if part.is_html() { (PLATFORM.html_to_text)(&text) } else { text });
        }
        shown
    }

    /// Text and HTML of the message; empty if there is none. The text is derived from the HTML if there is no other.
    pub(crate) fn texts(&self) -> (String, String) {
        let parsed = ParsedMessage::parse_with(self.octets, PLATFORM);
        (parsed.plain_text().to_owned(), parsed.html.unwrap_or_default())
    }

    /// The header fields in order: names as written, values unfolded and decoded.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let header = Header::parse(self.octets, PLATFORM.decode_charset);
        header.with_context(|context| {
            mime::fields(header.bytes)
                .map(|field| {
                    let name = String::from_utf8_lossy(field.name).into_owned();
                    (name, context.text(&mime::unfold_text(field.value)))
                })
                .collect()
        })
    }

    /// The header fields in order: names as written, values unfolded but not decoded.
    pub(crate) fn raw_headers(&self) -> Vec<(String, String)> {
        let header = Header::parse(self.octets, PLATFORM.decode_charset);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        mime::fields(header.bytes)
            .map(|field| (text(field.name), text(&mime::unfold_text(field.value))))
            .collect()
    }

    /// Attachments and inline files, decoded.
    pub(crate) fn files(&self) -> Vec<File> {
        self.layout.attachments.iter().map(|index| self.file(*index)).collect()
    }

    /// The part with this id.
    pub(crate) fn part(&self, part_id: &str) -> Option<File> {
        (0..self.message.parts().len())
            .find(|index| self.part_id(*index) == part_id)
            .map(|index| self.file(index))
    }

    fn file(&self, index: usize) -> File {
        let part = &self.message.parts()[index];
        File {
            part_id: self.part_id(index),
            name: self.message.file_name(part),
            media_type: part.media_type(),
            content_id: self.message.content_id(part).unwrap_or_default(),
            is_inline: self.is_inline(index),
            octets: part.bytes().into_owned(),
        }
    }

    /// Numbers from 1 at each level of the tree; `0` for the message itself.
    fn part_id(&self, index: usize) -> String {
        let parts = self.message.parts();
        let Some(parent) = parts[index].parent() else { return "0".to_owned() };
        let number = parts[..=index].iter().filter(|part| part.parent() == Some(parent)).count();
        match parts[parent].parent() {
            None => number.to_string(),
            Some(_) => format!("{}.{number}", self.part_id(parent)),
        }
    }

    /// Whether the part is displayed within the HTML: it has a Content-ID and is not declared as an attachment.
    fn is_inline(&self, index: usize) -> bool {
        let part = &self.message.parts()[index];
        let disposition = disposition(part);
        disposition.eq_ignore_ascii_case(b"inline")
            || (self.message.content_id(part).is_some() && !disposition.eq_ignore_ascii_case(b"attachment"))
    }
}

fn disposition<'a>(part: &Part<'a>) -> &'a [u8] {
    let field = mime::fields(part.header()).find(|field| field.is("Content-Disposition"));
    let value = field.map_or(&b""[..], |field| field.value.trim_ascii());
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

fn value_of<'a>(fields: &[Field<'a>], name: &str) -> &'a [u8] {
    fields.iter().find(|field| field.is(name)).map_or(b"", |field| field.value)
}

fn text_of(fields: &[Field<'_>], name: &str, context: &Context<'_>) -> String {
    context.text(&mime::unfold_text(value_of(fields, name)))
}

fn contacts(fields: &[Field<'_>], name: &str, context: &Context<'_>) -> Vec<Contact> {
    let all = mime::addresses(value_of(fields, name), context).into_iter();
    all.map(|mailbox| Contact { name: mailbox.name.unwrap_or_default(), address: mailbox.address }).collect()
}

pub(crate) fn split_tags(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// The beginning of the text on one line.
fn snippet(text: &str) -> String {
    let mut snippet = String::new();
    for word in text.split_whitespace() {
        if !snippet.is_empty() {
            snippet.push(' ');
        }
        snippet.push_str(word);
        if snippet.chars().count() > SNIPPET_CHARS_MAX {
            let shortened: String = snippet.chars().take(SNIPPET_CHARS_MAX - 3).collect();
            return shortened + "...";
        }
    }
    snippet
}

/// The http and https URLs of the HTML, then those of the text, without duplicates.
pub(crate) fn links(text: &str, html: &str) -> Vec<String> {
    static WEB_ADDRESS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(?i)\bhttps?://[^\s<>"]+"#).expect("the pattern is valid"));
    let mut links: Vec<Cow<'_, str>> = Document::parse(html).links.into_iter().map(Cow::Owned).collect();
    links.extend(WEB_ADDRESS.find_iter(text).map(|found| Cow::Borrowed(without_punctuation(found.as_str()))));
    let is_web = |link: &Cow<'_, str>| {
        ["http://", "https://"]
            .iter()
            .any(|scheme| link.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
    };
    unique(links.into_iter().filter(is_web).map(Cow::into_owned))
}

/// Removes duplicates and keeps the order.
fn unique(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| seen.insert(text.clone())).collect()
}

/// Removes trailing punctuation, and a closing bracket without an opening one.
fn without_punctuation(mut address: &str) -> &str {
    let is_surplus = |text: &str, open: char, close: char| {
        text.ends_with(close) && text.matches(close).count() > text.matches(open).count()
    };
    loop {
        let is_punctuation = address.ends_with(['.', ',', ';', ':', '!', '?', '\'', '*']);
        if !is_punctuation && !is_surplus(address, '(', ')') && !is_surplus(address, '[', ']') {
            return address;
        }
        // These characters are ASCII.
        address = &address[..address.len() - 1];
    }
}

/// One-time codes: four to eight digits, or two groups of them, or a group of capital letters and digits, that stand alone on
/// a line or near a word such as `code`. The most likely one is first.
pub(crate) fn codes(subject: &str, text: &str) -> Vec<String> {
    static CODE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?:^|[\s:>(\[*=#])((?:[A-Z]-)?\d{3}[ -]\d{3}|(?:[A-Z]{1,3}-)?\d{4,8}|[A-Z0-9]{3,5}-[A-Z0-9]{3,5}|[A-Z0-9]{5,10})(?:$|[\s.,;:!?)\]<*])",
        )
        .expect("the pattern is valid")
    });
    static KEYWORD: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(code|codes|otp|pin|passcode|password|passwort|token|verification|verify|confirmation|kod|código|codice)\b")
            .expect("the pattern is valid")
    });
    let mut lone = Vec::new();
    let mut near = Vec::new();
    let mut lines_since_keyword = usize::MAX;
    for line in std::iter::once(subject).chain(text.lines().map(str::trim).filter(|line| !line.is_empty())) {
        let keywords: Vec<usize> = KEYWORD.find_iter(line).map(|keyword| keyword.start()).collect();
        lines_since_keyword = if keywords.is_empty() { lines_since_keyword.saturating_add(1) } else { 0 };
        let mut in_line = Vec::new();
        for found in CODE.captures_iter(line).filter_map(|captures| captures.get(1)) {
            let code = found.as_str();
            if !code.contains(|c: char| c.is_ascii_digit()) {
                continue;
            }
            if lines_since_keyword <= LINES_AFTER_KEYWORD_MAX
                && line.trim_matches(|c: char| !c.is_alphanumeric()) == code
            {
                lone.push(code.to_owned());
            } else if let Some(distance) = distance(&keywords, found.start()) {
                in_line.push((distance, code.to_owned()));
            }
        }
        in_line.sort_by_key(|(distance, _)| *distance);
        near.extend(in_line.into_iter().map(|(_, code)| code));
    }
    unique(lone.into_iter().chain(near))
}

/// Distance to the nearest of the ascending positions.
fn distance(positions: &[usize], position: usize) -> Option<usize> {
    let next = positions.partition_point(|other| *other < position);
    let nearest = [next.checked_sub(1), Some(next)];
    nearest
        .into_iter()
        .flatten()
        .filter_map(|at| positions.get(at))
        .map(|other| other.abs_diff(position))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"From: =?utf-8?q?J=C3=B6rg?= <j@a.example>\r\nTo: <g@b.example>, H <h@b.example>\r\n\
        Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@a.example>\r\nX-Tags: one, two ,\r\n\
        Date: Sun, 22 Nov 2026 20:15:06 +0100\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n\
        --m\r\nContent-Type: multipart/related; boundary=r\r\n\r\n\
        --r\r\nContent-Type: text/html\r\n\r\n<p>Hello</p><img src=cid:p>\r\n\
        --r\r\nContent-Type: image/gif; name=p.gif\r\nContent-ID: <p>\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lG\r\n--r--\r\n\
        --m\r\nContent-Disposition: attachment; filename=a.txt\r\nContent-ID: <q>\r\n\r\nfile\r\n--m--\r\n";

    #[test]
    fn summary_has_decoded_fields_and_counts() {
        let (summary, text) = Content::parse(MESSAGE).summary();
        let contact =
            |name: &str, address: &str| Contact { name: name.to_owned(), address: address.to_owned() };
        assert_eq!(summary.from, Some(contact("J\u{f6}rg", "j@a.example")));
        assert_eq!(summary.to, [contact("", "g@b.example"), contact("H", "h@b.example")]);
        assert_eq!(
            (summary.subject.as_str(), summary.message_id.as_str()),
            ("Gr\u{fc}\u{df}e", "1@a.example")
        );
        assert_eq!(summary.date.expect("a date").to_rfc3339(), "2026-11-22T20:15:06+01:00");
        assert_eq!((summary.attachments, summary.inline), (1, 1));
        assert_eq!((summary.snippet.as_str(), text.trim()), ("Hello", "Hello"));
        assert_eq!(summary.tags, ["one", "two"]);
    }

    #[test]
    fn parts_have_ids_by_their_position() {
        let content = Content::parse(MESSAGE);
        let files = content.files();
        let described: Vec<_> = files
            .iter()
            .map(|file| (file.part_id.as_str(), file.name.as_str(), file.is_inline, file.octets.as_slice()))
            .collect();
        assert_eq!(described, [("1.2", "p.gif", true, &b"GIF"[..]), ("2", "a.txt", false, b"file")]);
        assert_eq!(content.part("1.1").expect("the HTML").media_type, "text/html");
        assert_eq!(content.part("0").expect("the message").media_type, "multipart/mixed");
        assert!(content.part("3").is_none());
        assert_eq!(Content::parse(b"Subject: x\r\n\r\nbody").part("0").expect("the body").octets, b"body");
    }

    #[test]
    fn links_are_those_of_html_and_text_once() {
        assert_eq!(
            links(
                "See https://a.example/x, (http://b.example/(y)) or HTTPS://C.example.\nhttps://a.example/x",
                "<a href='https://d.example/?a=1&amp;b=2'>d</a><a href='mailto:x@y'>m</a><a href='#top'>t</a>"
            ),
            [
                "https://d.example/?a=1&b=2",
                "https://a.example/x",
                "http://b.example/(y)",
                "HTTPS://C.example"
            ]
        );
        assert!(
            links("no link: ftp://a.example http:// x", "<a href='javascript:alert(1)'>x</a>").is_empty()
        );
    }

    #[test]
    fn codes_stand_alone_or_near_a_word_for_them() {
        for (subject, text, expected) in [
            (
                "Your code",
                "Enter this code:\r\n\r\n  123456\r\n\r\nIt expires in 10 minutes.",
                &["123456"][..],
            ),
            ("Login", "Your verification code is 4821. Order 778899 from 2026.", &["4821", "778899", "2026"]),
            ("Login", "Order 778899: your code is 4821", &["4821", "778899"]),
            ("G-123456 is your verification code", "", &["G-123456"]),
            ("Welcome", "Code: 123 456", &["123 456"]),
            ("Welcome", "Your one-time password\nAB12-CD34", &["AB12-CD34"]),
            ("Invoice 20261122", "You paid 1999 on 2026-11-22. Call 5551234.", &[]),
            ("Hello", "We moved to 12345 Main Street in 2026.", &[]),
        ] {
            assert_eq!(codes(subject, text), expected, "{subject} {text}");
        }
    }

    #[test]
    fn snippet_is_one_short_line() {
        assert_eq!(snippet("  a\r\n\tb  "), "a b");
        assert_eq!(snippet(&"word ".repeat(100)).chars().count(), SNIPPET_CHARS_MAX);
    }

    proptest::proptest! {
        #[test]
        fn no_content_panics(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..400), text in "[ -~\u{e9}\n<>&]{0,80}") {
            let content = Content::parse(&octets);
            let (summary, shown) = content.summary();
            let _ = (content.texts(), content.headers(), content.files(), codes(&summary.subject, &text), links(&shown, &text));
        }
    }
}
