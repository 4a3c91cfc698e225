//! The SMTP server's machine, by its transcripts: each file under `transcripts/smtp` is one behaviour.

#![allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
#![allow(missing_docs, reason = "a test binary has no readers of its docs")]

mod support;
#[macro_use]
mod transcripts;

use std::sync::Arc;

use bytes::BytesMut;
use mail_core::machine::{Machine as _, OUTPUT_OCTETS_MAX, ProtocolError, Step};
use mail_core::message::address::ForwardPath;
use mail_core::smtp::limits::{COMMANDS_MAX, MESSAGE_OCTETS_MIN, MESSAGE_TIMEOUT, SERVER_TIMEOUT};
use mail_core::smtp::reply::{EnhancedCode, Reply};
use mail_core::smtp::server::{AuthOffer, Config, Event, Server};
use mail_core::time::{Duration, Instant};
use proptest::prelude::*;
use support::Policy;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

transcripts! {
    "smtp", |_, text| support::play::<Script>(text);
    auth_fails auth_line_limit auth_login auth_offered_when_secure auth_plain auth_refused
    bdat bdat_bare_lf bdat_malformed bdat_misspelt bdat_order bdat_refused
    client_closes_amid_message client_closes_between_commands
    command_line_limit command_order command_syntax data_refused
    errors_in_a_row errors_not_in_a_row errors_that_follow
    extended_dialogue guide_dialogue hello_again help_noop_vrfy http http_after_hello
    mail_refused message_refused parameters pipelining policy_closes
    recipients_limit recipients_refused rset
    shutdown_amid_message shutdown_between_commands size size_exact smuggling
    starttls starttls_unavailable submission submission_needs_tls
    timeout timeout_amid_message too_many_passwords transparency utf8
}

/// A policy that does what the directives say.
///
/// `hostname NAME`, `size OCTETS`, `recipients COUNT`, `starttls`, `submission`, `secure` and
/// `auth never|when-secure|always` make the
/// configuration; `reject WHAT REPLY` refuses what it is asked, where WHAT is `mail`, `data`, `message`, a recipient's
/// path, or `user/password` (only such credentials are refused), and REPLY is `550 5.1.1 text`. Amid the dialogue,
/// `tls` completes the handshake and `shutdown` shuts down.
struct Script {
    config: Config,
    secure: bool,
    rejections: Vec<(String, Reply)>,
    message: Vec<u8>,
}

impl Default for Script {
    fn default() -> Self {
        let config = Config {
            hostname: "iitkgp.edu".to_owned(),
            message_size_max: 1_000_000,
            recipients_max: 100,
            starttls: false,
            auth: AuthOffer::Never,
            submission: false,
        };
        Self { config, secure: false, rejections: Vec::new(), message: Vec::new() }
    }
}

impl Script {
    fn decide(&self, machine: &mut Server, what: &str) {
        match self.rejections.iter().find(|(rejected, _)| rejected == what) {
            Some((_, reply)) => machine.reject(reply.clone()),
            None => machine.accept(),
        }
    }
}

impl Policy for Script {
    type Machine = Server;

