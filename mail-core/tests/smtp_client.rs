//! The SMTP client machine: the transcripts in `transcripts/smtp_client`, and servers that violate the protocol.

#![allow(clippy::disallowed_methods, reason = "virtual time needs a start")]
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

mod hostile_server;
#[macro_use]
mod transcript;

use std::cell::Cell;

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step};
use mail_core::message::address::{ForwardPath, ReversePath};
use mail_core::sasl::Credentials;
use mail_core::smtp::client::{BodyError, Envelope, Event, Submission, SubmissionConfig, Tls};
use mail_core::smtp::command::HelloName;
use mail_core::smtp::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
use mail_core::smtp::parameter::Recipient;
use mail_core::time::Instant;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use hostile_server::{feed, send_random_replies};
use transcript::{Fixture, Role};

transcripts! {
    "smtp_client", User;
    all_recipients_refused all_recipients_refused_data_accepted auth_extra_challenge auth_login
    auth_not_offered auth_required auth_retry auth_without_initial_response body_encoding
    connection_lost data_refused dsn extension_not_offered greeting_refused guide_session hello_refused
    mail_refused message_cancelled message_refused pipeline_limit refusal_during_body reply_421 require_tls
    some_recipients_refused starttls starttls_not_offered starttls_refused timeouts with_pipelining
    without_pipelining
}

/// A user whose actions are the methods of the submission. Options: `tls`, `auth-required` and
/// `credentials NAME:PASSWORD`.
struct User;

impl Fixture for User {
    type Machine = Submission;

    const ROLE: Role = Role::Client;

    fn new(options: &[String], now: Instant) -> (Self, Submission) {
        let mut config = config();
        for option in options {
            match option.split_once(' ').unwrap_or((option, "")) {
                ("tls", "") => config.tls = Tls::Required,
                ("auth-required", "") => config.auth_required = true,
                ("credentials", text) => config.credentials = Some(credentials(text)),
                _ => panic!("unknown option: {option}"),
            }
        }
        (Self, Submission::new(config, now))
    }

    fn perform(&mut self, submission: &mut Submission, _: Instant, action: &str, argument: &str) {
        match action {
            "send" => submission.send(envelope(argument)).unwrap(),
            "login" => submission.login(credentials(argument)).unwrap(),
            "body" => submission.body(argument.as_bytes()).unwrap(),
            "end" => submission.body_end().unwrap(),
            "tls" => submission.tls_established().unwrap(),
            "quit" => submission.quit(),
            "cancel" => submission.cancel(),
            _ => panic!("unknown action: {action}"),
        }
    }

    fn handle_event(&mut self, _: &mut Submission, event: Event, log: &mut Vec<String>, _: &mut BytesMut) {
        log.push(match event {
            Event::Greeting(reply) => format!("Greeting {reply}"),
            Event::Ready { authenticated: true, .. } => "Ready authenticated".to_owned(),
            Event::Ready { authenticated: false, .. } => "Ready".to_owned(),
            Event::LoginRequired => "LoginRequired".to_owned(),
            Event::LoginRefused(reply) => format!("LoginRefused {reply}"),
            Event::Rejected { stage, reply } => format!("Rejected {stage:?} {reply}"),
            Event::MissingCapability(missing) => format!("MissingCapability {missing:?}"),
            Event::RecipientRefused { index, reply } => format!("RecipientRefused {index} {reply}"),
            Event::SendBody => "SendBody".to_owned(),
            Event::Sent(reply) => format!("Sent {reply}"),
            Event::Refused { stage, reply } => format!("Refused {stage:?} {reply}"),
            Event::Goodbye(reply) => format!("Goodbye {reply}"),
        });
    }
}

fn config() -> SubmissionConfig {
    SubmissionConfig {
        hello: HelloName::parse("iit.edu").unwrap(),
        tls: Tls::Never,
        credentials: None,
        auth_required: false,
    }
}

/// Parses `name:password`; the password `long` stands for one of 400 octets.
fn credentials(text: &str) -> Credentials {
    let (name, password) = text.split_once(':').unwrap();
    let password = if password == "long" { "x".repeat(400) } else { password.to_owned() };
    Credentials::new(name, password)
}

