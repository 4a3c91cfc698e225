//! The POP3 server's machine, by its transcripts: each file under `transcripts/pop3` is one behaviour.

#![allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
#![allow(missing_docs, reason = "a test binary has no readers of its docs")]

mod support;
#[macro_use]
mod transcripts;

use std::sync::Arc;

use bytes::BytesMut;
use mail_core::dot::DotEncoder;
use mail_core::machine::{Machine as _, OUTPUT_OCTETS_MAX, ProtocolError, Step};
use mail_core::pop3::limits::{AUTOLOGOUT, COMMANDS_MAX, COMMANDS_PER_MESSAGE};
use mail_core::pop3::server::{Config, Event, Look, Server, replies};
use mail_core::pop3::{Reply, TopLines};
use mail_core::sasl::{AuthOffer, Credentials};
use mail_core::time::{Duration, Instant};
use proptest::prelude::*;
use support::Policy;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

transcripts! {
    "pop3", |_, text| support::play::<Script>(text);
    auth auth_plain auth_plain_challenge bad_octets bare_lf before_sign_in capa
    client_closes client_closes_before_sign_in guide list long_lines malformed message_breaks_off
    no_sign_in password_with_spaces quit_fails retr rset_noop secure_auth shutdown
    shutdown_amid_handshake sign_in stls store_fails timeout timeout_amid_line timeout_at_once
    too_many_errors too_many_passwords top uidl utf8 utf8_missing
}

/// What every maildrop but gb's holds.
const MESSAGES: [&str; 3] = [
    "From: <gb@iit.edu>\r\nSubject: One\r\n\r\nfirst\r\nsecond\r\n",
    "Subject: Dots\r\n\r\n.\r\n.dot\r\n",
    "Subject: Empty\r\n\r\n",
];

/// A policy with a few accounts, each of which has its own misfortune:
///
/// | account | what happens |
/// |---|---|
/// | ag | nothing |
/// | gb | the maildrop is empty, the password ` two words ` |
/// | busy | another session has the maildrop |
/// | hasty | the last login was just now |
/// | broken | the store cannot read |
/// | torn | the store fails amid a message |
/// | stuck | the store cannot remove |
/// | utf8 | the last message needs UTF8 |
///
/// `stls`, `secure`, `auth never|when-secure`, `login-delay SECONDS` and `implementation NAME` make the
/// configuration. Amid the dialogue, `tls` completes the handshake and `shutdown` shuts down.
struct Script {
    config: Config,
    secure: bool,
}

impl Default for Script {
    fn default() -> Self {
        let config = Config { stls: false, auth: AuthOffer::Always, login_delay: None, implementation: None };
        Self { config, secure: false }
    }
}

impl Policy for Script {
    type Machine = Server;

    fn configure(&mut self, words: &str) {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        match (verb, rest) {
            ("stls", _) => self.config.stls = true,
            ("secure", _) => self.secure = true,
            ("auth", "never") => self.config.auth = AuthOffer::Never,
            ("auth", "when-secure") => self.config.auth = AuthOffer::WhenSecure,
            ("login-delay", seconds) => self.config.login_delay = Some(seconds.parse().expect("seconds")),
            ("implementation", name) => self.config.implementation = Some(name.to_owned()),
            _ => panic!("no such directive: {words}"),
        }
    }

    fn machine(&self, now: Instant) -> Server {
        Server::new(Arc::new(self.config.clone()), self.secure, now)
    }

    fn act(&mut self, machine: &mut Server, now: Instant, words: &str) {
        match words {
            "tls" => machine.tls_established(now),
            "shutdown" => machine.shutdown(),
            _ => panic!("no such directive: {words}"),
        }
    }