    fn configure(&mut self, words: &str) {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        match verb {
            "hostname" => self.config.hostname = rest.to_owned(),
            "size" => self.config.message_size_max = rest.parse().expect("a number of octets"),
            "recipients" => self.config.recipients_max = rest.parse().expect("a count"),
            "starttls" => self.config.starttls = true,
            "submission" => self.config.submission = true,
            "secure" => self.secure = true,
            "auth" => {
                self.config.auth = match rest {
                    "never" => AuthOffer::Never,
                    "when-secure" => AuthOffer::WhenSecure,
                    "always" => AuthOffer::Always,
                    _ => panic!("no such offer: {rest}"),
                }
            }
            "reject" => {
                let (what, reply) = rest.split_once(' ').expect("what is rejected, and the reply");
                self.rejections.push((what.to_owned(), reply_of(reply)));
            }
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

    fn answer(&mut self, machine: &mut Server, event: Event, seen: &mut Vec<String>, _: &mut BytesMut) {
        match event {
            Event::Authenticate(c) => {
                let (authorization, name, password) =
                    (c.authorization, c.authentication, c.password.expose());
                seen.push(format!("authenticate {authorization}/{name}/{password}"));
                self.decide(machine, &format!("{name}/{password}"));
            }
            Event::Mail(mail) => {
                let size = mail.size.map_or(String::new(), |size| format!(" size={size}"));
                let eight_bit = if mail.eight_bit { " 8bit" } else { "" };
                let utf8 = if mail.utf8 { " utf8" } else { "" };
                seen.push(format!("mail {}{size}{eight_bit}{utf8}", mail.reverse_path));
                self.message.clear();
                self.decide(machine, "mail");
            }
            Event::Recipient(path) => {
                seen.push(format!("recipient {path}"));
                self.decide(machine, &path.to_string());
            }
            Event::Data => {
                let hello = machine.hello().expect("there is no message without HELO").to_owned();
                seen.push(format!("data from {hello} with {}", machine.protocol()));
                self.decide(machine, "data");
            }
            Event::Chunk(octets) => self.message.extend_from_slice(&octets),
            Event::EndOfData => {
                let text = match self.message.len() {
                    0..=200 => self.message.escape_ascii().to_string(),
                    more => format!("of {more} octets"),
                };
                seen.push(format!("message {text}"));
                self.decide(machine, "message");
            }
            Event::Reset => seen.push("reset".to_owned()),
        }
    }
}

/// `550 5.1.1 text`
fn reply_of(text: &str) -> Reply {
    let mut words = text.splitn(3, ' ');
    let code = words.next().and_then(|word| word.parse().ok()).expect("a reply code");
    let enhanced: Vec<u16> = words
        .next()
        .map(|word| word.split('.').map(|part| part.parse().expect("digits")).collect())
        .expect("an enhanced code");
    let class = u8::try_from(enhanced[0]).expect("a digit");
    let text = words.next().unwrap_or_default().to_owned();
    Reply::new(code, EnhancedCode::new(class, enhanced[1], enhanced[2]), text)
}

fn server(config: Config) -> (Server, Instant) {
    let now = Instant::now();
    (Server::new(Arc::new(config), false, now), now)
}

fn transmitted(server: &mut Server) -> String {
    let mut out = BytesMut::new();
    server.poll_transmit(&mut out);
    String::from_utf8(out.to_vec()).expect("replies are UTF-8")
}

/// What a transcript cannot say, as it depends on how the bytes arrive: RFC 3207 section 6, CVE-2011-0411.
#[test]
fn what_follows_starttls_in_plain_text_closes_the_session() {
    let config = Config { starttls: true, ..Script::default().config };
    let (mut machine, now) = server(config.clone());
    let mut input = BytesMut::from("EHLO a\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n");
    assert_eq!(machine.receive(now, &mut input), Err(ProtocolError::InjectedBeforeTls));
    let said = transmitted(&mut machine);
    assert!(
        said.ends_with("421 4.7.0 Nothing may follow STARTTLS before TLS, closing connection\r\n"),
        "{said}"
    );
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Closed));

    let (mut machine, now) = server(config);
    let mut input = BytesMut::from("EHLO a\r\nSTARTTLS\r\n");
    assert_eq!(machine.receive(now, &mut input), Ok(Step::UpgradeTls));
    input.extend_from_slice(b"MAIL FROM:<a@b>\r\n");
    assert_eq!(machine.receive(now, &mut input), Err(ProtocolError::InjectedBeforeTls));
}

