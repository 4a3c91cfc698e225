//! A parsed message, as both clients show it.
//!
//! The [`mime`] module reads the message; this one selects what is shown. Parsing never fails: undecodable
//! content is shown as well as possible.
//!
//! Subjects, names, addresses and file names contain no bidirectional controls, which could disguise a sender or an
//! extension. Apart from that, the strings may contain any character: on a terminal they must pass
//! [`printable`](super::printable::printable), and HTML must be sanitised.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Display};

use chrono::{DateTime, FixedOffset};

use super::address::{Address, Host};
use super::draft::Attachment;
use super::html::escape;
use super::id::MessageId;
use super::mime::{self, Context, Header, Received};
use super::platform::{CharsetDecoder, Platform};
use super::printable::without_bidi_controls;
use super::report::DeliveryReport;

/// An entry of a From, To, Cc or Reply-To field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAddress {
    /// The display name, decoded.
    pub name: Option<String>,
    /// The address as written, which may be invalid; empty if there is only a name.
    pub address: String,
}

/// The fields for a list of messages, from the header alone (`TOP n 0`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// From.
    pub from: Vec<NamedAddress>,
    /// To.
    pub to: Vec<NamedAddress>,
    /// The first Subject, decoded; empty if there is none.
    pub subject: String,
    /// Date.
    pub date: Option<DateTime<FixedOffset>>,
    /// The time of receipt by the last server, from the first Received field.
    pub received: Option<DateTime<FixedOffset>>,
    /// Message-ID.
    pub message_id: Option<MessageId>,
    /// In-Reply-To.
    pub in_reply_to: Vec<MessageId>,
    /// References, oldest first.
    pub references: Vec<MessageId>,
    /// Whether the message is multipart/mixed, so that it probably has attachments.
    pub has_attachments: bool,
}

/// A parsed message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedMessage {
    /// From.
    pub from: Vec<NamedAddress>,
    /// To.
    pub to: Vec<NamedAddress>,
    /// Cc.
    pub cc: Vec<NamedAddress>,
    /// Reply-To.
    pub reply_to: Vec<NamedAddress>,
    /// The first Subject, decoded; empty if there is none.
    pub subject: String,
    /// Date.
    pub date: Option<DateTime<FixedOffset>>,
    /// The time of receipt by the last server, from the first Received field.
    pub received: Option<DateTime<FixedOffset>>,
    /// The name of that server, after `by` in the same field.
    pub received_by: Option<Host>,
    /// Message-ID.
    pub message_id: Option<MessageId>,
    /// In-Reply-To.
    pub in_reply_to: Vec<MessageId>,
    /// References, oldest first.
    pub references: Vec<MessageId>,
    /// The text, if a part other than HTML belongs to it. HTML parts between are rendered as text.
    pub text: Option<String>,
    /// The HTML, not sanitised, if there is an HTML part. Text parts between are converted.
    pub html: Option<String>,
    /// The HTML rendered as text, if there is no other text.
    pub html_text: Option<String>,
    /// All attachments, including inline images and attached messages.
    pub attachments: Vec<Attachment>,
    /// The delivery report, if the message is one. Anybody can write a report; it proves nothing.
    pub report: Option<DeliveryReport>,
}

impl NamedAddress {
    /// The address, if it is valid. An address with a replaced or undecodable character is not: a reply would go elsewhere.
    #[must_use]
    pub fn parsed_address(&self) -> Option<Address> {
        if self.address.contains(char::REPLACEMENT_CHARACTER) {
            return None;
        }
        Address::parse(&self.address).ok()
    }

    /// The address, or the name if there is no address.
    #[must_use]
    pub fn address_or_name(&self) -> &str {
        if self.address.is_empty() { self.name.as_deref().unwrap_or_default() } else { &self.address }
    }
}

/// `name <address>`, or the one that is present.
impl Display for NamedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) if !self.address.is_empty() => write!(f, "{name} <{}>", self.address),
            _ => f.write_str(self.address_or_name()),
        }
    }
}

