//! A parsed message, decoded for display.
//!
//! mail-parser decodes MIME, charsets and encoded words (RFC 2045 to 2049, RFC 2231, RFC 5322); this module selects the
//! parts to show. Parsing never fails: malformed input is decoded as far as possible.
//!
//! All strings are untrusted. Pass them through [`printable`](super::printable::printable) before writing them to a
//! terminal, and sanitise HTML before rendering it.

use std::borrow::Cow;

use chrono::{DateTime, FixedOffset};
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::html_to_text;
use mail_parser::parsers::MessageStream;
use mail_parser::{
    Addr, ContentType, GetHeader, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders,
    PartType,
};

use super::address::{Address, Host};
use super::charset::{CharsetDecoder, recode};
use super::draft::Attachment;
use super::id::MessageId;
use super::{date, header};

/// Messages with at most this many multiparts are always parsed.
const MULTIPARTS_MIN: usize = 100;
/// Limit on multiparts times octets, which bounds the parsing time to less than a second.
const OCTETS_SEARCHED_MAX: usize = 1_000_000_000;

/// An entry of a From, To, Cc or Reply-To field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAddress {
    /// The display name, decoded.
    pub name: Option<String>,
    /// The address as written, which may be invalid.
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
    /// The text, if there is a text/plain part.
    pub text: Option<String>,
    /// The HTML, not sanitised.
    pub html: Option<String>,
    /// All attachments, including inline images and attached messages.
    pub attachments: Vec<Attachment>,
}

impl NamedAddress {
    /// The address, if it is valid.
    #[must_use]
    pub fn parsed_address(&self) -> Option<Address> {
        Address::parse(&self.address).ok()
    }
}

impl Summary {
    /// Parses a header. A body after it is ignored.
    #[must_use]
    pub fn parse(message: &[u8]) -> Self {
        Self::parse_with(message, |_, _| None)
    }

    /// Parses a header. `decode` takes precedence over the built-in charsets.
    #[must_use]
    pub fn parse_with(message: &[u8], decode: CharsetDecoder) -> Self {
        let (head, _) = header::split(message);
        let recoded = recode(head, decode);
        let head = recoded.as_deref().unwrap_or(head);
        let Some(message) = parser().parse_headers(head) else {
            return Self::default();
        };
        Self {
            from: named_addresses(&message, HeaderName::From),
            to: named_addresses(&message, HeaderName::To),
            subject: subject(&message),
            date: sent(&message),
            received: received(&message),
            message_id: ids(&message, HeaderName::MessageId).into_iter().next(),
            has_attachments: message.is_content_type("multipart", "mixed"),
        }
    }
}

impl ParsedMessage {
    /// Parses a message.
    #[must_use]
    pub fn parse(message: &[u8]) -> Self {
        Self::parse_with(message, |_, _| None)
    }

    /// Parses a message. `decode` takes precedence over the built-in charsets.
    #[must_use]
    pub fn parse_with(message: &[u8], decode: CharsetDecoder) -> Self {
        let (head, _) = header::split(message);
        if let Some(mut recoded) = recode(head, decode) {
            recoded.extend_from_slice(&message[head.len()..]);
            return Self::parse_recoded(&recoded, decode);
        }
        Self::parse_recoded(message, decode)
    }

    fn parse_recoded(message: &[u8], decode: CharsetDecoder) -> Self {
        let (head, body) = header::split(message);
        if head.is_empty() {
            // A message without a header is plain text.
            let text = (!body.is_empty()).then(|| String::from_utf8_lossy(body).into_owned());
            return Self { text, ..Self::default() };
        }
        let parser =
            if is_too_complex(message) { parser().header_text(HeaderName::ContentType) } else { parser() };
        let Some(parsed) = parser.parse(message) else {
            return Self::default();
        };
        let result = Self {
            from: named_addresses(&parsed, HeaderName::From),
            to: named_addresses(&parsed, HeaderName::To),
            cc: named_addresses(&parsed, HeaderName::Cc),
            reply_to: named_addresses(&parsed, HeaderName::ReplyTo),
            subject: subject(&parsed),
            date: sent(&parsed),
            received: received(&parsed),
            received_by: received_by(&parsed),
            message_id: ids(&parsed, HeaderName::MessageId).into_iter().next(),
            in_reply_to: ids(&parsed, HeaderName::InReplyTo),
            references: ids(&parsed, HeaderName::References),
            text: text(&parsed, message, decode),
            html: html(&parsed, message, decode),
            attachments: parsed.attachments().map(|part| attachment(part, message)).collect(),
        };
        drop_iteratively(parsed);
        result
    }