#[test]
fn a_question_pauses_the_machine_and_its_clock() {
    let (mut machine, now) = server(Script::default().config);
    let mut input = BytesMut::from("HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Mail(_)))));
    assert_eq!(machine.receive(now, &mut input), Ok(Step::Paused));
    assert_eq!(machine.poll_timeout(), None);
    machine.accept();
    assert!(machine.in_transaction() && !machine.authenticated());
    assert!(matches!(
        machine.receive(now, &mut input),
        Ok(Step::Event(Event::Recipient(ForwardPath::Address(_))))
    ));
    assert!(machine.poll_timeout().is_none() && input.is_empty());
}

/// A body goes through as it lies in the read buffer.
#[test]
fn a_message_is_passed_on_without_a_copy() {
    let (mut machine, now) = server(Script::default().config);
    let mut input = BytesMut::from("HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    while let Ok(Step::Event(_)) = machine.receive(now, &mut input) {
        machine.accept();
    }
    let mut input = BytesMut::from(&b"one\r\ntwo\r\n.\r\n"[..]);
    let start = input.as_ptr();
    let Ok(Step::Event(Event::Chunk(text))) = machine.receive(now, &mut input) else {
        panic!("the text comes at once");
    };
    assert_eq!((text.as_ptr(), &text[..]), (start, &b"one\r\ntwo\r\n"[..]));
}

/// What short commands make the server say does not pile up.
#[test]
fn commands_wait_for_the_output_to_be_transmitted() {
    let (mut machine, now) = server(Script::default().config);
    let wire = b"EHLO a\r\n".repeat(8_192);
    let mut input = BytesMut::from(&wire[..]);
    let mut replies = 0;
    while !input.is_empty() {
        assert_eq!(machine.receive(now, &mut input), Ok(Step::NeedInput));
        let said = transmitted(&mut machine);
        assert!(said.len() < OUTPUT_OCTETS_MAX + 1_024, "{}", said.len());
        replies += said.matches("\r\n250 ").count();
    }
    assert_eq!(replies, 8_192);
}

#[test]
fn commands_without_a_message_come_to_an_end() {
    let config = Script::default().config;
    let commands_max = COMMANDS_MAX + config.recipients_max;
    let (mut machine, now) = server(config);
    let mut say = |wire: &[u8]| {
        let mut input = BytesMut::from(wire);
        loop {
            match machine.receive(now, &mut input) {
                Ok(Step::Event(Event::Chunk(_) | Event::Reset)) => {}
                Ok(Step::Event(_)) => machine.accept(),
                ended => return (ended, transmitted(&mut machine)),
            }
        }
    };
    // A message, in chunks of some size too, makes good for all that came before it.
    for _ in 0..2 {
        for _ in 0..commands_max - 10 {
            assert_eq!(say(b"NOOP\r\n").0, Ok(Step::NeedInput));
        }
        assert_eq!(say(b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n").0, Ok(Step::NeedInput));
        let chunk = [&b"BDAT 1024\r\n"[..], &[b'x'; 1_024]].concat();
        for _ in 0..20 {
            assert!(say(&chunk).1.starts_with("250 2.0.0 1024 octets"));
        }
        let (step, said) = say(b"BDAT 0 LAST\r\n");
        assert!(step == Ok(Step::NeedInput) && said.starts_with("250 2.0.0 OK"), "{step:?} {said}");
    }
    for _ in 0..commands_max {
        assert_eq!(say(b"RSET\r\n").0, Ok(Step::NeedInput));
    }
    let (step, said) = say(b"RSET\r\n");
    assert_eq!(step, Err(ProtocolError::TooManyCommands));
    assert_eq!(said, "421 4.7.0 Too many commands without a message, closing connection\r\n");
}

/// An octet a second: neither DATA nor BDAT, taken or refused, may last for ever.
#[test]
fn a_message_that_trickles_is_given_up() {
    for (begin, refused) in [("DATA\r\n", false), ("BDAT 99999\r\n", false), ("BDAT 999999999\r\n", true)] {
        let (mut machine, start) = server(Script::default().config);
        let mut input = BytesMut::from(&b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"[..]);
        input.extend_from_slice(begin.as_bytes());
        let mut reset = false;
        while let Ok(Step::Event(event)) = machine.receive(start, &mut input) {
            if event == Event::Reset {
                reset = true;
            } else {
                machine.accept();
            }
        }
        assert_eq!(reset, refused);
        transmitted(&mut machine);
        let mut now = start;
        let error = loop {
            now += Duration::from_secs(1);
            assert!(now <= start + MESSAGE_TIMEOUT, "{begin}");
            input.extend_from_slice(b"x");
            let mut step = machine.receive(now, &mut input);
            while let Ok(Step::Event(event)) = step {
                reset |= event == Event::Reset;
                step = machine.receive(now, &mut input);
            }
            match step {
                Ok(step) => assert_eq!(step, Step::NeedInput),
                Err(error) => break error,
            }
        };
        assert_eq!((error, reset, now), (ProtocolError::TooSlow, true, start + MESSAGE_TIMEOUT));
        let said = transmitted(&mut machine);
        assert_eq!(said, "421 4.4.2 The message comes too slowly, closing connection\r\n");
    }
}

/// What comes in time goes on; the timer, which is the driver's, ends what does not.
#[test]
fn a_message_that_is_merely_slow_is_taken() {
    let (mut machine, mut now) = server(Script::default().config);
    let mut input = BytesMut::from(&b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"[..]);
    while let Ok(Step::Event(_)) = machine.receive(now, &mut input) {
        machine.accept();
    }
    for _ in 0..100 {
        now += Duration::from_secs(299);
        input.extend_from_slice(&b"x".repeat(MESSAGE_OCTETS_MIN / 2));
        assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Chunk(_)))));
        assert_eq!(machine.receive(now, &mut input), Ok(Step::NeedInput));
    }
    input.extend_from_slice(b"x");
    now += Duration::from_secs(200);
    assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Chunk(_)))));
    assert_eq!(machine.poll_timeout(), Some(now + SERVER_TIMEOUT));
    let last = now;
    while machine.poll_timeout().is_some_and(|deadline| deadline == now + SERVER_TIMEOUT) {
        input.extend_from_slice(b"x");
        now += Duration::from_secs(50);
        assert!(matches!(machine.receive(now, &mut input), Ok(Step::Event(Event::Chunk(_)))));
    }
    let deadline = machine.poll_timeout().expect("it waits for the rest");
    assert!(deadline > last && deadline <= last + MESSAGE_TIMEOUT);
    transmitted(&mut machine);
    machine.handle_timeout(deadline);
    assert!(transmitted(&mut machine).starts_with("421 4.4.2 The message comes too slowly"));
}

