//! The POP3 client machine: the transcripts in `transcripts/pop3_client`, and servers that violate the protocol.

#![allow(clippy::disallowed_methods, reason = "virtual time needs a start")]
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

mod hostile_server;
#[macro_use]
mod transcript;

use std::cell::Cell;

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step};
use mail_core::pop3::CommandError;
use mail_core::pop3::client::{Event, LoginError, Method, Session, SessionConfig, Tls};
use mail_core::sasl::Credentials;
use mail_core::time::Instant;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use hostile_server::{feed, send_random_replies};
use transcript::{Fixture, Role};

transcripts! {
    "pop3_client", User;
    auth_plain autologout connection_lost empty_message greeting_refused guide_session
    maildrop_in_use malformed_replies pipeline_limit quit_before_login quit_removal_fails stls
    stls_refused timeouts utf8 with_pipelining without_pipelining
}

/// A user whose actions are the methods of the session. Options: `tls` and `plain` (AUTH PLAIN).
struct User;

impl Fixture for User {
    type Machine = Session;

    const ROLE: Role = Role::Client;

    fn new(options: &[String], now: Instant) -> (Self, Session) {
        let mut config = SessionConfig::default();
        for option in options {
            match option.as_str() {
                "tls" => config.tls = Tls::Required,
                "plain" => config.method = Method::AuthPlain,
                _ => panic!("unknown option: {option}"),
            }
        }
        (Self, Session::new(config, now))
    }

    fn perform(&mut self, session: &mut Session, _: Instant, action: &str, argument: &str) {
        let numbers: Vec<u64> = argument.split(' ').filter_map(|word| word.parse().ok()).collect();
        let first = numbers.first().copied();
        match action {
            "login" => session.login(&credentials(argument)).unwrap(),
            "tls" => session.tls_established().unwrap(),
            "stat" => session.stat().unwrap(),
            "list" => session.list(first).unwrap(),
            "uidl" => session.uidl(first).unwrap(),
            "retr" => session.retr(numbers[0]).unwrap(),
            "top" => session.top(numbers[0], numbers[1]).unwrap(),
            "dele" => session.dele(numbers[0]).unwrap(),
            "noop" => session.noop().unwrap(),
            "rset" => session.rset().unwrap(),
            "quit" => session.quit().unwrap(),
            _ => panic!("unknown action: {action}"),
        }
    }

    /// Joins consecutive body chunks, because they depend on how the input is split.
    fn handle_event(&mut self, _: &mut Session, event: Event, log: &mut Vec<String>, _: &mut BytesMut) {
        let text = match event {
            Event::Greeting(reply) => format!("Greeting {reply}"),
            Event::Rejected(reply) => format!("Rejected {reply}"),
            Event::TlsRefused(reply) => format!("TlsRefused {reply}"),
            Event::LoggedIn(reply) => format!("LoggedIn {reply}"),
            Event::LoginRefused(reply) => format!("LoginRefused {reply}"),
            Event::Stat { count, octets } => format!("Stat {count} {octets}"),
            Event::ListItem { number, octets } => format!("ListItem {number} {octets}"),
            Event::ListEnd => "ListEnd".to_owned(),
            Event::UniqueId { number, id } => format!("UniqueId {number} {id}"),
            Event::UniqueIdEnd => "UniqueIdEnd".to_owned(),
            Event::BodyStart { number, reply } => format!("BodyStart {number} {reply}"),
            Event::Body(chunk) => match log.last_mut().filter(|last| last.starts_with("Body ")) {
                Some(last) => return last.push_str(&chunk.escape_ascii().to_string()),
                None => format!("Body {}", chunk.escape_ascii()),
            },
            Event::BodyEnd => "BodyEnd".to_owned(),
            Event::Deleted(number) => format!("Deleted {number}"),
            Event::Ok(command, reply) => format!("Ok {command} {reply}"),
            Event::Refused { command, reply } => format!("Refused {command} {reply}"),
            Event::Goodbye(reply) => format!("Goodbye {reply}"),
        };
        log.push(text);
    }
}

/// Parses `name:password`.
fn credentials(text: &str) -> Credentials {
    let (name, password) = text.split_once(':').unwrap();
    Credentials::new(name, password)
}

/// Runs a client that logs in and lists against a server that sends these replies.
fn against(config: SessionConfig, replies: &[&[u8]]) -> (Result<Step<Event>, ProtocolError>, BytesMut) {
    let now = Instant::now();
    let mut client = Session::new(config, now);
    client.login(&credentials("ag:secret")).unwrap();
    client.list(None).unwrap();
    feed(client, now, replies)
}

#[test]
fn reply_before_its_command_ends_the_session() {
    let (step, sent) = against(SessionConfig::default(), &[b"+OK hi\r\n+OK\r\n.\r\n+OK\r\n+OK\r\n"]);
    assert_eq!(step, Err(ProtocolError::Unexpected("+OK".to_owned())));
    assert_eq!(sent, "");
}

