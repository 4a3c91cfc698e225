//! Replies and forwarded messages as drafts.
//!
//! A quotation has two forms: text, which is in the draft, and HTML, for drafts with formatting.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::address::Address;
use super::date;
use super::draft::{Draft, Subject};
use super::html::escape;
use super::parsed::{NamedAddress, ParsedMessage};
use super::subject_prefix;

/// The line above a forwarded message.
pub const FORWARDED: &str = "---------- Forwarded message ----------";

/// The subject of a forwarded message.
#[must_use]
pub fn forwarded_subject(subject: &str) -> String {
    Subject::truncated(&subject_prefix::forward(subject)).to_string()
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
    let mut body = format!("\n\n{FORWARDED}\n");
    for (name, value) in forwarded_fields(view) {
        writeln!(body, "{name}: {value}").expect("writing to a String cannot fail");
    }
    body.push('\n');
    body.push_str(&text.replace("\r\n", "\n"));
    let subject = Subject::truncated(&subject_prefix::forward(&view.subject));
    let mut draft = Draft::new(me.clone(), Vec::new(), subject, body);
    draft.attachments.clone_from(&view.attachments);
    draft
}
fn mailboxes<'a>(people: impl IntoIterator<Item = &'a NamedAddress>) -> Vec<Address> {
    let mut seen = HashSet::new();
    people
        .into_iter()
        .filter_map(NamedAddress::parsed_address)
        .filter(|address| seen.insert(address.clone()))
        .collect()
}

/// The quotation of a reply in HTML. `html` is the displayed content of the message and must be sanitized.
#[must_use]
pub fn quoted_html(view: &ParsedMessage, html: &str) -> String {
    format!(
        "<div>{}</div><blockquote type=\"cite\" style=\"margin:0 0 0 8px;border-left:2px solid #c5ccd6;padding-left:8px\">\
         {html}</blockquote>",
        escape(&attribution(view))
    )
}

/// A forwarded message in HTML. `html` is the displayed content of the message and must be sanitized.
#[must_use]
pub fn forwarded_html(view: &ParsedMessage, html: &str) -> String {
    let fields = forwarded_fields(view).map(|(name, value)| format!("<br>{name}: {}", escape(&value)));
    format!("<div>{FORWARDED}{}</div><br><div>{html}</div>", fields.collect::<String>())
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
    let mut body = format!("\n\n{}\n", attribution(view));
    for line in text.trim_end().lines() {
        body.push_str(if line.starts_with('>') { ">" } else { "> " });
        body.push_str(line);
        body.push('\n');
    }
    body
}

fn attribution(view: &ParsedMessage) -> String {
    match &view.date {
        Some(date) => format!("On {}, {} wrote:", date::rfc5322(date), shown(&view.from)),
        None => format!("{} wrote:", shown(&view.from)),
    }
}

/// The fields above a forwarded message, without those that are empty.
fn forwarded_fields(view: &ParsedMessage) -> impl Iterator<Item = (&'static str, String)> {
    let fields = [
        ("From", shown(&view.from)),
        ("Date", view.date.as_ref().map(date::rfc5322).unwrap_or_default()),
        ("Subject", view.subject.clone()),
        ("To", shown(&view.to)),
        ("Cc", shown(&view.cc)),
    ];
    fields.into_iter().filter(|(_, value)| !value.is_empty())
}

fn shown(people: &[NamedAddress]) -> String {
    people.iter().map(NamedAddress::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::draft::{Attachment, parse_addresses};
    use super::super::id::MessageId;
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn list(text: &str) -> Vec<Address> {
        parse_addresses("To", text).unwrap()
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

    #[test]
    fn html_quotations_escape_the_fields() {
        let mut view = ParsedMessage::parse(RECEIVED);
        view.from[0].name = Some("<b>Ag & \"Co\"".to_owned());
        let quoted = quoted_html(&view, "<p>At five?</p>");
        assert!(
            quoted.contains("+0000, &lt;b&gt;Ag &amp; &quot;Co&quot; &lt;ag@iit.edu&gt; wrote:</div>"),
            "{quoted}"
        );
        assert!(quoted.ends_with("\"><p>At five?</p></blockquote>"), "{quoted}");
        let forwarded = forwarded_html(&view, "<p>At five?</p>");
        assert!(
            forwarded.contains("<br>Subject: Meeting<br>To: gb@iit.edu, c@iit.edu<br>Cc: "),
            "{forwarded}"
        );
        assert!(forwarded.ends_with("<div><p>At five?</p></div>"), "{forwarded}");
    }
}