    /// The text to display: the text part, or the HTML converted to plain text, or an empty string.
    #[must_use]
    pub fn plain_text(&self) -> Cow<'_, str> {
        match (&self.text, &self.html) {
            (Some(text), _) => Cow::Borrowed(text),
            (None, Some(html)) => Cow::Owned(html_to_text(html)),
            (None, None) => Cow::Borrowed(""),
        }
    }
}

/// The first field with this name, as in the mailbox file. The look-ups of mail-parser return the last.
fn first<'a>(message: &'a Message<'_>, name: HeaderName<'static>) -> Option<&'a HeaderValue<'a>> {
    message.headers().iter().find(|field| field.name == name).map(|field| &field.value)
}

fn named_addresses(message: &Message<'_>, name: HeaderName<'static>) -> Vec<NamedAddress> {
    let addresses = first(message, name).and_then(HeaderValue::as_address);
    addresses.map(|all| all.iter().filter_map(named_address).collect()).unwrap_or_default()
}

fn named_address(addr: &Addr<'_>) -> Option<NamedAddress> {
    let address = addr.address.as_deref()?.to_owned();
    let name = addr.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    Some(NamedAddress { name: name.map(str::to_owned), address })
}

fn subject(message: &Message<'_>) -> String {
    first(message, HeaderName::Subject).and_then(HeaderValue::as_text).unwrap_or_default().to_owned()
}

fn sent(message: &Message<'_>) -> Option<DateTime<FixedOffset>> {
    first(message, HeaderName::Date).and_then(HeaderValue::as_datetime).and_then(date::from_parser)
}

fn received(message: &Message<'_>) -> Option<DateTime<FixedOffset>> {
    let top = first(message, HeaderName::Received).and_then(HeaderValue::as_received)?;
    top.date().as_ref().and_then(date::from_parser)
}

fn received_by(message: &Message<'_>) -> Option<Host> {
    let top = first(message, HeaderName::Received).and_then(HeaderValue::as_received)?;
    match top.by()? {
        mail_parser::Host::Name(name) => Host::parse(name).ok(),
        mail_parser::Host::IpAddr(_) => None,
    }
}

fn ids(message: &Message<'_>, name: HeaderName<'static>) -> Vec<MessageId> {
    let list = first(message, name).and_then(HeaderValue::as_text_list).unwrap_or_default();
    list.iter().filter_map(|id| MessageId::parse(id)).collect()
}

/// All text parts, joined, if at least one of them is text/plain.
fn text(message: &Message<'_>, raw: &[u8], decode: CharsetDecoder) -> Option<String> {
    let parts: Vec<_> = message.text_bodies().collect();
    if !parts.iter().any(|part| matches!(part.body, PartType::Text(_))) {
        return None;
    }
    let texts = parts.iter().filter_map(|part| match &part.body {
        PartType::Text(_) => Some(decoded_text(part, raw, decode)),
        PartType::Html(_) => Some(html_to_text(&decoded_text(part, raw, decode))),
        _ => None,
    });
    Some(texts.collect::<Vec<_>>().join("\n"))
}

fn html(message: &Message<'_>, raw: &[u8], decode: CharsetDecoder) -> Option<String> {
    let parts = message.html_bodies().filter(|part| matches!(part.body, PartType::Html(_)));
    parts.map(|part| decoded_text(part, raw, decode)).reduce(|all, part| all + "\n" + &part)
}

fn attachment(part: &MessagePart<'_>, raw: &[u8]) -> Attachment {
    let content_type = part.content_type();
    let mime = content_type.map_or_else(
        || if part.is_message() { "message/rfc822" } else { "text/plain" }.to_owned(),
        |own| format!("{}/{}", own.ctype(), own.subtype().unwrap_or("octet-stream")).to_lowercase(),
    );
    let name = part.attachment_name().map_or_else(|| name_for(&mime).to_owned(), file_name);
    let content_id = part.content_id().map(str::to_owned);
    Attachment { name, mime, content_id, bytes: octets(part, raw).into_owned() }
}

/// A parser that finds the parts of a message and leaves them encoded.
///
/// mail-parser would decode nested base64 messages recursively, and a malicious message could exhaust the stack.
/// Parsing Content-Transfer-Encoding as a content type disables that; [`octets`] decodes instead. As a result, text
/// attachments keep their charset.
fn parser() -> MessageParser {
    MessageParser::new()
        .with_mime_headers()
        .header_content_type(HeaderName::ContentTransferEncoding)
        .with_address_headers()
        .with_date_headers()
        .with_message_ids()
        .header_text(HeaderName::Subject)
        .header_received(HeaderName::Received)
}

