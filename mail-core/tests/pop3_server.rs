//! The POP3 server machine: the transcripts in `transcripts/pop3_server`, and tests that depend on time or on how bytes
//! arrive.

#![allow(clippy::disallowed_methods, reason = "virtual time needs a start")]
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]
#![allow(missing_docs, reason = "a test binary has no public docs")]

#[macro_use]
mod transcript;

use std::sync::Arc;

use bytes::BytesMut;
use mail_core::dot::DotEncoder;
use mail_core::machine::{Machine as _, OUTPUT_OCTETS_MAX, ProtocolError, Step};
use mail_core::pop3::limits::{AUTOLOGOUT, COMMANDS_MAX, COMMANDS_PER_MESSAGE};
use mail_core::pop3::server::{Config, Event, Lookup, Server, replies};
use mail_core::pop3::{Reply, TopLimiter};
use mail_core::sasl::{AuthOffer, Credentials};
use mail_core::time::{Duration, Instant};
use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use transcript::{Fixture, Role, transmitted};

transcripts! {
    "pop3_server", Script;
    argument_with_invalid_octets auth_mechanisms auth_plain_challenge auth_plain_initial_response
    autologout autologout_after_greeting autologout_during_line capa command_syntax
    command_with_bare_lf commands_before_login consecutive_errors_limit disconnect_before_login
    disconnect_without_quit guide_session line_length_limit list login_attempts_limit
    login_on_secure_connection login_refused login_without_tls_unavailable pass_with_spaces
    quit_removal_fails retr rset_noop shutdown_between_commands
    shutdown_during_handshake stls store_error store_error_during_message top uidl utf8
}

/// The messages of every maildrop except gb's.
const MESSAGES: [&str; 3] = [
    "From: <gb@iit.edu>\r\nSubject: One\r\n\r\nfirst\r\nsecond\r\n",
    "Subject: Dots\r\n\r\n.\r\n.dot\r\n",
    "Subject: Empty\r\n\r\n",
];

/// A policy with one account per situation:
///
/// | account | situation |
/// |---|---|
/// | ag | everything succeeds |
/// | gb | the maildrop is empty, the password is ` two words ` |
/// | busy | another session has the maildrop |
/// | hasty | the last login was too recent |
/// | broken | reading fails |
/// | torn | reading fails during a message |
/// | stuck | removal fails |
/// | utf8 | the last message requires UTF8 |
///
/// Options: `stls`, `secure`, `auth never|when-secure`, `login-delay SECONDS` and `implementation NAME`. The action
/// `tls` completes the handshake and `shutdown` shuts down.
struct Script;

/// Options that a transcript does not set.
fn default_config() -> Config {
    Config { stls: false, auth: AuthOffer::Always, login_delay: None, implementation: None }
}

fn server(now: Instant) -> Server {
    Server::new(Arc::new(default_config()), false, now)
}

impl Fixture for Script {
    type Machine = Server;

    const ROLE: Role = Role::Server;

    fn new(options: &[String], now: Instant) -> (Self, Server) {
        let (mut config, mut secure) = (default_config(), false);
        for option in options {
            match option.split_once(' ').unwrap_or((option, "")) {
                ("stls", "") => config.stls = true,
                ("secure", "") => secure = true,
                ("auth", "never") => config.auth = AuthOffer::Never,
                ("auth", "when-secure") => config.auth = AuthOffer::WhenSecure,
                ("login-delay", seconds) => config.login_delay = Some(seconds.parse().unwrap()),
                ("implementation", name) => config.implementation = Some(name.to_owned()),
                _ => panic!("unknown option: {option}"),
            }
        }
        (Self, Server::new(Arc::new(config), secure, now))
    }

    fn perform(&mut self, machine: &mut Server, now: Instant, action: &str, _: &str) {
        match action {
            "tls" => machine.tls_established(now),
            "shutdown" => machine.shutdown(),
            _ => panic!("unknown action: {action}"),
        }
    }

