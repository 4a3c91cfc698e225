//! The POP3 client's machine against transcripts, and against servers that mean it harm.

#![allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic, in its helpers too")]

mod player;
#[macro_use]
mod transcripts;

use std::cell::Cell;

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step};
use mail_core::pop3::CommandError;
use mail_core::pop3::client::{Event, LoginError, Method, Session, SessionConfig, Tls};
use mail_core::sasl::Credentials;
use mail_core::time::Instant;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use player::{Client, babble, play};

transcripts! {
    "pop3_client", play::<Session>;
    guide one_by_one pipelined many_commands empty_message
    in_use quit_first utf8 auth_plain stls stls_refused rejected
    autologout quit_refused lost timeouts malformed
}

impl Client for Session {
    fn with_options(options: &str, now: Instant) -> Self {
        let mut config = SessionConfig::default();
        for word in options.split_whitespace() {
            match word {
                "tls" => config.tls = Tls::Required,
                "plain" => config.method = Method::AuthPlain,
                _ => panic!("{word} is no option"),
            }
        }
        Self::new(config, now)
    }

    fn perform(&mut self, action: &str, argument: &str) {
        let numbers: Vec<u64> = argument.split(' ').filter_map(|word| word.parse().ok()).collect();
        let first = numbers.first().copied();
        match action {
            "login" => self.login(&credentials(argument)).unwrap(),
            "tls" => self.tls_established().unwrap(),
            "stat" => self.stat().unwrap(),
            "list" => self.list(first).unwrap(),
            "uidl" => self.uidl(first).unwrap(),
            "retr" => self.retr(numbers[0]).unwrap(),
            "top" => self.top(numbers[0], numbers[1]).unwrap(),
            "dele" => self.dele(numbers[0]).unwrap(),
            "noop" => self.noop().unwrap(),
            "rset" => self.rset().unwrap(),
            "quit" => self.quit().unwrap(),
            _ => panic!("{action} is no action"),
        }
    }

    fn describe(event: &Event) -> String {
        match event {
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
            Event::Body(text) => format!("Body {}", text.escape_ascii()),
            Event::BodyEnd => "BodyEnd".to_owned(),
            Event::Deleted(number) => format!("Deleted {number}"),
            Event::Ok(command, reply) => format!("Ok {command} {reply}"),
            Event::Refused { command, reply } => format!("Refused {command} {reply}"),
            Event::Goodbye(reply) => format!("Goodbye {reply}"),
        }
    }
}

fn credentials(given: &str) -> Credentials {
    let (name, password) = given.split_once(':').unwrap();
    Credentials::new(name, password)
}

/// What a client makes of a server that says all of this, whatever it is asked.
fn against(config: SessionConfig, server: &[&[u8]]) -> (Result<Step<Event>, ProtocolError>, BytesMut) {
    let now = Instant::now();
    let (mut client, mut input, mut sent) = (Session::new(config, now), BytesMut::new(), BytesMut::new());
    client.login(&credentials("ag:secret")).unwrap();
    client.list(None).unwrap();
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
    let (step, sent) = against(SessionConfig::default(), &[b"+OK hi\r\n+OK\r\n.\r\n+OK\r\n+OK\r\n"]);
    assert_eq!(step, Err(ProtocolError::Unexpected("+OK".to_owned())));
    assert_eq!(sent, "");
}

#[test]
fn plain_text_behind_the_answer_to_stls_ends_the_session() {
    let config = SessionConfig { tls: Tls::Required, ..SessionConfig::default() };
    let (step, sent) = against(config, &[b"+OK hi\r\n", b"+OK\r\n+OK injected\r\n"]);
    assert_eq!(step, Err(ProtocolError::InjectedBeforeTls));
    assert_eq!(sent, "STLS\r\n");
}

#[test]
fn endless_and_senseless_replies_end_the_session() {
    let endless_line = [b'+'; 100_000];
    let step = against(SessionConfig::default(), &[&endless_line]).0;
    assert_eq!(step, Err(ProtocolError::LineTooLong));
    let endless_list = [&b"+OK\r\n"[..], &b"X-MORE\r\n".repeat(10_000)].concat();
    let step = against(SessionConfig::default(), &[b"+OK hi\r\n", &endless_list]).0;
    assert_eq!(step, Err(ProtocolError::MalformedReply("X-MORE".to_owned())));
    for senseless in
        [&b"hello\r\n"[..], b"\r\n", b"220 hi\r\n", b"+OKAY\r\n", b"\xff\0\r\n", b"HTTP/1.1 400 Bad\r\n"]
    {
        let step = against(SessionConfig::default(), &[senseless]).0;
        assert!(matches!(step, Err(ProtocolError::MalformedReply(_))), "{}", senseless.escape_ascii());
    }
}

#[test]
fn a_listing_is_told_as_it_comes_and_never_gathered() {
    let now = Instant::now();
    let (mut client, mut input, mut sent) =
        (Session::new(SessionConfig::default(), now), BytesMut::new(), BytesMut::new());
    client.login(&credentials("ag:secret")).unwrap();
    client.list(None).unwrap();
    for said in [&b"+OK\r\n"[..], b"-ERR\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK\r\n"] {
        input.extend_from_slice(said);
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
fn credentials_that_would_be_commands_are_refused() {
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
fn what_is_called_out_of_order_changes_nothing() {
    let mut client = Session::new(SessionConfig::default(), Instant::now());
    assert!(client.tls_established().is_err());
    client.quit().unwrap();
    assert!(client.quit().is_err() && client.retr(1).is_err());
    assert!(matches!(client.login(&credentials("ag:secret")), Err(LoginError::Order(_))));
    assert_eq!(client.outstanding(), 2, "the greeting and QUIT");
}

#[test]
fn a_babbling_server_does_no_harm() {
    let words = [
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
    for (options, opening) in [("", &login[..]), ("tls", &stls), ("plain", &auth)] {
        let opening = [opening, &["+OK 1 2\r\n", "..\r\n"]].concat();
        let fetched = Cell::new(0);
        babble::<Session>(options, &opening, &words, |client, event| match event {
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
        assert!(fetched.get() > 100, "with {options:?} no babble came as far as a message");
    }
}