/// Whether parsing would take too long. For each multipart, the parser searches for its boundary up to the end of the
/// message, so thousands of missing boundaries would take minutes. Such a message is shown as plain text, by parsing
/// its Content-Type as text.
fn is_too_complex(message: &[u8]) -> bool {
    const WORD: &[u8] = b"multipart";
    let starts = memchr::memchr2_iter(b'm', b'M', message);
    let multiparts = starts
        .filter(|at| message[*at..].get(..WORD.len()).is_some_and(|word| word.eq_ignore_ascii_case(WORD)))
        .count();
    multiparts > MULTIPARTS_MIN && multiparts.saturating_mul(message.len()) > OCTETS_SEARCHED_MAX
}

/// The decoded content of a part, or its encoded content if the transfer encoding is malformed.
fn octets<'a>(part: &MessagePart<'_>, raw: &'a [u8]) -> Cow<'a, [u8]> {
    let encoded =
        raw.get(part.raw_body_offset() as usize..part.raw_end_offset() as usize).unwrap_or_default();
    let encoding = part.headers.header_value(&HeaderName::ContentTransferEncoding);
    // The stream decoders are lenient; with an empty boundary they read to the end.
    let (end, decoded) = match encoding.and_then(HeaderValue::as_content_type).map(ContentType::ctype) {
        Some("base64") => MessageStream::new(encoded).decode_base64_mime(b""),
        Some("quoted-printable") => MessageStream::new(encoded).decode_quoted_printable_mime(b""),
        _ => return Cow::Borrowed(encoded),
    };
    if end == usize::MAX { Cow::Borrowed(encoded) } else { decoded }
}

/// The text of a part, decoded from its charset, or from UTF-8 if the charset is unknown.
fn decoded_text(part: &MessagePart<'_>, raw: &[u8], decode: CharsetDecoder) -> String {
    let octets = octets(part, raw);
    let charset = part.content_type().and_then(|own| own.attribute("charset"));
    if let Some(text) = charset.and_then(|charset| decode(charset, &octets)) {
        return text;
    }
    match charset.and_then(|charset| charset_decoder(charset.as_bytes())) {
        Some(decode) => decode(&octets),
        None => String::from_utf8_lossy(&octets).into_owned(),
    }
}

/// Drops nested messages without recursion. Thousands of levels would exhaust the stack.
fn drop_iteratively(message: Message<'_>) {
    let mut nested = vec![message];
    while let Some(message) = nested.pop() {
        nested.extend(message.parts.into_iter().filter_map(|part| match part.body {
            PartType::Message(inner) => Some(inner),
            _ => None,
        }));
    }
}

/// Removes directories and control characters from an untrusted file name.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control()).collect();
    let name = name.trim().trim_start_matches('.');
    if name.is_empty() { "attachment".to_owned() } else { name.to_owned() }
}