    fn handle_event(
        &mut self,
        machine: &mut Server,
        event: Event,
        log: &mut Vec<String>,
        out: &mut BytesMut,
    ) {
        let user = machine.user().map(str::to_owned);
        let user = user.as_deref().unwrap_or_default();
        log.push(describe(&event));
        match event {
            Event::User(name) => match name.as_str() {
                "ag" | "gb" | "busy" | "hasty" | "broken" | "torn" | "stuck" | "utf8" => machine.accept(),
                _ => machine.reject(replies::UNKNOWN_USER),
            },
            Event::Authenticate(credentials) => authenticate(machine, &credentials),
            Event::List
            | Event::UniqueIds
            | Event::Lookup { .. }
            | Event::Retrieve { .. }
            | Event::Top { .. }
                if user == "broken" =>
            {
                machine.reject(replies::STORE_FAILED);
            }
            Event::List | Event::UniqueIds => {
                machine.begin();
                for (number, message) in (1..).zip(messages(user)) {
                    machine.poll_transmit(out);
                    match event {
                        Event::List => machine.item(number, octets(message)),
                        _ => machine.unique_id(number, &format!("id-{number}")),
                    }
                }
                machine.finish();
            }
            Event::Lookup { number, .. } => machine.entry(octets(message(number)), &format!("id-{number}")),
            Event::Retrieve { number } if user == "torn" => {
                begin(machine, number, out);
                out.extend_from_slice(
                    message(number).split_inclusive('\n').next().unwrap_or_default().as_bytes(),
                );
                machine.abort();
            }
            Event::Retrieve { number } => {
                begin(machine, number, out);
                out.extend_from_slice(&stuffed(message(number)));
                machine.finish();
            }
            Event::Top { number, lines } => {
                begin(machine, number, out);
                let mut top = TopLimiter::new(lines);
                for chunk in stuffed(message(number)).chunks(7) {
                    out.extend_from_slice(&chunk[..top.take(chunk)]);
                }
                machine.finish();
            }
            Event::Quit { .. } if user == "stuck" => machine.reject(replies::NOT_REMOVED),
            Event::Quit { .. } => machine.removed(),
        }
    }
}

fn authenticate(
    machine: &mut Server,
    Credentials { authorization_id, authentication_id, password }: &Credentials,
) {
    let correct = if authentication_id == "gb" { " two words " } else { "secret" };
    let own_identity = authorization_id.is_empty() || authorization_id == authentication_id;
    if !own_identity || password.expose() != correct {
        return machine.reject(replies::WRONG_CREDENTIALS);
    }
    match authentication_id.as_str() {
        "busy" => machine.reject(replies::IN_USE),
        "hasty" => machine.reject(replies::LOGIN_DELAY),
        user => {
            let messages = messages(user);
            machine.opened(messages.len() as u64, messages.iter().copied().map(octets).sum());
        }
    }
}

/// Writes the first line to `out` before the message, as a driver does.
fn begin(machine: &mut Server, number: u64, out: &mut BytesMut) {
    machine.begin_body(octets(message(number)));
    machine.poll_transmit(out);
}

fn describe(event: &Event) -> String {
    match event {
        Event::User(name) => format!("user {name}"),
        Event::Authenticate(c) => {
            format!("authenticate {}/{}/{}", c.authorization_id, c.authentication_id, c.password.expose())
        }
        Event::List => "list".to_owned(),
        Event::UniqueIds => "unique-ids".to_owned(),
        Event::Lookup { number, purpose } => format!("look {number} {purpose:?}"),
        Event::Retrieve { number } => format!("retrieve {number}"),
        Event::Top { number, lines } => format!("top {number} {lines}"),
        Event::Quit { marked } => format!("quit {marked:?}"),
    }
}

fn messages(user: &str) -> &'static [&'static str] {
    if user == "gb" { &[] } else { &MESSAGES }
}

fn message(number: u64) -> &'static str {
    MESSAGES[usize::try_from(number).unwrap() - 1]
}

fn octets(message: &str) -> u64 {
    message.len() as u64
}

fn stuffed(message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    DotEncoder::default().encode(message.as_bytes(), &mut out);
    out
}

/// The server's output and events for `wire`, which arrives in pieces of `length` octets.
fn exchange(wire: &[u8], length: usize) -> (String, Vec<String>) {
    let text = |out: BytesMut| String::from_utf8(out.to_vec()).expect("replies are UTF-8");
    let now = Instant::now();
    let mut machine = server(now);
    let (mut input, mut out, mut events) = (BytesMut::new(), BytesMut::new(), Vec::new());
    machine.poll_transmit(&mut out);
    for piece in wire.chunks(length) {
        input.extend_from_slice(piece);
        loop {
            let step = machine.receive(now, &mut input);
            machine.poll_transmit(&mut out);
            match step {
                Ok(Step::Event(event)) => Script.handle_event(&mut machine, event, &mut events, &mut out),
                Ok(Step::NeedInput) => break,
                Ok(Step::Paused | Step::UpgradeTls) => panic!("unexpected step: {step:?}"),
                Ok(Step::Closed) | Err(_) => return (text(out), events),
            }
            machine.poll_transmit(&mut out);
        }
    }
    (text(out), events)
}

