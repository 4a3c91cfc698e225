//! Faults of `pennypost catch`: set at run time, or asked for by a recipient.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use support::catch::{Catcher, MESSAGE};
use support::{LineStream, SmtpClient, TIMEOUT, is_installed, run_program};

fn set(catcher: &Catcher, faults: &serde_json::Value) {
    let response = catcher.put("/api/v1/faults", &faults.to_string());
    assert_eq!(response.status, 200, "{response:?}");
}

fn open(catcher: &Catcher) -> SmtpClient {
    let mut smtp = catcher.smtp();
    smtp.command("EHLO client.example");
    smtp.command("MAIL FROM:<ann@a.example>");
    smtp
}

fn total(catcher: &Catcher) -> serde_json::Value {
    catcher.json("GET", "/api/v1/messages")["total"].clone()
}

#[test]
fn recipients_ask_for_faults() {
    let catcher = Catcher::start(&[]);
    let mut smtp = open(&catcher);
    assert_eq!(smtp.command("RCPT TO:<rcpt-452@b.example>"), "452 4.0.0 requested by the recipient rcpt-452");
    let start = Instant::now();
    assert!(smtp.command("RCPT TO:<slow-200ms@b.example>").starts_with("250"));
    assert!(start.elapsed() >= Duration::from_millis(200));
    let reply = smtp.deliver_after_mail(&["data-550@b.example", "bob@b.example"], MESSAGE.as_bytes());
    assert_eq!(reply, "550 5.0.0 requested by the recipient data-550");
    assert_eq!(total(&catcher), 0);
    assert!(smtp.deliver("ann@a.example", &["slow-1ms@b.example"], MESSAGE.as_bytes()).starts_with("250"));
    let mail = catcher.json("GET", "/api/v1/wait?to=slow-1ms@b.example");
    assert_eq!(mail["faults"], json!(["RCPT: carried out, after 1ms"]), "recorded with the message");
    let mut smtp = open(&catcher);
    smtp.stream.send(b"RCPT TO:<drop@b.example>\r\n");
    assert!(smtp.stream.is_closed());
    let start = Instant::now();
    let faults = loop {
        let sessions = catcher.json("GET", "/api/v1/sessions");
        if let Some(session) = sessions["sessions"].as_array().expect("a list").first() {
            break session["faults"].clone();
        }
        assert!(start.elapsed() < TIMEOUT, "the session has not ended");
    };
    assert_eq!(faults, json!(["RCPT: connection dropped"]), "recorded with the session");
}

#[test]
fn stored_message_loses_its_reply_as_often_as_asked() {
    let catcher = Catcher::start(&[]);
    set(
        &catcher,
        &json!([{ "command": "MESSAGE", "for": "*@b.example", "stored": true, "drop": true, "times": 1 }]),
    );
    let mut smtp = open(&catcher);
    smtp.command("RCPT TO:<bob@b.example>");
    smtp.command("DATA");
    smtp.stream.send(format!("{MESSAGE}.\r\n").as_bytes());
    assert_eq!(smtp.stream.read_to_end(), b"", "the connection is closed without a reply");
    assert_eq!(total(&catcher), 1, "the message is stored");
    assert!(catcher.deliver("ann@a.example", &["bob@b.example"], MESSAGE).starts_with("250"));
    assert_eq!(total(&catcher), 2);
    assert_eq!(catcher.json("GET", "/api/v1/faults")["faults"][0]["injected"], 1);

    set(
        &catcher,
        &json!([{ "command": "MESSAGE", "stored": true, "reply": "451 4.3.0 Try again later", "for": "bob@b.example" }]),
    );
    assert_eq!(catcher.deliver("ann@a.example", &["bob@b.example"], MESSAGE), "451 4.3.0 Try again later");
    assert!(catcher.deliver("ann@a.example", &["bob@c.example"], MESSAGE).starts_with("250"));
    assert_eq!(total(&catcher), 4);
}

#[test]
fn connection_and_session_commands_fail() {
    let catcher = Catcher::start(&[]);
    set(&catcher, &json!({ "faults": [{ "command": "CONNECT", "reply": "554 5.7.1 Go away", "times": 1 }] }));
    let mut stream = LineStream::connect(catcher.smtp);
    assert_eq!(stream.read_text(), "554 Go away", "no enhanced code before EHLO");
    assert!(stream.is_closed());
    set(
        &catcher,
        &json!([
            { "command": "EHLO", "reply": "502 5.5.1 No EHLO", "for": "old.example" },
            { "command": "STARTTLS", "reply": "454 4.7.0 No TLS today" },
            { "command": "AUTH", "reply": "535 5.7.8 Wrong password", "for": "ann" },
            { "command": "QUIT", "drop": true },
        ]),
    );
    let mut smtp = catcher.smtp();
    assert!(smtp.command("EHLO old.example").starts_with("502"));
    assert!(smtp.command("EHLO new.example").starts_with("250"));
    assert_eq!(smtp.command("STARTTLS"), "454 4.7.0 No TLS today");
    // \0ann\0secret and \0bob\0secret
    assert_eq!(smtp.command("AUTH PLAIN AGFubgBzZWNyZXQ="), "535 5.7.8 Wrong password");
    assert!(smtp.command("AUTH PLAIN AGJvYgBzZWNyZXQ=").starts_with("235"));
    smtp.stream.send(b"QUIT\r\n");
    assert_eq!(smtp.stream.read_to_end(), b"");
    let removed = catcher.json("DELETE", "/api/v1/faults");
    let injected: Vec<_> =
        removed["faults"].as_array().expect("a list").iter().map(|fault| fault["injected"].clone()).collect();
    assert_eq!(injected, [1, 1, 1, 1]);
    assert_eq!(catcher.json("GET", "/api/v1/faults"), json!({ "faults": [] }));
    assert!(catcher.smtp().command("QUIT").starts_with("221"));
}

/// Every command and every kind of fault, as an application with Python's smtplib sees it.
#[test]
fn smtplib_observes_every_fault() {
    let catcher = Catcher::start(&[]);
    assert!(is_installed("python3"), "`cargo xtask setup` installs python3");
    let mut command = Command::new("python3");
    command.args(["-c", include_str!("support/observe_faults.py")]);
    command.env("WEB", format!("http://{}", catcher.web)).env("SMTP_PORT", catcher.smtp.port().to_string());
    let output = run_program(&mut command, b"");
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "done\n"), "{output:?}");
}

#[test]
fn chaos_triggers_fail_like_mailpits() {
    let catcher = Catcher::start(&[]);
    let set = |triggers: &serde_json::Value| catcher.put("/api/v1/chaos", &triggers.to_string()).json();
    let chaos = set(&json!({ "Recipient": { "ErrorCode": 550, "Probability": 100 } }));
    assert_eq!(chaos["Sender"], json!({ "ErrorCode": 451, "Probability": 0 }));
    assert_eq!(chaos, catcher.json("GET", "/api/v1/chaos"));
    assert!(open(&catcher).command("RCPT TO:<bob@b.example>").starts_with("550"));
    set(&json!({ "Sender": { "Probability": 100 }, "Authentication": { "Probability": 100 } }));
    let mut smtp = catcher.smtp();
    smtp.command("EHLO client.example");
    assert!(smtp.command("AUTH PLAIN AGFubgBzZWNyZXQ=").starts_with("535"));
    assert!(smtp.command("MAIL FROM:<ann@a.example>").starts_with("451"));
    set(&json!({}));
    assert!(open(&catcher).command("RCPT TO:<bob@b.example>").starts_with("250"));
}
