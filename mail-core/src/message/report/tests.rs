//! Tests of the reports: what is formatted, hostile input, and the round trip.

use chrono::{DateTime, FixedOffset};
use proptest::prelude::*;

use super::*;
use crate::line::LineEndChecker;
use crate::message::address::{Address, Domain};
use crate::message::id::MessageId;
use crate::message::parsed::ParsedMessage;
use crate::smtp::dsn::Ret;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ORIGINAL: &[u8] =
    b"From: <ag@iit.edu>\r\nTo: <gb@x.example>\r\nSubject: Meeting\r\nMessage-ID: <1@iit.edu>\r\n\r\nSee you.\r\n";

fn time(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

fn failed() -> RecipientStatus {
    RecipientStatus {
        original_recipient: OriginalRecipient::new("rfc822", "gb@iit.edu"),
        remote_mta: Some("mx.x.example".to_owned()),
        diagnostic_code: Some(Diagnostic::smtp(
            &Reply::parse("550 5.1.1 <gb@x.example>: user unknown").unwrap(),
        )),
        last_attempt: Some(time("2026-11-22T19:15:07+00:00")),
        ..RecipientStatus::new("gb@x.example", Action::Failed, EnhancedCode::new(5, 1, 1))
    }
}

fn report(recipients: Vec<RecipientStatus>) -> DeliveryReport {
    DeliveryReport {
        reporting_mta: "mail.iit.edu".to_owned(),
        envelope_id: Some("QQ314159".to_owned()),
        arrival_date: Some(time("2026-11-22T19:15:06+00:00")),
        recipients,
    }
}

fn format(report: &DeliveryReport, original: &[u8], ret: Option<Ret>, utf8: bool) -> String {
    let sender = if utf8 { "jörg@iit.edu" } else { "ag@iit.edu" };
    let notification = Notification {
        report,
        sender: &Address::parse(sender).unwrap(),
        host: &Domain::parse("mail.iit.edu").unwrap(),
        date: &time("2026-11-22T19:15:08+00:00"),
        id: &MessageId::parse("2@mail.iit.edu").unwrap(),
        original,
        ret,
        utf8,
    };
    let message = notification.format();
    let mut line_ends = LineEndChecker::default();
    line_ends.check(&message);
    assert!(!line_ends.is_malformed(), "{}", message.escape_ascii());
    String::from_utf8_lossy(&message).into_owned()
}

fn parsed(message: &str) -> DeliveryReport {
    ParsedMessage::parse(message.as_bytes()).report.expect("a report")
}

fn parse(content: &str) -> Vec<RecipientStatus> {
    DeliveryReport::parse(content.as_bytes()).map(|report| report.recipients).unwrap_or_default()
}

#[test]
fn failure_is_formatted_as_text_fields_and_header() {
    let message = format(&report(vec![failed()]), ORIGINAL, Some(Ret::Headers), false);
    let boundary = message.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let expected = "From: Mail Delivery System <mailer-daemon@mail.iit.edu>\r\n\
        To: <ag@iit.edu>\r\n\
        Subject: Mail not delivered\r\n\
        Date: Sun, 22 Nov 2026 19:15:08 +0000\r\n\
        Message-ID: <2@mail.iit.edu>\r\n\
        In-Reply-To: <1@iit.edu>\r\n\
        References: <1@iit.edu>\r\n\
        Auto-Submitted: auto-replied\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"B\"\r\n\
        \r\n--B\r\n\
        Content-Description: Notification\r\n\
        Content-Type: text/plain; charset=us-ascii\r\n\
        Content-Transfer-Encoding: 7bit\r\n\r\n\
        This is the mail system at mail.iit.edu.\r\n\r\n\
        Your message was not delivered to:\r\n\r\n    \
            gb@x.example\r\n    \
            (sent to gb@iit.edu)\r\n    \
            No such user (5.1.1).\r\n    \
            mx.x.example said: 550 5.1.1 <gb@x.example>: user unknown\r\n\r\n\
        The mail system will not try again. If you can correct the reason, send\r\n\
        the message again to these addresses.\r\n\
        \r\n--B\r\n\
        Content-Description: Delivery report\r\n\
        Content-Type: message/delivery-status\r\n\
        Content-Transfer-Encoding: 7bit\r\n\r\n\
        Original-Envelope-Id: QQ314159\r\n\
        Reporting-MTA: dns; mail.iit.edu\r\n\
        Arrival-Date: Sun, 22 Nov 2026 19:15:06 +0000\r\n\r\n\
        Original-Recipient: rfc822; gb@iit.edu\r\n\
        Final-Recipient: rfc822; gb@x.example\r\n\
        Action: failed\r\n\
        Status: 5.1.1\r\n\
        Remote-MTA: dns; mx.x.example\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 <gb@x.example>: user unknown\r\n\
        Last-Attempt-Date: Sun, 22 Nov 2026 19:15:07 +0000\r\n\
        \r\n--B\r\n\
        Content-Description: Header of the original message\r\n\
        Content-Type: text/rfc822-headers\r\n\
        Content-Transfer-Encoding: 7bit\r\n\r\n\
        From: <ag@iit.edu>\r\nTo: <gb@x.example>\r\nSubject: Meeting\r\nMessage-ID: <1@iit.edu>\r\n\
        \r\n--B--\r\n";
    assert_eq!(message.replace(boundary, "B"), expected);
}

#[test]
fn message_is_returned_after_a_failure_only_if_requested_and_small() {
    let report = |action| report(vec![RecipientStatus { action, ..failed() }]);
    let returned = |action, original: &[u8], ret| {
        let message = format(&report(action), original, ret, false);
        let kinds = ["message/rfc822", "text/rfc822-headers"];
        assert_eq!(kinds.iter().filter(|kind| message.contains(**kind)).count(), 1);
        message.contains("message/rfc822") && message.contains("See you.")
    };
    let large = [ORIGINAL, &b"x".repeat(FULL_OCTETS_MAX)].concat();
    assert!(returned(Action::Failed, ORIGINAL, Some(Ret::Full)));
    assert!(!returned(Action::Failed, &large, Some(Ret::Full)));
    assert!(!returned(Action::Failed, ORIGINAL, Some(Ret::Headers)));
    assert!(!returned(Action::Failed, ORIGINAL, None));
    assert!(!returned(Action::Delayed, ORIGINAL, Some(Ret::Full)));
    assert!(!returned(Action::Failed, b"Subject: header alone\r\n", Some(Ret::Full)));
    let long_header = b"X-A: 0123456789\r\n".repeat(10_000);
    let message = format(&report(Action::Failed), &long_header, None, false);
    assert!(message.len() < 70_000 && message.contains("X-A: 0123456789\r\n\r\n--"));
}

#[test]
fn delay_report_contains_the_time_of_the_last_attempt() {
    let delayed = RecipientStatus {
        action: Action::Delayed,
        status: EnhancedCode::new(4, 4, 1),
        diagnostic_code: Some(Diagnostic::local("connection timed out")),
        will_retry_until: Some(time("2026-11-27T19:15:06+00:00")),
        ..failed()
    };
    let message = format(&report(vec![delayed]), ORIGINAL, None, false);
    for text in [
        "Subject: Mail delayed\r\n",
        "Your message was not delivered yet to:\r\n",
        "    The mail server does not answer (4.4.1).\r\n    connection timed out\r\n",
        "The mail system keeps trying until Fri, 27 Nov 2026 19:15:06 +0000.\r\n",
        "Will-Retry-Until: Fri, 27 Nov 2026 19:15:06 +0000\r\n",
        "Diagnostic-Code: x-pennypost; connection timed out\r\n",
    ] {
        assert!(message.contains(text), "{text:?} is missing in\n{message}");
    }
}

#[test]
fn text_names_a_limited_number_of_recipients_and_fields_all() {
    let recipients: Vec<_> = (0..60)
        .map(|i| {
            RecipientStatus::new(format!("u{i}@x.example"), Action::Delivered, EnhancedCode::new(2, 1, 5))
        })
        .collect();
    let message = format(&report(recipients.clone()), ORIGINAL, None, false);
    assert!(message.contains("Subject: Mail delivered\r\n") && message.contains("\r\n    and 10 more\r\n"));
    assert_eq!(parsed(&message).recipients, recipients);
}

#[test]
fn utf8_address_is_raw_with_smtputf8_and_encoded_without() {
    let address = "jörg@exämple.org";
    let recipient = RecipientStatus {
        original_recipient: OriginalRecipient::new("utf-8", address),
        ..RecipientStatus::new(address, Action::Failed, EnhancedCode::new(5, 1, 1))
    };
    let original = "Subject: Grüße\r\n\r\nx\r\n".as_bytes();
    let message = format(&report(vec![recipient.clone()]), original, None, true);
    for text in [
        "To: <jörg@iit.edu>\r\n",
        "report-type=global-delivery-status;",
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n",
        "Final-Recipient: utf-8; jörg@exämple.org\r\n",
        "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: Grüße\r\n",
    ] {
        assert!(message.contains(text), "{text:?} is missing in\n{message}");
    }
    assert_eq!(parsed(&message).recipients, std::slice::from_ref(&recipient));

    let message = format(&report(vec![recipient.clone()]), ORIGINAL, Some(Ret::Full), false);
    assert!(message.is_ascii());
    assert!(message.contains("Final-Recipient: utf-8; j\\x{F6}rg@ex\\x{E4}mple.org\r\n"), "{message}");
    let view = ParsedMessage::parse(message.as_bytes());
    assert!(view.text.as_ref().unwrap().contains("    jörg@exämple.org\r\n"), "{view:?}");
    assert_eq!(view.report.unwrap().recipients, [recipient]);
}

#[test]
fn hostile_replies_stay_in_their_field() {
    let hostile = "550 no\r\n\r\n--B\r\nAction: delivered\0\u{1b}[2J\u{202e}\u{2028}é \t x";
    let recipient = RecipientStatus {
        remote_mta: Some("mx\r\nAction: delivered".to_owned()),
        diagnostic_code: Some(Diagnostic { kind: "smtp\r\nX: y".to_owned(), text: hostile.repeat(1_000) }),
        ..RecipientStatus::new("a@b\r\nStatus: 2.0.0", Action::Failed, EnhancedCode::new(5, 0, 0))
    };
    for utf8 in [false, true] {
        let mut report = report(vec![recipient.clone()]);
        report.reporting_mta = "mail\r\n\r\nAction: delivered".to_owned();
        report.envelope_id = Some("x\r\nReporting-MTA: dns; y".to_owned());
        let message = format(&report, ORIGINAL, Some(Ret::Full), utf8);
        assert!(utf8 || message.is_ascii());
        assert!(!message.contains(['\0', '\u{1b}', '\u{202e}', '\u{2028}']), "{message}");
        assert!(message.lines().all(|line| line.len() <= 998 && !line.starts_with("Action: delivered")));
        assert!(message.len() < 6_000, "{}", message.len());
        let recipients = parsed(&message).recipients;
        assert_eq!(recipients.len(), 1);
        assert_eq!(recipients[0].action, Action::Failed);
    }
}

#[test]
fn boundary_does_not_occur_in_the_original() {
    let first = format(&report(vec![failed()]), ORIGINAL, Some(Ret::Full), false);
    let boundary = first.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let original = format!("Subject: x\r\n\r\n--{boundary}--\r\n");
    let second = format(&report(vec![failed()]), original.as_bytes(), Some(Ret::Full), false);
    assert!(!second.contains(&format!("boundary=\"{boundary}\"")), "{second}");
    assert_eq!(parsed(&second).recipients, [failed()]);
}

#[test]
fn sender_is_told_of_failures_and_delays_unless_notify_says_otherwise() {
    let requested = |notify: Option<&str>| {
        let notify = notify.map(|text| Notify::parse(text).unwrap());
        Action::ALL
            .into_iter()
            .filter(|action| action.is_requested(notify))
            .map(Action::keyword)
            .collect::<Vec<_>>()
    };
    assert_eq!(requested(None), ["failed", "delayed"]);
    assert_eq!(requested(Some("NEVER")), [""; 0]);
    assert_eq!(requested(Some("SUCCESS")), ["relayed", "expanded", "delivered"]);
    assert_eq!(requested(Some("failure")), ["failed"]);
}

#[test]
fn parse_tolerates_what_mail_systems_write() {
    let address =
        |text: &str| parse(&format!("Reporting-MTA: dns; x\n\n{text}\n"))[0].final_recipient.clone();
    assert_eq!(address("Final-recipient: RFC822;<a@b.c>\nAction: failed"), "a@b.c");
    assert_eq!(address("Final-Recipient: a@b.c\nAction: failed"), "a@b.c");
    assert_eq!(address("Final-Recipient: utf-8; j\\x{F6}rg@b.c\nAction: failed"), "jörg@b.c");
    assert_eq!(address("X-Actual-Recipient: rfc822; a@b.c\nAction: failed"), "a@b.c");
    assert_eq!(address("Original-Recipient: rfc822; a@b.c\nAction: failed"), "a@b.c");
    assert_eq!(address("Original-Recipient: <a@b.c>\nAction: failed"), "a@b.c");
    assert_eq!(address("Action: failed"), "");

    let outcome = |text: &str| parse(text).first().map(|one| (one.action, one.status.to_string()));
    let is = |action, status: &str| Some((action, status.to_owned()));
    assert_eq!(
        outcome("Action: Failed (bad address)\nStatus: 5.1.1 (no such user)"),
        is(Action::Failed, "5.1.1")
    );
    assert_eq!(outcome("Action: expired\nStatus: nonsense"), is(Action::Failed, "5.0.0"));
    assert_eq!(outcome("Action: what?\nStatus: 4.4.7"), is(Action::Delayed, "4.4.7"));
    assert_eq!(outcome("Status: 2.1.5"), is(Action::Delivered, "2.1.5"));
    assert_eq!(outcome("Final-Recipient: rfc822; a@b"), None);
    assert_eq!(outcome("Action: none"), None);

    let all = parse(
        "Reporting-MTA: dns; mx.example (10.0.0.1)\nFinal-Recipient: rfc822; a@b\nAction: failed\n\
         Diagnostic-Code: smtp;\n 550 no\n\tsuch user\nRemote-MTA: DNS; x.example.\nFinal-Recipient: rfc822; c@d\n\
         Action: delayed\n \nFinal-Recipient: rfc822; e@f\nAction: relayed\nDiagnostic-Code: Connection timed out; a",
    );
    let found: Vec<_> = all.iter().map(|one| (one.final_recipient.as_str(), one.action)).collect();
    assert_eq!(found, [("a@b", Action::Failed), ("c@d", Action::Delayed), ("e@f", Action::Relayed)]);
    assert_eq!(all[0].diagnostic(), Some("550 no such user"));
    assert_eq!(all[0].remote_mta.as_deref(), Some("x.example"));
    let quotations: Vec<_> = all.iter().map(RecipientStatus::quotation).collect();
    let quoted = |text: &str| Some(text.to_owned());
    let expected = [
        quoted("The server said: \"550 no such user\""),
        None,
        quoted("Details: \"Connection timed out; a\""),
    ];
    assert_eq!(quotations, expected);
}

#[test]
fn parse_is_bounded() {
    let many = "Final-Recipient: rfc822; a@b\nAction: failed\n\n".repeat(100_000);
    assert_eq!(parse(&many).len(), 1_000);
    let long = format!(
        "Final-Recipient: rfc822; {}\nAction: failed\nDiagnostic-Code: smtp; {0}",
        "x".repeat(500_000)
    );
    let recipients = parse(&long);
    assert!(
        recipients[0].final_recipient.len() <= 320
            && recipients[0].diagnostic().unwrap().len() <= TEXT_OCTETS_MAX
    );
    for content in ["", "\n\n\n", "hello", "Reporting-MTA: dns; x\n"] {
        assert_eq!(DeliveryReport::parse(content.as_bytes()), None, "{content:?}");
    }
}

#[test]
fn sentence_names_address_and_reason() {
    let sentence = |action, status: &str, diagnostic: &str| {
        let status = EnhancedCode::parse(status).unwrap();
        let diagnostic_code = Some(Diagnostic::new("smtp", diagnostic));
        RecipientStatus { diagnostic_code, ..RecipientStatus::new("x@y.example", action, status) }.sentence()
    };
    assert_eq!(sentence(Action::Failed, "5.1.1", ""), "Not delivered to x@y.example: no such user.");
    assert_eq!(
        sentence(Action::Delayed, "4.2.2", ""),
        "Not delivered to x@y.example yet: the mailbox is full."
    );
    assert_eq!(sentence(Action::Failed, "5.0.0", "550 no"), "Not delivered to x@y.example.");
    let full = "Not delivered to x@y.example: the mailbox is full.";
    for reply in
        ["552 5.2.2 no room", "550-5.2.2 no room", "host a said: 550 #5.2.2 no room", "550 (5.2.2) full"]
    {
        assert_eq!(sentence(Action::Failed, "5.0.0", reply), full, "{reply}");
        assert_eq!(sentence(Action::Failed, "5.2.0", reply), full, "{reply}");
    }
    let general = "Not delivered to x@y.example: the address was not accepted.";
    assert_eq!(sentence(Action::Failed, "5.0.0", "550 #5.1.0 Address rejected."), general);
    assert_eq!(sentence(Action::Failed, "5.1.0", "550 5.2.0 no"), general);
    // The code of the report counts if it says something, and the class must agree.
    let unknown = "Not delivered to x@y.example: no such user.";
    assert_eq!(sentence(Action::Failed, "5.1.1", "552 5.2.2 no room"), unknown);
    assert_eq!(sentence(Action::Failed, "5.0.0", "450 4.2.2 no room"), "Not delivered to x@y.example.");
    let policy = "Not delivered to x@y.example: the mail server refuses the message by its rules.";
    assert_eq!(sentence(Action::Failed, "5.7.606", "550 no"), policy);
    assert_eq!(sentence(Action::Delivered, "2.1.5", ""), "Delivered to x@y.example.");
    let relayed = "Passed on for x@y.example to a server that sends no reports.";
    assert_eq!(sentence(Action::Relayed, "2.0.0", ""), relayed);
    let nameless = RecipientStatus::new("", Action::Failed, EnhancedCode::new(5, 2, 1));
    assert_eq!(nameless.sentence(), "Not delivered: the mailbox is disabled.");
    assert_eq!(failed().sentence(), "Not delivered to gb@iit.edu: no such user.");
}

fn text() -> impl Strategy<Value = String> {
    "[!-~é]{1,12}( [!-~é]{1,90}){0,14}"
}

prop_compose! {
    fn recipient()(
        address in "[a-z]{1,8}@[a-zé]{1,60}\\.example",
        original in proptest::option::of(("rfc822|utf-8", "[a-z]{1,8}@[a-z]{1,8}")),
        action in prop::sample::select(&Action::ALL[..]),
        status in prop::sample::select(&[(5, 1, 1), (4, 0, 0), (2, 1, 5)][..]),
        remote_mta in proptest::option::of("[a-z.]{0,20}[a-z]"),
        diagnostic in proptest::option::of(("smtp|x-pennypost", text())),
        seconds in proptest::option::of(0_i64..4_000_000_000),
    ) -> RecipientStatus {
        let (class, subject, detail) = status;
        let time = seconds.map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap().fixed_offset());
        RecipientStatus {
            original_recipient: original.and_then(|(kind, address)| OriginalRecipient::new(&kind, &address)),
            remote_mta,
            diagnostic_code: diagnostic.map(|(kind, text)| Diagnostic::new(&kind, &text)),
            last_attempt: time,
            will_retry_until: time,
            ..RecipientStatus::new(address, action, EnhancedCode::new(class, subject, detail))
        }
    }
}

