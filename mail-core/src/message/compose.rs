//! Converts a draft to a message, and a message to a reply or forward draft.
//!
//! Formats RFC 5322 with MIME (RFC 2045 to 2047, RFC 2231) through mail-builder. The message is 7-bit except for
//! internationalised addresses, with CRLF line ends and lines of at most 998 octets. The date and the identifier are
//! arguments.

use std::collections::HashSet;
use std::fmt::Write as _;

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
use super::draft::{Attachment, Draft, Subject};
use super::id::MessageId;
use super::parsed::{NamedAddress, ParsedMessage};
use super::subject_prefix;

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
    let text = MimePart::new("text/plain", body(&draft.body));
    let part = if draft.attachments.is_empty() {
        text
    } else {
        let parts = std::iter::once(text).chain(draft.attachments.iter().map(attached)).collect::<Vec<_>>();
        MimePart::new(ContentType::new("multipart/mixed").attribute("boundary", boundary(draft, id)), parts)
    };
    let mut message = Vec::new();
    builder.body(part).serialize(&mut message);
    message
}

/// A reply to the sender, or with `all` to all participants except `me`. It quotes `text`, which is the displayed text of
/// the message. A reply to one's own message goes to its recipients.
#[must_use]
pub fn reply(view: &ParsedMessage, text: &str, me: &Address, all: bool) -> Draft {
    let own = own_addresses(view, me);
    let senders = if view.reply_to.is_empty() { &view.from } else { &view.reply_to };
    let mut to = mailboxes(senders);
    if to.iter().all(|address| own.contains(address)) {
        let mut others = mailboxes(&view.to);
        others.retain(|address| !own.contains(address));
        if !others.is_empty() {
            to = others;
        }
    }
    let mut draft = Draft::new(
        me.clone(),
        to,
        Subject::truncated(&subject_prefix::reply(&view.subject)),
        quoted_body(view, text),
    );
    if all {
        draft.cc = mailboxes(view.to.iter().chain(&view.cc));
        let addressed: HashSet<_> = draft.to.iter().collect();
        draft.cc.retain(|address| !own.contains(address) && !addressed.contains(address));
    }
    // RFC 5322 section 3.6.4
    draft.in_reply_to.clone_from(&view.message_id);
    draft.references.clone_from(&view.references);
    if let ([], [parent]) = (draft.references.as_slice(), view.in_reply_to.as_slice()) {
        draft.references.push(parent.clone());
    }
    draft.references.extend(view.message_id.clone());
    draft
}

/// A draft that forwards a message: `text`, which is its displayed text, and its attachments. It has no recipients.
#[must_use]
pub fn forward(view: &ParsedMessage, text: &str, me: &Address) -> Draft {
    let mut body = "\n\n---------- Forwarded message ----------\n".to_owned();
    for (name, value) in [
        ("From", shown(&view.from)),
        ("Date", view.date.as_ref().map(date::rfc5322).unwrap_or_default()),
        ("Subject", view.subject.clone()),
        ("To", shown(&view.to)),
        ("Cc", shown(&view.cc)),
    ] {
        if !value.is_empty() {
            writeln!(body, "{name}: {value}").expect("writing to a String cannot fail");
        }
    }
    body.push('\n');
    body.push_str(&text.replace("\r\n", "\n"));
    let subject = Subject::truncated(&subject_prefix::forward(&view.subject));
    let mut draft = Draft::new(me.clone(), Vec::new(), subject, body);
    draft.attachments.clone_from(&view.attachments);
    draft
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

/// Encodes an attachment in base64, so that its bytes are preserved.
fn attached(attachment: &Attachment) -> MimePart<'_> {
    // 57 octets make a line of 76 characters (RFC 2045 section 6.8).
    let lines: Vec<_> = attachment.bytes.chunks(57).map(|line| STANDARD.encode(line)).collect();
    MimePart::new(media_type(&attachment.mime), BodyPart::Binary(lines.join("\r\n").into_bytes().into()))
        .attachment(attachment.name.replace(char::is_control, " "))
        .transfer_encoding("base64")
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
/// contain its own hash.
fn boundary(draft: &Draft, id: &MessageId) -> String {
    let digest = Sha256::new().chain_update(id.as_str()).chain_update(&draft.body).finalize();
    let hex: String = digest.iter().take(16).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("=_{hex}")
}

fn mailboxes<'a>(people: impl IntoIterator<Item = &'a NamedAddress>) -> Vec<Address> {
    let mut seen = HashSet::new();
    people
        .into_iter()
        .filter_map(NamedAddress::parsed_address)
        .filter(|address| seen.insert(address.clone()))
        .collect()
}

