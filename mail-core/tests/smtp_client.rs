//! The SMTP client's machine against transcripts, and against servers that mean it harm.

#![allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic, in its helpers too")]

mod player;
#[macro_use]
mod transcripts;

use std::cell::Cell;

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step};
use mail_core::message::address::{ForwardPath, ReversePath};
use mail_core::sasl::Credentials;
use mail_core::smtp::client::{BodyError, Envelope, Event, Submission, SubmissionConfig, Tls};
use mail_core::smtp::command::HelloName;
use mail_core::time::Instant;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use player::{Client, babble, play};

transcripts! {
    "smtp_client", play::<Submission>;
    guide pipelined one_by_one many_recipients body_text
    mail_refused some_recipients_refused no_recipient_left no_recipient_left_354 data_refused body_refused
    greeting_refused hello_refused starttls starttls_missing starttls_refused
    auth_plain auth_login auth_long auth_missing auth_wanted auth_endless lacking
    closing_421 early_refusal lost timeouts cancelled
}

impl Client for Submission {
    fn with_options(options: &str, now: Instant) -> Self {
        let mut config = config();
        for word in options.split_whitespace() {
            match word.split_once('=').unwrap_or((word, "")) {
                ("tls", _) => config.tls = Tls::Required,
                ("auth", "") => config.auth_required = true,
                ("auth", given) => config.credentials = Some(credentials(given)),
                _ => panic!("{word} is no option"),
            }
        }
        Self::new(config, now)
    }

    fn perform(&mut self, action: &str, argument: &str) {
        match action {
            "send" => self.send(envelope(argument)).unwrap(),
            "login" => self.login(credentials(argument)).unwrap(),
            "body" => self.body(argument.as_bytes()).unwrap(),
            "end" => self.body_end().unwrap(),
            "tls" => self.tls_established().unwrap(),
            "quit" => self.quit(),
            "cancel" => self.cancel(),
            _ => panic!("{action} is no action"),
        }
    }