fn name_for(mime: &str) -> &'static str {
    match mime {
        "message/rfc822" | "message/global" => "message.eml",
        "text/plain" => "attachment.txt",
        "text/html" => "attachment.html",
        _ => "attachment",
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

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

    #[test]
    fn parse_extracts_fields_text_and_attachments() {
        let view = ParsedMessage::parse(MIXED);
        assert_eq!(
            view.from,
            [NamedAddress { name: Some("Jörg".to_owned()), address: "j@iit.edu".to_owned() }]
        );
        assert_eq!(view.to.iter().map(|p| p.address.as_str()).collect::<Vec<_>>(), ["a@b.c", "d@e.f"]);
        assert_eq!(view.subject, "café folded");
        assert_eq!(view.date.unwrap().to_rfc3339(), "2026-11-22T20:15:06+01:00");
        assert_eq!(view.received.unwrap().to_rfc3339(), "2026-11-22T19:15:07+00:00");
        assert_eq!(view.received_by, Host::parse("b").ok());
        assert_eq!(view.text, None);
        assert_eq!(view.plain_text().trim(), "Hello you");
        let files: Vec<_> =
            view.attachments.iter().map(|a| (a.name.as_str(), a.mime.as_str(), a.bytes.as_slice())).collect();
        assert_eq!(
            files,
            [
                ("attachment", "image/gif", &b"GIF"[..]),
                ("message.eml", "message/rfc822", b"Subject: inner\r\n\r\ninner text"),
                ("n.txt", "text/plain", b"file"),
            ]
        );
        assert_eq!(view.attachments[0].content_id.as_deref(), Some("pic"));
    }

    #[test]
    fn summary_agrees_with_the_parsed_message() {
        let (summary, view) = (Summary::parse(header::split(MIXED).0), ParsedMessage::parse(MIXED));
        assert_eq!((summary.from, summary.to, summary.subject), (view.from, view.to, view.subject));
        assert_eq!(
            (summary.date, summary.received, summary.message_id),
            (view.date, view.received, view.message_id)
        );
        assert!(summary.has_attachments);
        assert_eq!(Summary::parse(b""), Summary::default());
    }

    #[test]
    fn charset_decoder_of_the_caller_takes_precedence() {
        let message =
            b"Subject: =?x-upper?Q?hello?= you\r\nContent-Type: text/plain; charset=X-UPPER\r\n\r\nbody\r\n";
        let upper = |charset: &str, octets: &[u8]| {
            charset.eq_ignore_ascii_case("x-upper").then(|| String::from_utf8_lossy(octets).to_uppercase())
        };
        let view = ParsedMessage::parse_with(message, upper);
        assert_eq!((view.subject.as_str(), view.text.as_deref()), ("HELLO you", Some("BODY\r\n")));
        assert_eq!(Summary::parse_with(message, upper).subject, "HELLO you");
        assert_eq!(ParsedMessage::parse(message).text.as_deref(), Some("body\r\n"));
    }

    #[test]
    fn plain_text_is_found_in_malformed_messages() {
        for (message, text) in [
            (&b"Subject: x\r\n\r\nbody\r\n"[..], "body\r\n"),
            (b"no header at all\r\n\r\nSubject: x\r\n", "no header at all\r\n\r\nSubject: x\r\n"),
            (b"\r\nbody", "body"),
            (b"From ag@iit.edu Sun Nov 22\nSubject: x\n\nbody\n", "body\n"),
            (b"Subject: x\r\nmalformed line\r\nTo: a@b.c\r\n\r\nbody", "body"),
            (b"Subject: x\r\n\r\n\xff", "\u{fffd}"),
            (b"Subject: x\r\n", ""),
            (b"", ""),
        ] {
            assert_eq!(ParsedMessage::parse(message).plain_text(), text, "{message:?}");
        }
        let alternative = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n\
            --b\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--b--\r\n";
        let view = ParsedMessage::parse(alternative);
        assert_eq!(
            (view.plain_text().as_ref(), view.html.as_deref(), view.attachments.len()),
            ("plain", Some("<p>html</p>"), 0)
        );
    }

    #[test]
    fn text_attachments_keep_their_octets() {
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
    fn deeply_nested_messages_do_not_exhaust_the_stack() {
        let nested = b"Content-Type: message/rfc822\r\n\r\n".repeat(50_000);
        assert_eq!(ParsedMessage::parse(&nested).attachments.len(), 1);
        let head = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n".as_bytes();
        let view = ParsedMessage::parse(&[head, STANDARD.encode(&nested).as_bytes()].concat());
        assert!(view.attachments[0].bytes == nested);
        let multipart = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(4_000);
        assert_eq!(ParsedMessage::parse(&multipart).text, None);
    }

    #[test]
    fn missing_boundaries_do_not_take_quadratic_time() {
        let head = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
        for part in [
            "--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: MultiPart/mixed; boundary=c\r\n\r\nx\r\n",
            "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\nx\r\n",
        ] {
            let few = ParsedMessage::parse(&[head, part.repeat(50).as_bytes()].concat());
            assert_eq!((few.text, few.attachments.len()), (None, 50));
            let many = ParsedMessage::parse(&[head, part.repeat(20_000).as_bytes()].concat());
            assert_eq!((many.subject.as_str(), many.text), ("x", Some(part.repeat(20_000))));
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in any::<Vec<u8>>(), header in "((From|To|Date|Subject|Received|References|Content-Type|Content-Transfer-Encoding|X): ?(=\\?utf-8\\?[qb]\\?|[ -~é]|multipart/mixed; boundary=b|text/html|message/rfc822|base64|quoted-printable|<a@b.c>,?|1 Jan 2026 10:00:00 \\+9999|\n )*\n){0,6}\n(--b(--)?\n|[ -~]{0,9}\n|<[a-z!/&; ]{0,4}|Content-Type: text/html\n){0,9}") {
            for message in [bytes, header.into_bytes()] {
                let view = ParsedMessage::parse(&message);
                let _ = (view.plain_text(), Summary::parse(&message));
                for (i, attachment) in view.attachments.iter().enumerate() {
                    prop_assert!(!attachment.name.contains(['/', '\\']) && !attachment.name.is_empty(), "{i}");
                }
            }
        }
    }
}