impl Summary {
    /// Parses a header; a body after it is ignored.
    #[must_use]
    pub fn parse(message: &[u8]) -> Self {
        Self::parse_with(message, Platform::NONE.decode_charset)
    }

    /// Parses a header with the charsets of a platform.
    #[must_use]
    pub fn parse_with(message: &[u8], decode: CharsetDecoder) -> Self {
        let header = Header::parse(message, decode);
        let fields = FirstFields::new(header.bytes);
        header.with_context(|context| Self {
            from: fields.addresses("From", context),
            to: fields.addresses("To", context),
            subject: fields.subject(context),
            date: fields.date(),
            received: fields.received().date,
            message_id: fields.ids("Message-ID").into_iter().next(),
            in_reply_to: fields.ids("In-Reply-To"),
            references: fields.ids("References"),
            has_attachments: header.is_mixed(),
        })
    }
}

impl ParsedMessage {
    /// Parses a message.
    #[must_use]
    pub fn parse(message: &[u8]) -> Self {
        Self::parse_with(message, Platform::NONE)
    }

    /// Parses a message with the conversions of a platform.
    #[must_use]
    pub fn parse_with(message: &[u8], platform: Platform) -> Self {
        let header = Header::parse(message, platform.decode_charset);
        let fields = FirstFields::new(header.bytes);
        let received = fields.received();
        let mut parsed = header.with_context(|context| Self {
            from: fields.addresses("From", context),
            to: fields.addresses("To", context),
            cc: fields.addresses("Cc", context),
            reply_to: fields.addresses("Reply-To", context),
            subject: fields.subject(context),
            date: fields.date(),
            received: received.date,
            received_by: received.by,
            message_id: fields.ids("Message-ID").into_iter().next(),
            in_reply_to: fields.ids("In-Reply-To"),
            references: fields.ids("References"),
            ..Self::default()
        });
        if !message.is_empty() {
            parsed.set_content(&mime::Message::parse(message, platform.decode_charset), platform);
        }
        parsed
    }

    /// The text to display: the text part, or the HTML converted to plain text if the text is missing or blank.
    #[must_use]
    pub fn plain_text(&self) -> &str {
        self.html_text.as_deref().or(self.text.as_deref()).unwrap_or_default()
    }

    fn set_content(&mut self, message: &mime::Message<'_>, platform: Platform) {
        self.report = DeliveryReport::find(message);
        let layout = message.layout();
        let part = |index: usize| &message.parts()[index];
        self.attachments = layout.attachments.iter().map(|index| attachment(message, part(*index))).collect();
        let mut texts = BTreeMap::new();
        for index in layout.text.iter().chain(&layout.html) {
            texts.entry(*index).or_insert_with(|| {
                let (text, files) = message.text(part(*index));
                self.attachments.extend(files.into_iter().map(embedded));
                text
            });
        }
        let is_html = |index: &usize| part(*index).is_html();
        let as_text = |index: &usize| match &texts[index] {
            html if is_html(index) => Cow::Owned((platform.html_to_text)(html)),
            text => Cow::Borrowed(text.as_str()),
        };
        if !layout.text.iter().all(is_html) {
            self.text = Some(join(layout.text.iter().map(as_text)));
        }
        if layout.html.iter().any(is_html) {
            let as_html = |index: &usize| match &texts[index] {
                html if is_html(index) => Cow::Borrowed(html.as_str()),
                text => Cow::Owned(text_to_html(text)),
            };
            self.html = Some(join(layout.html.iter().map(as_html)));
            if self.text.as_ref().is_none_or(|text| text.trim().is_empty()) {
                self.html_text = Some(join(layout.html.iter().map(as_text)));
            }
        }
    }
}

/// The first field of each name counts, as in the mailbox file.
struct FirstFields<'a> {
    fields: Vec<mime::Field<'a>>,
}

impl<'a> FirstFields<'a> {
    fn new(header: &'a [u8]) -> Self {
        Self { fields: mime::fields(header).collect() }
    }