/// RFC 2595 section 4, CVE-2011-0411. A transcript cannot express that the bytes arrive with the command.
#[test]
fn plain_text_after_stls_closes_the_session() {
    let config = Arc::new(Config { stls: true, ..default_config() });
    let now = Instant::now();
    let mut machine = Server::new(config.clone(), false, now);
    let mut input = BytesMut::from("STLS\r\nUSER ag\r\n");
    assert_eq!(machine.receive(now, &mut input), Err(ProtocolError::InjectedBeforeTls));
    let output = transmitted(&mut machine);
    assert!(output.ends_with("-ERR plaintext after STLS, goodbye\r\n"), "{output}");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Closed));

    let mut machine = Server::new(config, false, now);
    let mut input = BytesMut::from("STLS\r\n");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::UpgradeTls));
    input.extend_from_slice(b"U");
    assert_eq!(machine.receive(now, &mut input), Err(ProtocolError::InjectedBeforeTls));
}

#[test]
fn pending_decision_pauses_machine_and_timeout() {
    let now = Instant::now();
    let mut machine = server(now);
    assert_eq!(machine.poll_timeout(), Some(now + AUTOLOGOUT));
    let mut input = BytesMut::from("USER ag\r\nPASS secret\r\nRETR 1\r\n");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Event(Event::User("ag".to_owned()))));
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Paused));
    machine.accept();
    assert_eq!(machine.user(), Some("ag"));
    assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Authenticate(_)))));
    machine.opened(1, 7);
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Event(Event::Retrieve { number: 1 })));
    machine.begin_body(7);

    // Sending the body takes longer than the inactivity timeout.
    let later = now + 2 * AUTOLOGOUT;
    assert_eq!(machine.poll_timeout(), None);
    machine.handle_timeout(later);
    machine.finish();
    assert_eq!(machine.receive(later, &mut input), Ok(Step::NeedInput));
    assert_eq!(machine.poll_timeout(), Some(later + AUTOLOGOUT));
    machine.handle_timeout(later + AUTOLOGOUT - Duration::from_secs(1));
    assert_eq!(machine.receive(later, &mut input), Ok(Step::NeedInput));
}

#[test]
fn shutdown_and_eof_during_a_message_wait_for_its_end() {
    let now = Instant::now();
    let mut machine = server(now);
    let mut input = BytesMut::from("USER ag\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\n");
    assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::User(_)))));
    machine.accept();
    assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Authenticate(_)))));
    machine.opened(1, 7);
    assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Retrieve { .. }))));
    machine.begin_body(7);
    transmitted(&mut machine);
    machine.shutdown();
    assert_eq!(machine.receive_eof(now), Ok(Step::Paused));
    assert_eq!(transmitted(&mut machine), "");
    machine.finish();
    assert_eq!(transmitted(&mut machine), ".\r\n-ERR [SYS/TEMP] server is shutting down, goodbye\r\n");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Closed));
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn line_over_the_limit_is_discarded_while_it_arrives() {
    let now = Instant::now();
    let mut machine = server(now);
    let mut input = BytesMut::new();
    for _ in 0..100 {
        input.extend_from_slice(&[b'x'; 4_096]);
        assert_eq!(machine.receive(now, &mut input), Ok(Step::NeedInput));
        assert!(input.len() < 20_000);
    }
    transmitted(&mut machine);
    input.extend_from_slice(b"\r\nQUIT\r\n");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Closed));
    assert_eq!(transmitted(&mut machine), "-ERR line too long\r\n+OK goodbye\r\n");
}

#[test]
fn commands_wait_until_output_is_transmitted() {
    let now = Instant::now();
    let mut machine = server(now);
    let mut input = BytesMut::from(&b"CAPA\r\n".repeat(9_000)[..]);
    let mut replies = 0;
    while !input.is_empty() {
        assert_eq!(machine.receive(now, &mut input), Ok(Step::NeedInput));
        let output = transmitted(&mut machine);
        assert!(output.len() < OUTPUT_OCTETS_MAX + 1_024, "{}", output.len());
        replies += output.matches("\r\n.\r\n").count();
    }
    assert_eq!(replies, 9_000);
}