/// Parses `ag@iit.edu gb@iit.edu,x@iit.edu size=10 8bit utf8 ret=FULL envid=x requiretls notify=NEVER orcpt=rfc822;x`.
/// `<>` is the null path; a number stands for that many recipients. The last two are for the first recipient.
fn envelope(text: &str) -> Envelope {
    let mut words = text.split_whitespace();
    let (reverse_path, recipients) = (words.next().unwrap(), words.next().unwrap());
    let recipients: Vec<String> = match recipients.parse::<usize>() {
        Ok(count) => (0..count).map(|index| format!("u{index}@iit.edu")).collect(),
        Err(_) => recipients.split(',').map(str::to_owned).collect(),
    };
    let words: Vec<_> = words.collect();
    let value = |name| words.iter().find_map(|word| word.strip_prefix(name));
    let path = |path: &String| Recipient::from(ForwardPath::parse(path.as_bytes()).unwrap().0);
    let mut recipients: Vec<_> = recipients.iter().map(path).collect();
    if let Some(first) = recipients.first_mut() {
        first.parameters.notify = value("notify=").and_then(Notify::parse);
        first.parameters.orcpt = value("orcpt=").and_then(OriginalRecipient::parse);
    }
    Envelope {
        reverse_path: ReversePath::parse(reverse_path.as_bytes()).unwrap().0,
        recipients,
        size: value("size=").map(|size| size.parse().unwrap()),
        eight_bit: words.contains(&"8bit"),
        utf8: words.contains(&"utf8"),
        ret: value("ret=").and_then(Ret::parse),
        envid: value("envid=").and_then(EnvelopeId::parse),
        require_tls: words.contains(&"requiretls"),
    }
}

/// Runs a client without a message against a server that sends these replies.
fn against(config: SubmissionConfig, replies: &[&[u8]]) -> (Result<Step<Event>, ProtocolError>, BytesMut) {
    let now = Instant::now();
    feed(Submission::new(config, now), now, replies)
}

#[test]
fn reply_before_its_command_ends_the_session() {
    let (step, sent) = against(config(), &[b"220 hi\r\n250 hello\r\n"]);
    assert_eq!(step, Err(ProtocolError::Unexpected("250 hello".to_owned())));
    assert_eq!(sent, "");
    let (step, _) = against(config(), &[b"220 hi\r\n", b"250 hello\r\n250 and more\r\n"]);
    assert_eq!(step, Err(ProtocolError::Unexpected("250 and more".to_owned())));
}

#[test]
fn plain_text_after_the_starttls_reply_ends_the_session() {
    let config = SubmissionConfig { tls: Tls::Required, ..config() };
    let hello = b"250-hi\r\n250 STARTTLS\r\n";
    let (step, sent) = against(config, &[b"220 hi\r\n", hello, b"220 go\r\n250 injected\r\n"]);
    assert_eq!(step, Err(ProtocolError::InjectedBeforeTls));
    assert_eq!(sent, "EHLO iit.edu\r\nSTARTTLS\r\n");
}

#[test]
fn malformed_reply_ends_the_session() {
    let long_line = [b'2'; 100_000];
    assert_eq!(against(config(), &[&long_line]).0, Err(ProtocolError::LineTooLong));
    let long_reply = b"220-more\r\n".repeat(10_000);
    assert!(matches!(against(config(), &[&long_reply]).0, Err(ProtocolError::MalformedReply(_))));
    for malformed in
        [&b"hello\r\n"[..], b"\r\n", b"99 x\r\n", b"220-a\r\n250 b\r\n", b"\xff\xff\xff\r\n", b"150 x\r\n"]
    {
        let step = against(config(), &[malformed]).0;
        assert!(matches!(step, Err(ProtocolError::MalformedReply(_))), "{}", malformed.escape_ascii());
    }
    let step = against(config(), &[b"354 go ahead\r\n"]).0;
    assert_eq!(step, Err(ProtocolError::Unexpected("354 go ahead".to_owned())));
}

/// A client that waits for the message body.
fn client_at_body() -> (Submission, BytesMut) {
    let now = Instant::now();
    let (mut client, mut input, mut sent) =
        (Submission::new(config(), now), BytesMut::new(), BytesMut::new());
    client.send(envelope("ag@iit.edu gb@iit.edu")).unwrap();
    for reply in ["220 hi\r\n", "250 hello\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        input.extend_from_slice(reply.as_bytes());
        while let Step::Event(_) = client.receive(now, &mut input).unwrap() {}
        client.poll_transmit(&mut sent);
    }
    (client, BytesMut::new())
}