    fn value(&self, name: &str) -> &'a [u8] {
        self.fields.iter().find(|field| field.is(name)).map_or(b"", |field| field.value)
    }

    fn addresses(&self, name: &str, context: &Context<'_>) -> Vec<NamedAddress> {
        let all = mime::addresses(self.value(name), context).into_iter();
        all.map(|mailbox| NamedAddress {
            name: mailbox.name.map(without_bidi_controls),
            address: without_bidi_controls(mailbox.address),
        })
        .collect()
    }

    fn subject(&self, context: &Context<'_>) -> String {
        without_bidi_controls(context.text(&mime::unfold_text(self.value("Subject"))))
    }

    fn date(&self) -> Option<DateTime<FixedOffset>> {
        mime::date(&String::from_utf8_lossy(self.value("Date")))
    }

    fn received(&self) -> Received {
        Received::parse(self.value("Received"))
    }

    fn ids(&self, name: &str) -> Vec<MessageId> {
        mime::message_ids(self.value(name))
    }
}

fn attachment(message: &mime::Message<'_>, part: &mime::Part<'_>) -> Attachment {
    Attachment {
        name: message.file_name(part),
        mime: part.media_type(),
        content_id: message.content_id(part),
        content_location: message.content_location(part),
        bytes: part.bytes().into_owned(),
    }
}

fn embedded(file: mime::EmbeddedFile) -> Attachment {
    Attachment {
        name: file.name,
        mime: "application/octet-stream".to_owned(),
        content_id: None,
        content_location: None,
        bytes: file.bytes,
    }
}

/// Joins the texts that are not blank with line ends.
fn join<'a>(texts: impl Iterator<Item = Cow<'a, str>>) -> String {
    let mut joined = String::new();
    for text in texts {
        if joined.trim().is_empty() {
            joined = text.into_owned();
        } else if !text.trim().is_empty() {
            joined.push('\n');
            joined.push_str(&text);
        }
    }
    joined
}

