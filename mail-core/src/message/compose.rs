//! Converts a draft to a message.
//!
//! Formats RFC 5322 with MIME (RFC 2045 to 2047, RFC 2231) through mail-builder. The message is 7-bit except for
//! internationalised addresses, with CRLF line ends and lines of at most 998 octets. The date and the identifier are
//! arguments.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, FixedOffset};
use mail_builder::MessageBuilder;
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::Address as Addresses;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId as Ids;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::{BodyPart, MimePart};
use sha2::{Digest, Sha256};

use super::address::Address;
use super::date;
use super::draft::{Attachment, Draft};
use super::id::MessageId;

/// Formats a message without Bcc. `id` must be new, for example from [`MessageId::unique`].
#[must_use]
pub fn compose(draft: &Draft, date: &DateTime<FixedOffset>, id: &MessageId) -> Vec<u8> {
    let mut builder = MessageBuilder::new()
        .header("From", author(draft))
        .header("To", addresses(&draft.to))
        .header("Subject", subject(draft.subject.as_str()))
        .header("Date", Raw::new(date::rfc5322(date)))
        .header("Message-ID", Ids::new(id.as_str()));
    if !draft.cc.is_empty() {
        builder = builder.header("Cc", addresses(&draft.cc));
    }
    if let Some(answered) = &draft.in_reply_to {
        builder = builder.in_reply_to(answered.as_str());
    }
    if !draft.references.is_empty() {
        builder = builder.references(Ids::new_list(draft.references.iter().map(MessageId::as_str)));
    }
    let mut message = Vec::new();
    builder.body(content(draft, id)).serialize(&mut message);
    message
}

/// The text; with HTML, both in a multipart/alternative part; with the images of the HTML, those in a multipart/related
/// part (RFC 2387); with attachments, all of it in a multipart/mixed part.
fn content<'a>(draft: &'a Draft, id: &MessageId) -> MimePart<'a> {
    let shown = draft.shown_content_ids();
    let is_shown = |file: &&Attachment| {
        let content_id = file.content_id.as_deref().filter(|id| is_content_id(id));
        content_id.is_some_and(|id| shown.contains(id))
    };
    let (images, files): (Vec<_>, Vec<_>) = draft.attachments.iter().partition(is_shown);
    let mut part = MimePart::new("text/plain", body(&draft.body));
    if let Some(html) = &draft.html {
        let mut formatted = MimePart::new("text/html", body(html));
        if !images.is_empty() {
            let parts = std::iter::once(formatted).chain(images.into_iter().map(image)).collect();
            formatted = multipart("related", parts, draft, id);
        }
        part = multipart("alternative", vec![part, formatted], draft, id);
    }
    if !files.is_empty() {
        let parts = std::iter::once(part).chain(files.into_iter().map(attached)).collect();
        part = multipart("mixed", parts, draft, id);
    }
    part
}

fn multipart<'a>(
    subtype: &'static str,
    parts: Vec<MimePart<'a>>,
    draft: &Draft,
    id: &MessageId,
) -> MimePart<'a> {
    let content_type = ContentType::new(format!("multipart/{subtype}"));
    let content_type = match subtype {
        "related" => content_type.attribute("type", "text/html"),
        _ => content_type,
    };
    MimePart::new(content_type.attribute("boundary", boundary(draft, id, subtype)), parts)
}

/// Characters that need no quoting in a header field and no escape in a `cid:` URL.
fn is_content_id(id: &str) -> bool {
    (1..=200).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"@._-".contains(&b))
}

/// `Name <address>`; mail-builder quotes or encodes the name (RFC 5322 section 3.4, RFC 2047 section 5).
fn author(draft: &Draft) -> HeaderType<'static> {
    let name = draft.from_name.replace(char::is_control, " ");
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    if looks_encoded(&name) {
        return Raw::new(format!("{} <{}>", encoded_words(&name), draft.from)).into();
    }
    Addresses::new_address(Some(name).filter(|name| !name.is_empty()), draft.from.to_string()).into()
}

fn addresses(list: &[Address]) -> Addresses<'static> {
    Addresses::new_list(list.iter().map(|address| address.to_string().into()).collect())
}

/// Encodes a subject that looks like an encoded word, which mail-builder would not do.
fn subject(text: &str) -> HeaderType<'_> {
    if looks_encoded(text) { Raw::new(encoded_words(text)).into() } else { Text::new(text).into() }
}

/// Whether a reader would decode a part of the text.
fn looks_encoded(text: &str) -> bool {
    text.contains("=?")
}

/// An encoded word has at most 75 characters (RFC 2047 section 2).
fn encoded_words(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    // Ten characters have at most 40 octets, which are 56 characters of base64.
    let word = |chars: &[char]| format!("=?utf-8?B?{}?=", STANDARD.encode(chars.iter().collect::<String>()));
    chars.chunks(10).map(word).collect::<Vec<_>>().join(" ")
}