/// The addresses in a message that belong to the reader. A server may accept mail for several domains, and it does not
/// announce them to clients. The domain of `me` and the server's own name are known to be local. If a received message
/// has the reader's name at only one domain, that domain is local too.
fn own_addresses(view: &ParsedMessage, me: &Address) -> HashSet<Address> {
    let people = [&view.from, &view.reply_to, &view.to, &view.cc];
    let candidates: HashSet<Address> = mailboxes(people.into_iter().flatten())
        .into_iter()
        .filter(|address| eq_ignore_case(address, me) || is_same_account(address, me))
        .collect();
    let is_certain = |address: &&Address| {
        eq_ignore_case(address, me)
            || address.host == me.host
            || Some(&address.host) == view.received_by.as_ref()
    };
    let certain: HashSet<Address> = candidates.iter().filter(is_certain).cloned().collect();
    let hosts: HashSet<_> = candidates.iter().map(|address| &address.host).collect();
    let is_sender = mailboxes(&view.from).iter().any(|address| candidates.contains(address));
    if hosts.len() == 1 && !is_sender { candidates } else { certain }
}

/// Whether two addresses name the same account if both domains belong to one server.
fn is_same_account(address: &Address, me: &Address) -> bool {
    let name = address.local.username();
    name.is_some() && name == me.local.username()
}

/// Compares addresses without case. RFC 5321 section 2.4 makes local parts case-sensitive, but servers do not use that.
fn eq_ignore_case(one: &Address, other: &Address) -> bool {
    one.host == other.host && one.local.as_str().to_lowercase() == other.local.as_str().to_lowercase()
}

fn quoted_body(view: &ParsedMessage, text: &str) -> String {
    let mut body = "\n\n".to_owned();
    match &view.date {
        Some(date) => writeln!(body, "On {}, {} wrote:", date::rfc5322(date), shown(&view.from)),
        None => writeln!(body, "{} wrote:", shown(&view.from)),
    }
    .expect("writing to a String cannot fail");
    for line in text.trim_end().lines() {
        body.push_str(if line.starts_with('>') { ">" } else { "> " });
        body.push_str(line);
        body.push('\n');
    }
    body
}