#[test]
fn body_cannot_contain_an_end_of_data() {
    for text in [
        "\n.\r\nMAIL FROM:<x@y>",
        "\r.\r",
        "\r\n.\r\n",
        "\n.\n",
        "\r\n.\n",
        "\r\r\n.\r\n",
        ".\r\n",
        ".\n",
        "\r\n.\r",
    ] {
        for cut in 0..=text.len() {
            let (mut client, mut sent) = client_at_body();
            client.body(&text.as_bytes()[..cut]).unwrap();
            client.body(&text.as_bytes()[cut..]).unwrap();
            client.body_end().unwrap();
            client.poll_transmit(&mut sent);
            let sent = String::from_utf8(sent.to_vec()).unwrap();
            let (body, rest) = sent.split_at(sent.len() - 3);
            assert_eq!(rest, ".\r\n", "{text:?}");
            assert!(!body.starts_with(".\r\n") && !body.contains("\r\n.\r\n"), "{text:?} became {sent:?}");
            assert!(!body.replace("\r\n", "").contains(['\r', '\n']), "{text:?} became {sent:?}");
        }
    }
}

#[test]
fn body_with_nul_is_refused_and_not_sent() {
    let (mut client, mut sent) = client_at_body();
    assert_eq!(client.body(b"a\0b"), Err(BodyError::Nul));
    client.poll_transmit(&mut sent);
    assert_eq!(sent, "");
    client.cancel();
    client.poll_transmit(&mut sent);
    assert_eq!(sent, "");
    assert_eq!(client.receive(Instant::now(), &mut BytesMut::new()), Ok(Step::Closed));
}

#[test]
fn calls_out_of_order_change_nothing() {
    let (mut client, mut sent) = client_at_body();
    assert!(client.tls_established().is_err() && client.login(credentials("a:b")).is_err());
    assert!(client.send(Envelope { recipients: vec![], ..envelope("<> gb@iit.edu") }).is_err());
    client.body_end().unwrap();
    assert!(matches!(client.body(b"more"), Err(BodyError::Order(_))));
    assert!(client.body_end().is_err());
    client.quit();
    assert!(client.send(envelope("<> gb@iit.edu")).is_err());
    client.poll_transmit(&mut sent);
    assert_eq!(sent, ".\r\n");
}

#[test]
fn wants_body_until_the_output_buffer_is_full() {
    let (mut client, mut sent) = client_at_body();
    let mut octets = 0;
    while client.wants_body() {
        client.body(&[b'x'; 10_000]).unwrap();
        octets += 10_000;
    }
    assert!((200_000..400_000).contains(&octets) && client.pending_octets() == octets);
    client.poll_transmit(&mut sent);
    assert!(client.wants_body() && client.pending_octets() == 0);
}

#[test]
fn client_survives_random_replies() {
    let replies = [
        "220 hi\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "250-hi\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-AUTH LOGIN\r\n250 SIZE 9\r\n",
        "235 in\r\n",
        "334 \r\n",
        "354 go\r\n",
        "450 no\r\n",
        "550 no\r\n",
        "421 bye\r\n",
        "250-",
        "\n",
        "x",
    ];
    let plain = ["220 hi\r\n", "250 hi\r\n"];
    let starttls = ["220 hi\r\n", "250-hi\r\n250 STARTTLS\r\n", "220 go\r\n", "250 hi\r\n"];
    let auth = ["220 hi\r\n", "250-hi\r\n250 AUTH PLAIN\r\n", "535 no\r\n", "235 in\r\n"];
    for (options, opening) in
        [(&[][..], &plain[..]), (&["tls"], &starttls), (&["credentials ag:secret"], &auth)]
    {
        let opening =
            [opening, &["250 ok\r\n", "550 no\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"]].concat();
        let sent = Cell::new(0);
        send_random_replies::<User>(options, &opening, &replies, |client, event| match event {
            None => (0..3).for_each(|_| client.send(envelope("ag@iit.edu gb@iit.edu,x@iit.edu")).unwrap()),
            Some(Event::LoginRefused(_)) => client.login(credentials("ag:other")).unwrap(),
            Some(Event::SendBody) => {
                client.body(b"hello\n").unwrap();
                client.body_end().unwrap();
            }
            Some(Event::Sent(_)) => {
                sent.set(sent.get() + 1);
                client.quit();
            }
            Some(_) => {}
        });
        assert!(sent.get() > 100, "options {options:?}: only {} messages", sent.get());
    }
}