fn text_to_html(text: &str) -> String {
    format!("<div style=\"white-space: pre-wrap\">{}</div>", escape(text))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::super::header;
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const MIXED: &[u8] = b"Received: from a by b; Sun, 22 Nov 2026 19:15:07 +0000\r\n\
        Received: from x by a; Sun, 22 Nov 2026 19:15:00 +0000\r\n\
        From: =?utf-8?q?J=C3=B6rg?= <j@iit.edu>\r\nFrom: other@iit.edu\r\nTo: friends: a@b.c, <d@e.f>;\r\n\
        Subject: =?iso-8859-1?q?caf=E9?=\r\n  folded\r\nSubject: second\r\nDate: Sun, 22 Nov 2026 20:15:06 +0100\r\n\
        Message-ID: <1@iit.edu>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: multipart/related; boundary=r\r\n\r\n\
        --r\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>you</b><img src=cid:pic></p>\r\n\
        --r\r\nContent-Type: image/gif\r\nContent-ID: <pic>\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lG\r\n--r--\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n\
        --b\r\nContent-Disposition: attachment; filename=\"..\\\\..\\\\.evil\\\\n.txt\"\r\n\r\nfile\r\n--b--\r\n";

    /// Removes tags, which is enough for these tests.
    const TAGS_REMOVED: Platform = Platform {
        html_to_text: |html| {
            let mut is_tag = false;
            let is_text = |c: &char| {
                let was_tag = is_tag;
                is_tag = *c == '<' || (is_tag && *c != '>');
                !is_tag && !was_tag
            };
            html.chars().filter(is_text).collect()
        },
        ..Platform::NONE
    };

    #[test]
    fn parsed_message_has_fields_text_and_attachments() {
        let parsed = ParsedMessage::parse_with(MIXED, TAGS_REMOVED);
        assert_eq!(
            parsed.from,
            [NamedAddress { name: Some("Jörg".to_owned()), address: "j@iit.edu".to_owned() }]
        );
        assert_eq!(parsed.to.iter().map(|p| p.address.as_str()).collect::<Vec<_>>(), ["a@b.c", "d@e.f"]);
        assert_eq!(parsed.subject, "café folded");
        assert_eq!(parsed.date.unwrap().to_rfc3339(), "2026-11-22T20:15:06+01:00");
        assert_eq!(parsed.received.unwrap().to_rfc3339(), "2026-11-22T19:15:07+00:00");
        assert_eq!(parsed.received_by, Host::parse("b").ok());
        assert_eq!(parsed.text, None);
        assert_eq!(parsed.plain_text().trim(), "Hello you");
        let files: Vec<_> = parsed
            .attachments
            .iter()
            .map(|a| (a.name.as_str(), a.mime.as_str(), a.bytes.as_slice()))
            .collect();
        assert_eq!(
            files,
            [
                ("attachment.gif", "image/gif", &b"GIF"[..]),
                ("message.eml", "message/rfc822", b"Subject: inner\r\n\r\ninner text"),
                ("n.txt", "text/plain", b"file"),
            ]
        );
        assert_eq!(parsed.attachments[0].content_id.as_deref(), Some("pic"));
    }

    #[test]
    fn summary_equals_the_fields_of_the_parsed_message() {
        let (summary, parsed) = (Summary::parse(header::split(MIXED).0), ParsedMessage::parse(MIXED));
        assert_eq!((summary.from, summary.to, summary.subject), (parsed.from, parsed.to, parsed.subject));
        assert_eq!(
            (summary.date, summary.received, summary.message_id),
            (parsed.date, parsed.received, parsed.message_id)
        );
        assert_eq!((summary.in_reply_to, summary.references), (parsed.in_reply_to, parsed.references));
        assert!(summary.has_attachments);
        assert_eq!(Summary::parse(b""), Summary::default());
    }

    #[test]
    fn bidi_controls_are_replaced_in_fields_and_file_names() {
        let message = "From: \"moc.\u{202e}live\" <a\u{2066}b@iit.edu>\r\n\
            Subject: =?utf-8?B?4oCuZXhlLmdwag==?=\r\n\
            Content-Type: application/pdf; name=\"a\u{202e}fdp.exe\"\r\n\r\nx\r\n";
        let parsed = ParsedMessage::parse(message.as_bytes());
        assert_eq!(parsed.from[0].to_string(), "moc.\u{fffd}live <a\u{fffd}b@iit.edu>");
        assert_eq!(parsed.from[0].parsed_address(), None, "a reply must not go to another address");
        assert_eq!(parsed.subject, "\u{fffd}exe.gpj");
        assert_eq!(Summary::parse(message.as_bytes()).from, parsed.from);
        assert_eq!(parsed.attachments[0].name, "a_fdp.exe");
    }

    #[test]
    fn other_charsets_are_decoded_by_the_platform() {
        let message =
            b"Subject: =?x-upper?Q?hello?= you\r\nContent-Type: text/plain; charset=X-UPPER\r\n\r\nbody\r\n";
        let decode_charset = |charset: &str, octets: &[u8]| {
            (charset == "x-upper").then(|| String::from_utf8_lossy(octets).to_uppercase())
        };
        let parsed = ParsedMessage::parse_with(message, Platform { decode_charset, ..Platform::NONE });
        assert_eq!((parsed.subject.as_str(), parsed.text.as_deref()), ("HELLO you", Some("BODY\r\n")));
        assert_eq!(Summary::parse_with(message, decode_charset).subject, "HELLO you");
        assert_eq!(ParsedMessage::parse(message).text.as_deref(), Some("body\r\n"));
    }

    #[test]
    fn text_is_shown_whatever_surrounds_it() {
        for (message, text) in [
            (&b"Subject: x\r\n\r\nbody\r\n"[..], "body\r\n"),
            (b"no header at all\r\n\r\nSubject: x\r\n", "no header at all\r\n\r\nSubject: x\r\n"),
            (b"\r\nbody", "body"),
            (b"From ag@iit.edu Sun Nov 22\nSubject: x\n\nbody\n", "body\n"),
            (b"Subject: x\r\nno field\r\nTo: a@b.c\r\n\r\nbody", "no field\r\nTo: a@b.c\r\n\r\nbody"),
            (b"Subject: x\r\n\r\n\xff", "ÿ"),
            (b"Subject: x\r\n", ""),
            (b"", ""),
        ] {
            assert_eq!(ParsedMessage::parse(message).plain_text(), text, "{message:?}");
        }
        let alternative = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n\
            --b\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--b--\r\n";
        let parsed = ParsedMessage::parse(alternative);
        assert_eq!(
            (parsed.plain_text(), parsed.html.as_deref(), parsed.attachments.len()),
            ("plain", Some("<p>html</p>"), 0)
        );
    }

    #[test]
    fn attached_texts_have_unchanged_octets() {
        for (encoding, text) in
            [("8bit", &b"caf\xe9"[..]), ("base64", b"Y2Fm6Q=="), ("quoted-printable", b"caf=E9")]
        {
            let header = "Content-Disposition: attachment\r\nContent-Type: text/x; charset=iso-8859-1";
            let head = format!("Subject: x\r\n{header}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
            assert_eq!(
                ParsedMessage::parse(&[head.as_bytes(), text].concat()).attachments[0].bytes,
                b"caf\xe9",
                "{encoding}"
            );
        }
    }

    #[test]
    fn deeply_nested_parts_are_parsed_to_a_limit() {
        let nested = b"Content-Type: message/rfc822\r\n\r\n".repeat(50_000);
        assert_eq!(ParsedMessage::parse(&nested).attachments.len(), 1);
        let head = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n".as_bytes();
        let parsed = ParsedMessage::parse(&[head, STANDARD.encode(&nested).as_bytes()].concat());
        assert!(parsed.attachments[0].bytes == nested);
        let level = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
        let parsed = ParsedMessage::parse(&level.repeat(4_000));
        assert!(parsed.attachments.is_empty() && parsed.text.unwrap().len() <= level.len() * 4_000);
    }

    #[test]
    fn multiparts_without_their_boundary_are_parsed_in_linear_time() {
        let head = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
        let message = "--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: MultiPart/mixed; boundary=c\r\n\r\nx\r\n";
        let multipart = "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\nx\r\n";
        for count in [50, 5_000] {
            let parse = |part: &str| ParsedMessage::parse(&[head, part.repeat(count).as_bytes()].concat());
            assert_eq!(parse(message).attachments.len(), count);
            let parsed = parse(multipart);
            assert_eq!((parsed.subject.as_str(), parsed.attachments.len()), ("x", 0));
            assert_eq!(parsed.text.unwrap().matches('x').count(), count);
        }
        let parsed = ParsedMessage::parse(&[head, message.repeat(50_000).as_bytes()].concat());
        assert!(parsed.attachments.len() < 50_000);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), header in "((From|To|Date|Subject|Received|References|Content-Type|Content-Transfer-Encoding|X): ?(=\\?utf-8\\?[qb]\\?|[ -~é]|multipart/mixed; boundary=b|text/html|message/rfc822|base64|quoted-printable|<a@b.c>,?|1 Jan 2026 10:00:00 \\+9999|\n )*\n){0,6}\n(--b(--)?\n|[ -~]{0,9}\n|<[a-z!/&; ]{0,4}|Content-Type: text/html\n){0,9}") {
            for message in [bytes, header.into_bytes()] {
                let parsed = ParsedMessage::parse(&message);
                let _ = (parsed.plain_text(), Summary::parse(&message));
                for (i, attachment) in parsed.attachments.iter().enumerate() {
                    prop_assert!(!attachment.name.contains(['/', '\\']) && !attachment.name.is_empty(), "{i}");
                }
            }
        }
    }
}
