//! Defects of messages: findings of the catcher, and replies of `pennypost catch --strict`.

mod support;

use support::catch::{Catcher, MESSAGE};

/// Messages that other servers reject, with the rule and a part of the reply.
const REJECTED: [(&str, &str, &str, &str); 6] = [
    ("Your code", "Your\ncode", "bare-lf", "CRLF"),
    ("Date: Sun, 22 Nov 2026 20:15:06 +0100\r\n", "", "missing-date", "Date is missing"),
    ("Ann <ann@a.example>", "root", "from-without-domain", "`root`"),
    ("Subject: Please", "Subject: a\r\nSubject: Please", "repeated-field", "Subject occurs more than once"),
    ("Your code", "\u{e9}", "eight-bit-body", ""),
    ("Subject: Please", "Subject: \u{e9}", "eight-bit-header", "SMTPUTF8"),
];

#[test]
fn defects_are_reported_and_the_message_is_stored_unchanged() {
    let catcher = Catcher::start(&[]);
    for (from, to, rule, _) in REJECTED {
        let message = MESSAGE.replace(from, to);
        let reply = catcher.deliver_raw(message.as_bytes());
        assert!(reply.starts_with("250"), "{rule}: {reply}");
        let mail = catcher.json("GET", "/api/v1/mail/latest");
        let rules: Vec<_> =
            mail["lint"].as_array().expect("a list").iter().map(|finding| finding["rule"].clone()).collect();
        assert_eq!(rules, [rule], "{mail}");
        let raw = catcher.request("GET", "/api/v1/message/latest/raw").body;
        assert_eq!(raw, format!("{message}\r\n").into_bytes());
    }
    let long = "x".repeat(65);
    assert!(catcher.deliver("ann@a.example", &[&format!("{long}@b.example")], MESSAGE).starts_with("250"));
    assert_eq!(catcher.json("GET", "/api/v1/mail/latest")["lint"][0]["rule"], "long-local-part");
}

#[test]
fn strict_catcher_rejects_what_other_servers_reject() {
    let catcher = Catcher::start(&["--strict"]);
    for (from, to, rule, part) in REJECTED {
        let reply = catcher.deliver_raw(MESSAGE.replace(from, to).as_bytes());
        let is_rejected = rule != "eight-bit-body";
        assert_eq!(reply.starts_with("55"), is_rejected, "{rule}: {reply}");
        assert!(reply.contains(part), "{rule}: {reply}");
    }
    let mut smtp = catcher.smtp();
    smtp.command("EHLO client.example");
    smtp.command("MAIL FROM:<ann@a.example>");
    let reply = smtp.command(&format!("RCPT TO:<{}@b.example>", "x".repeat(65)));
    assert!(reply.starts_with("501 5.1.3") && reply.contains("64 octets"), "{reply}");
    assert_eq!(catcher.json("GET", "/api/v1/messages")["total"], 1, "the one with a warning");
}