    fn describe(event: &Event) -> String {
        match event {
            Event::Greeting(reply) => format!("Greeting {reply}"),
            Event::Ready { authenticated, .. } => {
                format!("Ready{}", if *authenticated { " authenticated" } else { "" })
            }
            Event::LoginWanted => "LoginWanted".to_owned(),
            Event::LoginRefused(reply) => format!("LoginRefused {reply}"),
            Event::Rejected { stage, reply } => format!("Rejected {stage:?} {reply}"),
            Event::Lacking(lack) => format!("Lacking {lack:?}"),
            Event::RecipientRefused { index, reply } => format!("RecipientRefused {index} {reply}"),
            Event::SendBody => "SendBody".to_owned(),
            Event::Sent(reply) => format!("Sent {reply}"),
            Event::Refused { stage, reply } => format!("Refused {stage:?} {reply}"),
            Event::Goodbye(reply) => format!("Goodbye {reply}"),
        }
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

fn credentials(given: &str) -> Credentials {
    let (name, password) = given.split_once(':').unwrap();
    let password = if password == "long" { "x".repeat(400) } else { password.to_owned() };
    Credentials::new(name, password)
}

/// `ag@iit.edu gb@iit.edu,x@iit.edu size=10 8bit utf8`; `<>` for the null path, `30` for so many recipients.
fn envelope(text: &str) -> Envelope {
    let mut words = text.split_whitespace();
    let (reverse_path, recipients) = (words.next().unwrap(), words.next().unwrap());
    let recipients: Vec<String> = match recipients.parse::<usize>() {
        Ok(count) => (0..count).map(|index| format!("u{index}@iit.edu")).collect(),
        Err(_) => recipients.split(',').map(str::to_owned).collect(),
    };
    let words: Vec<_> = words.collect();
    Envelope {
        reverse_path: ReversePath::parse(reverse_path.as_bytes()).unwrap().0,
        recipients: recipients.iter().map(|path| ForwardPath::parse(path.as_bytes()).unwrap().0).collect(),
        size: words.iter().find_map(|word| word.strip_prefix("size=")).map(|size| size.parse().unwrap()),
        eight_bit: words.contains(&"8bit"),
        utf8: words.contains(&"utf8"),
    }
}

/// What the client says to a server that says all of this at once, whatever it is asked.
fn against(config: SubmissionConfig, server: &[&[u8]]) -> (Result<Step<Event>, ProtocolError>, BytesMut) {
    let now = Instant::now();
    let (mut client, mut input, mut sent) = (Submission::new(config, now), BytesMut::new(), BytesMut::new());
    for said in server {
        input.extend_from_slice(said);
        loop {
            match client.receive(now, &mut input) {
                Ok(Step::Event(_)) => {}
                Ok(Step::NeedInput) => break,
                last => {
                    assert_eq!(client.receive(now, &mut input), Ok(Step::Closed));
                    assert_eq!(client.poll_timeout(), None);
                    return (last, sent);
                }
            }
        }
        client.poll_transmit(&mut sent);
    }
    (Ok(Step::NeedInput), sent)
}

#[test]
fn replies_before_their_commands_end_the_session() {
    let (step, sent) = against(config(), &[b"220 hi\r\n250 hello\r\n"]);
    assert_eq!(step, Err(ProtocolError::Unexpected("250 hello".to_owned())));
    assert_eq!(sent, "");
    let (step, _) = against(config(), &[b"220 hi\r\n", b"250 hello\r\n250 and more\r\n"]);
    assert_eq!(step, Err(ProtocolError::Unexpected("250 and more".to_owned())));
}

#[test]
fn plain_text_behind_the_answer_to_starttls_ends_the_session() {
    let config = SubmissionConfig { tls: Tls::Required, ..config() };
    let hello = b"250-hi\r\n250 STARTTLS\r\n";
    let (step, sent) = against(config, &[b"220 hi\r\n", hello, b"220 go\r\n250 injected\r\n"]);
    assert_eq!(step, Err(ProtocolError::InjectedBeforeTls));
    assert_eq!(sent, "EHLO iit.edu\r\nSTARTTLS\r\n");
}

#[test]
fn endless_and_senseless_replies_end_the_session() {
    let endless_line = [b'2'; 100_000];
    assert_eq!(against(config(), &[&endless_line]).0, Err(ProtocolError::LineTooLong));
    let endless_reply = b"220-more\r\n".repeat(10_000);
    assert!(matches!(against(config(), &[&endless_reply]).0, Err(ProtocolError::MalformedReply(_))));
    for senseless in
        [&b"hello\r\n"[..], b"\r\n", b"99 x\r\n", b"220-a\r\n250 b\r\n", b"\xff\xff\xff\r\n", b"150 x\r\n"]
    {
        let step = against(config(), &[senseless]).0;
        assert!(matches!(step, Err(ProtocolError::MalformedReply(_))), "{}", senseless.escape_ascii());
    }
    let step = against(config(), &[b"354 go ahead\r\n"]).0;
    assert_eq!(step, Err(ProtocolError::Unexpected("354 go ahead".to_owned())));
}

/// A client that waits for its body.
fn at_body() -> (Submission, BytesMut) {
    let now = Instant::now();
    let (mut client, mut input, mut sent) =
        (Submission::new(config(), now), BytesMut::new(), BytesMut::new());
    client.send(envelope("ag@iit.edu gb@iit.edu")).unwrap();
    for said in ["220 hi\r\n", "250 hello\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        input.extend_from_slice(said.as_bytes());
        while let Step::Event(_) = client.receive(now, &mut input).unwrap() {}
        client.poll_transmit(&mut sent);
    }
    (client, BytesMut::new())
}

#[test]
fn no_text_can_end_a_message_early() {
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
            let (mut client, mut sent) = at_body();
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
fn a_nul_is_refused_and_nothing_of_it_is_sent() {
    let (mut client, mut sent) = at_body();
    assert_eq!(client.body(b"a\0b"), Err(BodyError::Nul));
    client.poll_transmit(&mut sent);
    assert_eq!(sent, "");
    client.cancel();
    client.poll_transmit(&mut sent);
    assert_eq!(sent, "");
    assert_eq!(client.receive(Instant::now(), &mut BytesMut::new()), Ok(Step::Closed));
}

#[test]
fn what_is_called_out_of_order_changes_nothing() {
    let (mut client, mut sent) = at_body();
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
fn a_driver_is_told_when_to_bring_more() {
    let (mut client, mut sent) = at_body();
    let mut brought = 0;
    while client.wants_body() {
        client.body(&[b'x'; 10_000]).unwrap();
        brought += 10_000;
    }
    assert!((200_000..400_000).contains(&brought) && client.pending_octets() == brought);
    client.poll_transmit(&mut sent);
    assert!(client.wants_body() && client.pending_octets() == 0);
}

#[test]
fn a_babbling_server_does_no_harm() {
    let words = [
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
    for (options, opening) in [("", &plain[..]), ("tls", &starttls), ("auth=ag:secret", &auth)] {
        let opening =
            [opening, &["250 ok\r\n", "550 no\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"]].concat();
        let sent = Cell::new(0);
        babble::<Submission>(options, &opening, &words, |client, event| match event {
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
        assert!(sent.get() > 100, "with {options:?} no babble came as far as a message");
    }
}