#[test]
fn command_limit_grows_with_the_maildrop() {
    let now = Instant::now();
    let mut machine = server(now);
    let mut exchange = |wire: &[u8]| {
        let mut input = BytesMut::from(wire);
        loop {
            match machine.receive(now, &mut input) {
                Ok(Step::Event(Event::Authenticate(_))) => machine.opened(7, 700),
                Ok(Step::Event(_)) => machine.accept(),
                ended => return (ended, transmitted(&mut machine)),
            }
        }
    };
    assert_eq!(exchange(b"USER ag\r\nPASS secret\r\n").0, Ok(Step::NeedInput));
    for _ in 2..COMMANDS_MAX + 7 * COMMANDS_PER_MESSAGE {
        assert_eq!(exchange(b"NOOP\r\n").0, Ok(Step::NeedInput));
    }
    let (step, output) = exchange(b"NOOP\r\n");
    assert_eq!(step, Err(ProtocolError::TooManyCommands));
    assert_eq!(output, "-ERR too many commands in one session, goodbye\r\n");
}

#[test]
fn line_breaks_in_a_policy_reply_are_replaced() {
    let now = Instant::now();
    let mut machine = server(now);
    transmitted(&mut machine);
    let mut input = BytesMut::from("USER ag\r\n");
    assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(_))));
    machine.reject(Reply::err("no\r\n+OK yes"));
    assert_eq!(transmitted(&mut machine), "-ERR no  +OK yes\r\n");
}

fn any_line() -> impl Strategy<Value = String> {
    let commands: Vec<_> =
        "USER ag|PASS secret|STAT|LIST|LIST 1|UIDL|UIDL 2|RETR 1|RETR 2|TOP 1 1|DELE 1|DELE 2|\
        DELE 3|NOOP|RSET|CAPA|UTF8|STLS|AUTH PLAIN|AUTH PLAIN AGFnAHNlY3JldA==|*|QUIT"
            .split('|')
            .collect();
    prop_oneof![
        12 => proptest::sample::select(commands).prop_map(str::to_owned),
        1 => "(RETR|TOP|DELE|USER|AUTH) [ 0-9a-z]{0,6}",
        1 => "[ -~]{0,10}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(target_arch = "wasm32") { 32 } else { 256 }))]

    #[test]
    fn output_does_not_depend_on_how_input_is_split(
        lines in proptest::collection::vec(any_line(), 0..24),
        logged_in: bool,
        length in 1_usize..20,
    ) {
        let mut wire = if logged_in { "USER ag\r\nPASS secret\r\n".to_owned() } else { String::new() };
        lines.iter().for_each(|line| wire += &format!("{line}\r\n"));
        let whole = exchange(wire.as_bytes(), wire.len().max(1));
        prop_assert_eq!(exchange(wire.as_bytes(), length), whole);
    }

    #[test]
    fn quit_removes_messages_marked_since_the_last_rset(commands in proptest::collection::vec(prop_oneof![
        4 => (1_u64..5).prop_map(Some), 1 => Just(None),
    ], 0..12)) {
        let mut wire = "USER ag\r\nPASS secret\r\n".to_owned();
        let mut marked = std::collections::BTreeSet::new();
        for command in commands {
            match command {
                Some(number) => {
                    wire += &format!("DELE {number}\r\n");
                    marked.extend((number <= 3).then_some(number));
                }
                None => {
                    wire += "RSET\r\n";
                    marked.clear();
                }
            }
        }
        let (_, events) = exchange(wire.as_bytes(), wire.len());
        prop_assert!(!events.iter().any(|event| event.starts_with("quit")));
        let (output, events) = exchange(format!("{wire}QUIT\r\n").as_bytes(), 64);
        prop_assert!(output.ends_with("+OK goodbye\r\n"));
        let expected = describe(&Event::Quit { marked: marked.into_iter().collect() });
        prop_assert_eq!(events.last(), Some(&expected));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(wire in proptest::collection::vec(any::<u8>(), 0..200), length in 1_usize..50) {
        let (output, _) = exchange(&wire, length);
        prop_assert!(output.starts_with("+OK POP3 server ready\r\n"));
    }

    #[test]
    fn policy_only_receives_numbers_of_unmarked_messages(number: u64, marked in 1_u64..4) {
        let wire = format!("USER ag\r\nPASS secret\r\nDELE {marked}\r\nLIST {number}\r\nLIST {marked}\r\n");
        let (output, events) = exchange(wire.as_bytes(), wire.len());
        let exists = (1..=3).contains(&number) && number != marked;
        let look = describe(&Event::Lookup { number, purpose: Lookup::ListEntry });
        prop_assert_eq!(events.last() == Some(&look), exists);
        prop_assert!(output.ends_with("-ERR no such message\r\n"));
    }
}