    fn answer(&mut self, machine: &mut Server, event: Event, seen: &mut Vec<String>, out: &mut BytesMut) {
        let user = machine.user().map(str::to_owned);
        let user = user.as_deref().unwrap_or_default();
        seen.push(in_words(&event));
        match event {
            Event::User(name) => match name.as_str() {
                "ag" | "gb" | "busy" | "hasty" | "broken" | "torn" | "stuck" | "utf8" => machine.accept(),
                _ => machine.reject(replies::UNKNOWN_USER),
            },
            Event::Authenticate(credentials) => authenticate(machine, &credentials),
            Event::List
            | Event::UniqueIds
            | Event::Look { .. }
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
            Event::Look { number, .. } => machine.entry(octets(message(number)), &format!("id-{number}")),
            Event::Retrieve { number: 3 } | Event::Top { number: 3, .. }
                if user == "utf8" && !machine.is_utf8() =>
            {
                machine.reject(replies::NEEDS_UTF8);
            }
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
                let mut top = TopLines::new(lines);
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

fn authenticate(machine: &mut Server, Credentials { authorization, authentication, password }: &Credentials) {
    let right = if authentication == "gb" { " two words " } else { "secret" };
    let oneself = authorization.is_empty() || authorization == authentication;
    if !oneself || password.expose() != right {
        return machine.reject(replies::WRONG_CREDENTIALS);
    }
    match authentication.as_str() {
        "busy" => machine.reject(replies::IN_USE),
        "hasty" => machine.reject(replies::LOGIN_DELAY),
        user => {
            let messages = messages(user);
            machine.opened(messages.len() as u64, messages.iter().copied().map(octets).sum());
        }
    }
}

/// What a driver does, too: the first line goes out before the message.
fn begin(machine: &mut Server, number: u64, out: &mut BytesMut) {
    machine.begin_body(octets(message(number)));
    machine.poll_transmit(out);
}

fn in_words(event: &Event) -> String {
    match event {
        Event::User(name) => format!("user {name}"),
        Event::Authenticate(c) => {
            format!("authenticate {}/{}/{}", c.authorization, c.authentication, c.password.expose())
        }
        Event::List => "list".to_owned(),
        Event::UniqueIds => "unique-ids".to_owned(),
        Event::Look { number, wanted } => format!("look {number} {wanted:?}"),
        Event::Retrieve { number } => format!("retrieve {number}"),
        Event::Top { number, lines } => format!("top {number} {lines}"),
        Event::Quit { marked } => format!("quit {marked:?}"),
    }
}

fn messages(user: &str) -> &'static [&'static str] {
    if user == "gb" { &[] } else { &MESSAGES }
}

fn message(number: u64) -> &'static str {
    MESSAGES[usize::try_from(number).expect("the machine asks about messages that are there") - 1]
}

fn octets(message: &str) -> u64 {
    message.len() as u64
}

fn stuffed(message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    DotEncoder::default().encode(message.as_bytes(), &mut out);
    out
}

fn transmitted(server: &mut Server) -> String {
    let mut out = BytesMut::new();
    server.poll_transmit(&mut out);
    String::from_utf8(out.to_vec()).expect("replies are UTF-8")
}

/// Plays what a client sends, cut into pieces of `step`, and gives back all that the server says.
fn converse(wire: &[u8], step: usize) -> (String, Vec<String>) {
    let text = |out: BytesMut| String::from_utf8(out.to_vec()).expect("replies are UTF-8");
    let (mut script, now) = (Script::default(), Instant::now());
    let mut machine = script.machine(now);
    let (mut input, mut out, mut seen) = (BytesMut::new(), BytesMut::new(), Vec::new());
    machine.poll_transmit(&mut out);
    for piece in wire.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            let step = machine.receive(now, &mut input);
            machine.poll_transmit(&mut out);
            match step {
                Ok(Step::Event(event)) => script.answer(&mut machine, event, &mut seen, &mut out),
                Ok(Step::NeedInput) => break,
                Ok(Step::Paused | Step::UpgradeTls) => {
                    panic!("every question is answered, and TLS is not offered")
                }
                Ok(Step::Closed) | Err(_) => return (text(out), seen),
            }
            machine.poll_transmit(&mut out);
        }
    }
    (text(out), seen)
}

/// What a transcript cannot say, as it depends on how the bytes arrive: RFC 2595 section 4, CVE-2011-0411.
#[test]
fn what_follows_stls_in_plain_text_closes_the_session() {
    let config = Arc::new(Config { stls: true, ..Script::default().config });
    let now = Instant::now();
    let mut machine = Server::new(config.clone(), false, now);
    let mut input = BytesMut::from("STLS\r\nUSER ag\r\n");
    assert_eq!(machine.receive(now, &mut input), Err(ProtocolError::InjectedBeforeTls));
    let said = transmitted(&mut machine);
    assert!(said.ends_with("-ERR plain text was sent behind STLS, goodbye\r\n"), "{said}");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Closed));

    let mut machine = Server::new(config, false, now);
    let mut input = BytesMut::from("STLS\r\n");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::UpgradeTls));
    input.extend_from_slice(b"U");
    assert_eq!(machine.receive(now, &mut input), Err(ProtocolError::InjectedBeforeTls));
}

#[test]
fn a_question_pauses_the_machine_and_its_clock() {
    let now = Instant::now();
    let mut machine = Script::default().machine(now);
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

    // The body takes longer to send than a client may be silent.
    let later = now + 2 * AUTOLOGOUT;
    assert_eq!(machine.poll_timeout(), None);
    machine.handle_timeout(later);
    machine.finish();
    assert_eq!(machine.receive(later, &mut input), Ok(Step::NeedInput));
    assert_eq!(machine.poll_timeout(), Some(later + AUTOLOGOUT));
    machine.handle_timeout(later + AUTOLOGOUT - Duration::from_secs(1));
    assert_eq!(machine.receive(later, &mut input), Ok(Step::NeedInput));
}