/// Converts line ends to CRLF, adds a missing one at the end, and replaces NUL, which servers reject.
fn body(text: &str) -> String {
    let mut body = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
    if !body.is_empty() && !body.ends_with('\n') {
        body.push('\n');
    }
    body.replace('\n', "\r\n")
}

fn attached(attachment: &Attachment) -> MimePart<'_> {
    encoded(attachment).attachment(attachment.name.replace(char::is_control, " "))
}

/// An image that the HTML shows. Its Content-ID must be valid.
fn image(attachment: &Attachment) -> MimePart<'_> {
    let name = attachment.name.replace(char::is_control, " ");
    let disposition = ContentType::new("inline").attribute("filename", name);
    encoded(attachment)
        .header("Content-Disposition", disposition)
        .cid(attachment.content_id.as_deref().unwrap_or_default())
}

/// Encodes a file in base64, so that its bytes are preserved. For a message, base64 is forbidden (RFC 2046 section 5.2.1):
/// it stays as it is, or becomes a file of no known type if a line would not survive.
fn encoded(attachment: &Attachment) -> MimePart<'_> {
    if attachment.mime == "message/rfc822" && is_seven_bit(&attachment.bytes) {
        return MimePart::new("message/rfc822", BodyPart::Binary(attachment.bytes.as_slice().into()))
            .transfer_encoding("7bit");
    }
    // 57 octets make a line of 76 characters (RFC 2045 section 6.8).
    let lines: Vec<_> = attachment.bytes.chunks(57).map(|line| STANDARD.encode(line)).collect();
    MimePart::new(media_type(&attachment.mime), BodyPart::Binary(lines.join("\r\n").into_bytes().into()))
        .transfer_encoding("base64")
}

/// Whether the text needs no encoding (RFC 2045 section 2.7).
fn is_seven_bit(text: &[u8]) -> bool {
    text.ends_with(b"\r\n")
        && text.split_inclusive(|byte| *byte == b'\n').all(|line| {
            let line = line.strip_suffix(b"\r\n").unwrap_or(line);
            line.len() <= 998 && line.iter().all(|byte| byte.is_ascii() && !matches!(byte, 0 | b'\r' | b'\n'))
        })
}

/// Returns a valid `type/subtype`. Invalid types, and composite types, for which base64 is forbidden (RFC 2045 section
/// 6.4), become `application/octet-stream`.
fn media_type(mime: &str) -> String {
    let token = |text: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        (1..=64).contains(&text.len()) && text.bytes().all(allowed)
    };
    let mime = mime.to_ascii_lowercase();
    match mime.split_once('/') {
        Some((kind, subtype))
            if token(kind) && token(subtype) && !matches!(kind, "multipart" | "message") =>
        {
            mime
        }
        _ => "application/octet-stream".to_owned(),
    }
}