/// Pieces of dialogues, whole and broken, that mean most when they come in the wrong order.
const PIECES: [&[u8]; 26] = [
    b"EHLO a\r\n",
    b"HELO a\r\n",
    b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
    b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
    b"MAIL FROM:<a@b> SIZE=10\r\n",
    b"MAIL FROM:<a@b> SIZE=1000\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"DATA\r\n",
    b"BDAT 3\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 99 LAST\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH LOGIN\r\n",
    b"AGEAYg==\r\n",
    b"*\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
    b"NOOP\n",
    b"some words of a message",
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"\r\n.\r\n",
    b"\0",
    b"\xFF",
];

/// What the server says to `wire` when it comes in pieces of these lengths, over and over, and how it ends.
fn converse(wire: &[u8], lengths: &[usize]) -> (String, Option<String>) {
    let config = Config { message_size_max: 60, auth: AuthOffer::Always, ..Script::default().config };
    let (mut machine, now) = server(config);
    let (mut input, mut rest, mut lengths) = (BytesMut::new(), wire, lengths.iter().cycle());
    loop {
        match machine.receive(now, &mut input) {
            Ok(Step::Event(Event::Chunk(_) | Event::Reset)) => {}
            Ok(Step::Event(_)) => machine.accept(),
            Ok(Step::NeedInput) if rest.is_empty() => return (transmitted(&mut machine), None),
            Ok(Step::NeedInput) => {
                let (piece, tail) =
                    rest.split_at((*lengths.next().expect("a cycle has no end")).min(rest.len()));
                input.extend_from_slice(piece);
                rest = tail;
            }
            Ok(Step::Closed) => return (transmitted(&mut machine), Some("closed".to_owned())),
            Ok(step) => panic!("{step:?} has no place here"),
            Err(error) => return (transmitted(&mut machine), Some(error.to_string())),
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_or_are_answered_otherwise_when_cut(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..24),
        lengths in proptest::collection::vec(1_usize..30, 1..6),
    ) {
        let wire = pieces.concat();
        let whole = converse(&wire, &[usize::MAX]);
        prop_assert_eq!(converse(&wire, &[1]), whole.clone());
        prop_assert_eq!(converse(&wire, &lengths), whole);
    }
}