/// A shutdown amid a message lets it come to its end, and the end of the client's stream does too.
#[test]
fn a_message_under_way_is_finished() {
    let now = Instant::now();
    let mut machine = Script::default().machine(now);
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
fn an_endless_line_does_not_fill_the_buffer() {
    let now = Instant::now();
    let mut machine = Script::default().machine(now);
    let mut input = BytesMut::new();
    for _ in 0..100 {
        input.extend_from_slice(&[b'x'; 4_096]);
        assert_eq!(machine.receive(now, &mut input), Ok(Step::NeedInput));
        assert!(input.len() < 20_000);
    }
    transmitted(&mut machine);
    input.extend_from_slice(b"\r\nQUIT\r\n");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Closed));
    assert_eq!(transmitted(&mut machine), "-ERR the line is too long\r\n+OK goodbye\r\n");
}

/// What short commands make the server say does not pile up.
#[test]
fn commands_wait_for_the_output_to_be_transmitted() {
    let now = Instant::now();
    let mut machine = Script::default().machine(now);
    let mut input = BytesMut::from(&b"CAPA\r\n".repeat(9_000)[..]);
    let mut replies = 0;
    while !input.is_empty() {
        assert_eq!(machine.receive(now, &mut input), Ok(Step::NeedInput));
        let said = transmitted(&mut machine);
        assert!(said.len() < OUTPUT_OCTETS_MAX + 1_024, "{}", said.len());
        replies += said.matches("\r\n.\r\n").count();
    }
    assert_eq!(replies, 9_000);
}

#[test]
fn commands_come_to_an_end_that_depends_on_the_maildrop() {
    let now = Instant::now();
    let mut machine = Script::default().machine(now);
    let mut say = |wire: &[u8]| {
        let mut input = BytesMut::from(wire);
        loop {
            match machine.receive(now, &mut input) {
                Ok(Step::Event(Event::Authenticate(_))) => machine.opened(7, 700),
                Ok(Step::Event(_)) => machine.accept(),
                ended => return (ended, transmitted(&mut machine)),
            }
        }
    };
    assert_eq!(say(b"USER ag\r\nPASS secret\r\n").0, Ok(Step::NeedInput));
    for _ in 2..COMMANDS_MAX + 7 * COMMANDS_PER_MESSAGE {
        assert_eq!(say(b"NOOP\r\n").0, Ok(Step::NeedInput));
    }
    let (step, said) = say(b"NOOP\r\n");
    assert_eq!(step, Err(ProtocolError::TooManyCommands));
    assert_eq!(said, "-ERR too many commands in one session, goodbye\r\n");
}

/// The policy's words cannot become a second reply.
#[test]
fn a_refusal_stays_one_line() {
    let now = Instant::now();
    let mut machine = Script::default().machine(now);
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
    fn any_session_is_the_same_at_any_cut(
        lines in proptest::collection::vec(any_line(), 0..24),
        signed_in: bool,
        step in 1_usize..20,
    ) {
        let mut wire = if signed_in { "USER ag\r\nPASS secret\r\n".to_owned() } else { String::new() };
        lines.iter().for_each(|line| wire += &format!("{line}\r\n"));
        let whole = converse(wire.as_bytes(), wire.len().max(1));
        prop_assert_eq!(converse(wire.as_bytes(), step), whole);
    }

    /// What QUIT removes is what was marked since the last RSET, and only QUIT asks for it.
    #[test]
    fn quit_removes_what_was_marked(commands in proptest::collection::vec(prop_oneof![
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
        let (_, seen) = converse(wire.as_bytes(), wire.len());
        prop_assert!(!seen.iter().any(|event| event.starts_with("quit")));
        let (said, seen) = converse(format!("{wire}QUIT\r\n").as_bytes(), 64);
        prop_assert!(said.ends_with("+OK goodbye\r\n"));
        let expected = in_words(&Event::Quit { marked: marked.into_iter().collect() });
        prop_assert_eq!(seen.last(), Some(&expected));
    }

    #[test]
    fn no_bytes_make_the_machine_panic(wire in proptest::collection::vec(any::<u8>(), 0..200), step in 1_usize..50) {
        let (said, _) = converse(&wire, step);
        prop_assert!(said.starts_with("+OK POP3 server ready\r\n"));
    }

    #[test]
    fn the_policy_is_asked_about_messages_that_are_there(number: u64, marked in 1_u64..4) {
        let wire = format!("USER ag\r\nPASS secret\r\nDELE {marked}\r\nLIST {number}\r\nLIST {marked}\r\n");
        let (said, seen) = converse(wire.as_bytes(), wire.len());
        let there = (1..=3).contains(&number) && number != marked;
        let look = in_words(&Event::Look { number, wanted: Look::ListEntry });
        prop_assert_eq!(seen.last() == Some(&look), there);
        prop_assert!(said.ends_with("-ERR no such message\r\n"));
    }
}