/// A boundary that no part contains: `=_` occurs in neither base64 nor quoted-printable, and plain text would have to
/// contain its own hash. The boundaries of nested parts differ in their digest.
fn boundary(draft: &Draft, id: &MessageId, subtype: &str) -> String {
    let html = draft.html.as_deref().unwrap_or_default();
    let digest = Sha256::new().chain_update(subtype).chain_update(id.as_str());
    let digest = digest.chain_update(&draft.body).chain_update(html).finalize();
    let hex: String = digest.iter().take(16).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("=_{hex}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::collections::HashSet;

    use super::super::draft::{Subject, parse_addresses};
    use super::super::parsed::{NamedAddress, ParsedMessage};
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn list(text: &str) -> Vec<Address> {
        parse_addresses("To", text).unwrap()
    }

    fn draft(subject: &str, body: &str) -> Draft {
        let subject = Subject::parse(subject).unwrap();
        Draft::new(list("ag@iit.edu").remove(0), list("gb@iit.edu"), subject, body.to_owned())
    }

    fn write(draft: &Draft) -> String {
        let date = DateTime::parse_from_rfc3339("2026-11-22T19:15:06+00:00").unwrap();
        let message = compose(draft, &date, &MessageId::parse("<1@iit.edu>").unwrap());
        String::from_utf8(message).unwrap()
    }

    #[test]
    fn compose_formats_a_plain_draft_as_plain_text() {
        assert_eq!(
            write(&draft("Meeting", "See you at five.\n.dot\n")),
            "From: <ag@iit.edu>\r\n\
             To: <gb@iit.edu>\r\n\
             Subject: Meeting\r\n\
             Date: Sun, 22 Nov 2026 19:15:06 +0000\r\n\
             Message-ID: <1@iit.edu>\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=\"utf-8\"\r\n\
             Content-Transfer-Encoding: 7bit\r\n\
             \r\n\
             See you at five.\r\n\
             .dot\r\n"
        );
    }

    #[test]
    fn compose_writes_the_name_of_the_author() {
        let from = |name: &str| {
            let message = write(&Draft { from_name: name.to_owned(), ..draft("x", "") });
            let view = ParsedMessage::parse(message.as_bytes());
            assert!(message.is_ascii() && !message.contains("\r\nBcc"), "{message}");
            assert_eq!(mailboxes(&view.from), list("ag@iit.edu"), "{message}");
            view.from[0].name.clone().unwrap_or_default()
        };
        for name in [
            "Ag Mitra",
            "Mitra, Ag",
            "Ag \"the\" Mitra \\",
            "Åg Mïtra",
            "আগ",
            "=?utf-8?q?x?=",
            "a@b.c",
            "(x)",
        ] {
            assert_eq!(from(name), name);
        }
        assert_eq!(from(" Ag\r\nBcc:  x@y.z\t"), "Ag Bcc: x@y.z");
        assert_eq!(from(" \t"), "");
        assert!(write(&draft("x", "")).starts_with("From: <ag@iit.edu>\r\n"));
        let named = Draft { from_name: "Ag Mitra".to_owned(), ..draft("x", "") };
        assert!(write(&named).starts_with("From: \"Ag Mitra\" <ag@iit.edu>\r\n"), "{}", write(&named));
    }

    #[test]
    fn compose_omits_bcc_and_prevents_header_injection() {
        let mut draft = draft("x", "y");
        draft.cc = list("c@iit.edu");
        draft.bcc = list("secret@iit.edu");
        draft.attachments = vec![Attachment {
            name: "a\r\nBcc: x@y.z".to_owned(),
            mime: "text/plain\r\nBcc: x@y.z".to_owned(),
            content_id: None,
            content_location: None,
            bytes: b"a\0\r\r\n.\r\n".to_vec(),
        }];
        let message = write(&draft);
        assert!(message.contains("\r\nCc: <c@iit.edu>\r\n"));
        assert!(!message.contains("secret") && !message.contains("\r\nBcc"));
        let view = ParsedMessage::parse(message.as_bytes());
        assert_eq!(view.attachments[0].bytes, draft.attachments[0].bytes);
        assert_eq!(view.attachments[0].mime, "application/octet-stream");
        assert_eq!(view.attachments[0].name, "a  Bcc: x@y.z");
    }

    #[test]
    fn subject_that_looks_encoded_is_preserved() {
        let text = "=?utf-8?q?x?= and =?";
        assert_eq!(ParsedMessage::parse(write(&draft(text, "")).as_bytes()).subject, text);
    }

    #[test]
    fn compose_is_deterministic() {
        let mut draft = draft("x", "y");
        draft.attachments.push(Attachment {
            name: "é.bin".to_owned(),
            mime: "image/png".to_owned(),
            content_id: None,
            content_location: None,
            bytes: vec![0; 1000],
        });
        assert_eq!(write(&draft), write(&draft));
    }

    fn mailboxes(people: &[NamedAddress]) -> Vec<Address> {
        people.iter().map(|person| person.parsed_address().unwrap()).collect()
    }

    #[test]
    fn message_is_attached_as_it_is_if_its_lines_survive() {
        let message = |bytes: &[u8]| {
            let mut draft = draft("x", "y");
            draft.attachments = vec![Attachment {
                name: "a.eml".to_owned(),
                mime: "message/rfc822".to_owned(),
                content_id: None,
                content_location: None,
                bytes: bytes.to_vec(),
            }];
            let message = write(&draft);
            let view = ParsedMessage::parse(message.as_bytes());
            assert_eq!(view.attachments[0].bytes, bytes, "{message}");
            assert_eq!(view.attachments[0].name, "a.eml");
            message.contains("message/rfc822")
        };
        assert!(message(b"Subject: a\r\n\r\nb\r\n"));
        for bytes in ["Subject: é\r\n", "a\n", "a\rb\r\n", "no line end", &format!("{}\r\n", "x".repeat(999))]
        {
            assert!(!message(bytes.as_bytes()), "{bytes:?}");
        }
    }

    #[test]
    fn html_and_its_images_are_alternatives_to_the_text() {
        let file = |name: &str, content_id: Option<&str>| Attachment {
            name: name.to_owned(),
            mime: "image/png".to_owned(),
            content_id: content_id.map(str::to_owned),
            content_location: None,
            bytes: name.as_bytes().to_vec(),
        };
        let mut draft = draft("x", "Hello\n");
        draft.html = Some("<b>Hello</b> é <img src=\"cid:1@x\"> <img src=\"cid:a&#10;b\">".to_owned());
        draft.attachments = vec![
            file("inline.png", Some("1@x")),
            file("attached.png", None),
            file("unused.png", Some("2@x")),
            file("invalid.png", Some("a\r\nb")),
        ];
        let message = write(&draft);
        assert!(message.is_ascii() && !message.contains("\r\nb"), "{message}");
        let types: Vec<_> = message
            .lines()
            .filter_map(|line| line.strip_prefix("Content-Type: "))
            .map(|line| line.split(';').next().unwrap_or_default())
            .collect();
        let expected = "multipart/mixed multipart/alternative text/plain multipart/related text/html image/png image/png \
                        image/png image/png";
        assert_eq!(types.join(" "), expected);
        let boundaries = message.match_indices("boundary=\"").map(|(at, _)| &message[at..at + 40]);
        assert_eq!(boundaries.collect::<HashSet<_>>().len(), 3);
        let view = ParsedMessage::parse(message.as_bytes());
        assert_eq!(view.text.as_deref(), Some("Hello\r\n"));
        assert_eq!(view.html, draft.html.map(|html| html + "\r\n"));
        let ids: Vec<_> = view.attachments.iter().filter_map(|file| file.content_id.as_deref()).collect();
        assert_eq!((view.attachments.len(), ids), (4, vec!["1@x"]));

        draft = Draft { html: Some("<b>x</b>".to_owned()), ..self::draft("x", "x") };
        let message = write(&draft);
        assert!(
            message.contains("Content-Type: multipart/alternative") && !message.contains("related"),
            "{message}"
        );
    }

    fn any_draft() -> impl Strategy<Value = Draft> {
        let people = proptest::collection::vec(
            "[a-z]{1,9}@[a-z]{1,30}\\.example|\"a, b\"@x\\.example|ü@bücher\\.example",
            1..8,
        );
        let subject = "[a-z éß=?_:;,\"<>()-]{0,40}|(=\\?utf-8\\?[qb]\\?[a-z=]{0,9}\\?= ?){0,4}|\\PC{0,99}";
        let body = "([a-z.=é -]{0,20}(\n|\r\n)){0,6}[a-z ]{0,2000}|\\PC{0,80}|[\r\n\t\0\x1b.]{0,9}";
        let file = (
            "[a-zé .\"();%'*]{0,60}",
            "(image|text|message|multipart|x)/[a-z.]{1,9}|\\PC{0,9}",
            any::<Vec<u8>>(),
        );
        let name = "[A-Za-z é\"\\\\,;<>@=?_-]{0,60}|\\PC{0,60}";
        (people, name, subject, body, proptest::collection::vec(file, 0..3)).prop_map(
            |(people, name, subject, body, files)| {
                let mut draft = draft("", &body);
                draft.from_name = name;
                draft.subject = Subject::truncated(&subject);
                draft.to = list(&people.join(","));
                draft.cc = draft.to.clone();
                draft.references =
                    (0..people.len() as u128).map(|n| MessageId::unique(n, &draft.from.host)).collect();
                draft.in_reply_to = draft.references.last().cloned();
                let attachment = |(name, mime, bytes)| Attachment {
                    name,
                    mime,
                    content_id: None,
                    content_location: None,
                    bytes,
                };
                draft.attachments = files.into_iter().map(attachment).collect();
                draft
            },
        )
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_compose(draft in any_draft()) {
            let message = write(&draft);
            prop_assert!(!message.contains('\0') && message.replace("\r\n", "").chars().all(|c| !matches!(c, '\r' | '\n')));
            prop_assert!(message.split("\r\n").all(|line| line.len() <= 998));
            prop_assert!(draft.needs_smtputf8() || message.is_ascii());
            let view = ParsedMessage::parse(message.as_bytes());
            prop_assert_eq!(mailboxes(&view.from), vec![draft.from]);
            prop_assert_eq!(view.to.iter().map(|p| p.parsed_address().unwrap()).collect::<Vec<_>>(), draft.to);
            prop_assert_eq!(view.cc.iter().map(|p| p.parsed_address().unwrap()).collect::<Vec<_>>(), draft.cc);
            prop_assert_eq!(view.subject, draft.subject.as_str());
            prop_assert_eq!(view.text.as_deref().unwrap_or_default(), body(&draft.body));
            prop_assert_eq!(view.in_reply_to, Vec::from_iter(draft.in_reply_to));
            prop_assert_eq!(view.references, draft.references);
            let files: Vec<_> = view.attachments.into_iter().map(|a| a.bytes).collect();
            prop_assert_eq!(files, draft.attachments.into_iter().map(|a| a.bytes).collect::<Vec<_>>());
        }
    }
}