fn shown(people: &[NamedAddress]) -> String {
    people.iter().map(NamedAddress::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::draft::parse_addresses;
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

    const RECEIVED: &[u8] =
        b"From: Ag Mitra <ag@iit.edu>\r\nTo: gb@iit.edu, c@iit.edu\r\nCc: d@iit.edu, ag@iit.edu\r\n\
        Subject: Meeting\r\nDate: Sun, 22 Nov 2026 19:15:06 +0000\r\nMessage-ID: <2@iit.edu>\r\n\
        In-Reply-To: <1@iit.edu>\r\n\r\nAt five?\r\n> At four?\r\n\r\n";

    #[test]
    fn reply_quotes_the_text_and_sets_references() {
        let (view, me) = (ParsedMessage::parse(RECEIVED), Address::parse("gb@iit.edu").unwrap());
        let answer = reply(&view, view.plain_text(), &me, false);
        assert_eq!((answer.to, answer.cc), (list("ag@iit.edu"), vec![]));
        assert_eq!(answer.subject.as_str(), "Re: Meeting");
        let expected =
            "\n\nOn Sun, 22 Nov 2026 19:15:06 +0000, Ag Mitra <ag@iit.edu> wrote:\n> At five?\n>> At four?\n";
        assert_eq!(answer.body, expected);
        let id = |text| MessageId::parse(text).unwrap();
        assert_eq!(
            (answer.in_reply_to, answer.references),
            (Some(id("2@iit.edu")), vec![id("1@iit.edu"), id("2@iit.edu")])
        );
        let all = reply(&view, view.plain_text(), &me, true);
        assert_eq!((all.to, all.cc), (list("ag@iit.edu"), list("c@iit.edu, d@iit.edu")));
        let all = reply(&view, "", &Address::parse("GB@IIT.edu").unwrap(), true);
        assert_eq!(all.cc, list("c@iit.edu, d@iit.edu"));
        let again = reply(&ParsedMessage { subject: "RE: Meeting".to_owned(), ..view }, "", &me, false);
        assert_eq!(again.subject.as_str(), "Re: Meeting");
    }

    #[test]
    fn reply_to_all_excludes_all_own_addresses() {
        let answer = |me: &str, received: &str, fields: &str| {
            let message = format!("{received}Subject: x\r\n{fields}\r\n\r\nx\r\n");
            let view = ParsedMessage::parse(message.as_bytes());
            let answer = reply(&view, "", &Address::parse(me).unwrap(), true);
            let all = answer.to.iter().chain(&answer.cc).map(ToString::to_string);
            all.collect::<Vec<_>>().join(" ")
        };
        let received = "Received: from x by iitkgp.edu with SMTP id 1; Sun, 22 Nov 2026 19:15:07 +0000\r\n";
        let from_ag = "From: ag@iit.edu\r\nTo: ";
        for (me, to, expected) in [
            // The name of the server, and a detail.
            ("gb@iit.edu", "GB+x@iitkgp.edu, c@iit.edu", "ag@iit.edu c@iit.edu"),
            ("gb@iit.edu", "GB+x@iitkgp.edu, gb@example.org", "ag@iit.edu gb@example.org"),
            ("gb@iit.edu", "gb+x@iit.edu, gb@example.org", "ag@iit.edu gb@example.org"),
            // Another domain of the server, inferred because the message was delivered.
            ("gb@iitkgp.edu", "gb@iit.edu, c@iit.edu", "ag@iit.edu c@iit.edu"),
            ("gb@iitkgp.edu", "gb@iit.edu", "ag@iit.edu"),
            // The same name at another server.
            ("gb@iitkgp.edu", "gb@iitkgp.edu, gb@example.org", "ag@iit.edu gb@example.org"),
            ("gb@iitkgp.edu", "gb@example.org, gb@example.net", "ag@iit.edu gb@example.org gb@example.net"),
            ("gb@iitkgp.edu", "list@example.org", "ag@iit.edu list@example.org"),
        ] {
            assert_eq!(answer(me, received, &format!("{from_ag}{to}")), expected, "{me} <- {to}");
        }
        // A reply to the user's own message goes to its recipients, and to the user only if there are no others.
        let from_self = "From: gb@iitkgp.edu\r\nTo: ";
        assert_eq!(
            answer("gb@iitkgp.edu", "", &format!("{from_self}gb@example.org, c@iit.edu")),
            "gb@example.org c@iit.edu"
        );
        assert_eq!(answer("gb@iitkgp.edu", received, &format!("{from_self}gb@iitkgp.edu")), "gb@iitkgp.edu");
        let same_name = "From: gb@example.org\r\nTo: gb@example.org, c@iit.edu";
        assert_eq!(answer("gb@iitkgp.edu", received, same_name), "gb@example.org c@iit.edu");
    }

    #[test]
    fn forward_includes_text_and_attachments() {
        let mut view = ParsedMessage::parse(RECEIVED);
        view.attachments.push(Attachment {
            name: "a.png".to_owned(),
            mime: "image/png".to_owned(),
            content_id: None,
            content_location: None,
            bytes: vec![1, 2],
        });
        let draft = forward(&view, view.plain_text(), &Address::parse("gb@iit.edu").unwrap());
        assert_eq!((draft.subject.as_str(), draft.to.len()), ("Fwd: Meeting", 0));
        assert!(draft.body.contains("\nFrom: Ag Mitra <ag@iit.edu>\nDate: Sun, 22 Nov"), "{}", draft.body);
        assert!(draft.body.ends_with("\n\nAt five?\n> At four?\n\n"), "{}", draft.body);
        assert_eq!(draft.attachments, view.attachments);
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