#[test]
fn plain_text_after_the_stls_reply_ends_the_session() {
    let config = SessionConfig { tls: Tls::Required, ..SessionConfig::default() };
    let (step, sent) = against(config, &[b"+OK hi\r\n", b"+OK\r\n+OK injected\r\n"]);
    assert_eq!(step, Err(ProtocolError::InjectedBeforeTls));
    assert_eq!(sent, "STLS\r\n");
}

#[test]
fn malformed_reply_ends_the_session() {
    let long_line = [b'+'; 100_000];
    let step = against(SessionConfig::default(), &[&long_line]).0;
    assert_eq!(step, Err(ProtocolError::LineTooLong));
    let long_list = [&b"+OK\r\n"[..], &b"X-MORE\r\n".repeat(10_000)].concat();
    let step = against(SessionConfig::default(), &[b"+OK hi\r\n", &long_list]).0;
    assert_eq!(step, Err(ProtocolError::MalformedReply("X-MORE".to_owned())));
    for malformed in
        [&b"hello\r\n"[..], b"\r\n", b"220 hi\r\n", b"+OKAY\r\n", b"\xff\0\r\n", b"HTTP/1.1 400 Bad\r\n"]
    {
        let step = against(SessionConfig::default(), &[malformed]).0;
        assert!(matches!(step, Err(ProtocolError::MalformedReply(_))), "{}", malformed.escape_ascii());
    }
}

#[test]
fn listing_is_reported_line_by_line_without_buffering() {
    let now = Instant::now();
    let (mut client, mut input, mut sent) =
        (Session::new(SessionConfig::default(), now), BytesMut::new(), BytesMut::new());
    client.login(&credentials("ag:secret")).unwrap();
    client.list(None).unwrap();
    for reply in [&b"+OK\r\n"[..], b"-ERR\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK\r\n"] {
        input.extend_from_slice(reply);
        while let Step::Event(_) = client.receive(now, &mut input).unwrap() {}
        client.poll_transmit(&mut sent);
    }
    for number in 1..10_000 {
        input.extend_from_slice(format!("{number} 7\r\n").as_bytes());
        let expected = Step::Event(Event::ListItem { number, octets: 7 });
        assert_eq!(client.receive(now, &mut input), Ok(expected));
        assert!(input.is_empty());
    }
}

#[test]
fn credentials_with_line_breaks_or_missing_parts_are_refused() {
    let mut client = Session::new(SessionConfig::default(), Instant::now());
    for (given, error) in [
        ("ag:x\r\nDELE 1", CommandError::BadText),
        ("a\ng:x", CommandError::BadText),
        ("ag:\0", CommandError::BadText),
        (":x", CommandError::MissingArgument),
        ("ag:", CommandError::MissingArgument),
    ] {
        assert_eq!(client.login(&credentials(given)), Err(LoginError::Credentials(error)), "{given:?}");
    }
    client.login(&credentials("ag:secret")).unwrap();
    assert!(matches!(client.login(&credentials("ag:secret")), Err(LoginError::Order(_))));
}

#[test]
fn calls_out_of_order_change_nothing() {
    let mut client = Session::new(SessionConfig::default(), Instant::now());
    assert!(client.tls_established().is_err());
    client.quit().unwrap();
    assert!(client.quit().is_err() && client.retr(1).is_err());
    assert!(matches!(client.login(&credentials("ag:secret")), Err(LoginError::Order(_))));
    assert_eq!(client.outstanding(), 2, "the greeting and QUIT");
}

#[test]
fn client_survives_random_replies() {
    let replies = [
        "+OK 1 2\r\n",
        "+OK 1 2\r\n",
        "+OK 1 2\r\n",
        "+OK 1 2\r\n",
        "-ERR\r\n",
        "+ \r\n",
        ".\r\n",
        "PIPELINING\r\n",
        "UTF8\r\n",
        "1 2\r\n",
        "..\r\n",
        "+",
        "\n",
        "x",
    ];
    let login = ["+OK\r\n", "-ERR\r\n", "+OK\r\n", "+OK\r\n"];
    let stls = ["+OK\r\n", "+OK\r\n", "-ERR\r\n", "+OK\r\n", "+OK\r\n"];
    let auth = ["+OK\r\n", "-ERR\r\n", "+ \r\n", "+OK\r\n"];
    for (options, opening) in [(&[][..], &login[..]), (&["tls"], &stls), (&["plain"], &auth)] {
        let opening = [opening, &["+OK 1 2\r\n", "..\r\n"]].concat();
        let fetched = Cell::new(0);
        send_random_replies::<User>(options, &opening, &replies, |client, event| match event {
            None => client.login(&credentials("ag:secret")).unwrap(),
            Some(Event::LoginRefused(_)) => client.login(&credentials("ag:other")).unwrap(),
            Some(Event::LoggedIn(_)) => {
                client.retr(1).unwrap();
                client.list(None).unwrap();
                client.uidl(Some(1)).unwrap();
                client.stat().unwrap();
                client.quit().unwrap();
            }
            Some(Event::BodyEnd) => fetched.set(fetched.get() + 1),
            Some(_) => {}
        });
        assert!(fetched.get() > 100, "options {options:?}: only {} messages", fetched.get());
    }
}