proptest! {
    #[test]
    fn parse_is_the_inverse_of_format(
        recipients in prop::collection::vec(recipient(), 1..4),
        envelope_id in proptest::option::of("[!-~]{1,40}"),
        ret in proptest::option::of(prop::sample::select(&[Ret::Full, Ret::Headers][..])),
    ) {
        let report = DeliveryReport { envelope_id, ..report(recipients) };
        let message = format(&report, ORIGINAL, ret, true);
        prop_assert_eq!(parsed(&message), report);
    }

    #[test]
    fn any_report_is_formatted_as_one_report(
        name in any::<String>(),
        address in any::<String>(),
        diagnostic in any::<String>(),
        original in any::<Vec<u8>>(),
        utf8 in any::<bool>(),
    ) {
        let recipient = RecipientStatus {
            remote_mta: Some(name.clone()),
            diagnostic_code: Some(Diagnostic { kind: name.clone(), text: diagnostic }),
            ..RecipientStatus::new(address, Action::Failed, EnhancedCode::new(5, 0, 0))
        };
        let report = DeliveryReport { reporting_mta: name.clone(), envelope_id: Some(name), ..report(vec![recipient]) };
        let message = format(&report, &original, Some(Ret::Full), utf8);
        let recipients = parsed(&message).recipients;
        prop_assert_eq!(recipients.len(), 1);
        prop_assert_eq!(recipients[0].action, Action::Failed);
    }
}
