//! The four machines, led into one of several states by the input's first octet and then given the rest of it: once
//! whole, once in pieces. What they say and tell must be the same.

use mail_core::machine::ProtocolError;
use mail_core::message::address::ReversePath;
use mail_core::sasl::{AuthOffer, Credentials};
use mail_core::smtp::command::HelloName;
use mail_core::time::Instant;

use super::*;

/// More than any conversation within one input can bring about.
const STEPS_MAX: usize = 1_000_000;

/// What a machine told, message text in one piece however it was cut.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    events: Vec<String>,
    text: Vec<u8>,
    sent: Vec<u8>,
    end: Option<String>,
    asked_for_tls: bool,
}

/// Feeds the pieces to a machine. `answer` gets every event and tells its text, if it is one of those.
fn converse<M: Machine>(
    mut machine: M,
    pieces: &[&[u8]],
    mut answer: impl FnMut(&mut M, M::Event, &mut Told),
    mut upgrade: impl FnMut(&mut M),
) -> Told {
    let now = start();
    let (mut told, mut input, mut output) = (Told::default(), BytesMut::new(), BytesMut::new());
    let mut steps = 0;
    'pieces: for piece in pieces.iter().copied().chain([&b""[..]]) {
        input.extend_from_slice(piece);
        loop {
            steps += 1;
            assert!(steps < STEPS_MAX, "it never comes to an end");
            let step = machine.receive(now, &mut input);
            let had_output = transmit(&mut machine, &mut output, &mut told);
            match step {
                Ok(mail_core::machine::Step::Event(event)) => answer(&mut machine, event, &mut told),
                Ok(mail_core::machine::Step::NeedInput) if had_output && !input.is_empty() => {}
                Ok(mail_core::machine::Step::NeedInput | mail_core::machine::Step::Paused) => break,
                Ok(mail_core::machine::Step::UpgradeTls) => {
                    // Within TLS other octets come.
                    input.clear();
                    told.asked_for_tls = true;
                    upgrade(&mut machine);
                }
                Ok(mail_core::machine::Step::Closed) => {
                    told.end = Some("closed".to_owned());
                    break 'pieces;
                }
                Err(error) => {
                    told.asked_for_tls |= matches!(error, ProtocolError::InjectedBeforeTls);
                    told.end = Some(kind(&error));
                    break 'pieces;
                }
            }
        }
    }
    transmit(&mut machine, &mut output, &mut told);
    told
}

fn transmit<M: Machine>(machine: &mut M, output: &mut BytesMut, told: &mut Told) -> bool {
    machine.poll_transmit(output);
    told.sent.extend_from_slice(output);
    let had_output = !output.is_empty();
    output.clear();
    had_output
}

/// An error without what it quotes of the input, of which a piece may hold less.
fn kind(error: &ProtocolError) -> String {
    let text = format!("{error:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

#[allow(clippy::disallowed_methods, reason = "time has to start somewhere, and stands still here")]
fn start() -> Instant {
    Instant::now()
}

/// Runs `once` with the whole input and with pieces of it. What lies in one piece with a request for TLS ends the
/// session, and so the two need not be the same then.
fn both_ways(input: &[u8], once: impl Fn(&[&[u8]]) -> Told) {
    let (whole, cut) = (once(&[input]), once(&pieces(input)));
    if !whole.asked_for_tls && !cut.asked_for_tls {
        assert_eq!(whole, cut);
    }
}

/// The state that the first octet chooses, and the rest.
fn prelude<'a>(data: &[u8], preludes: &[&'a [u8]]) -> Option<&'a [u8]> {
    data.first().map(|choice| preludes[usize::from(*choice) % preludes.len()])
}

/// Runs `once` with lines that each come when they are waited for, and then the input, whole and in pieces. What is said
/// before anybody has asked ends a client's session, so the two need not be the same.
fn behind(lines: &[u8], input: &[u8], once: impl Fn(&[&[u8]])) {
    let lines: Vec<_> = lines.split_inclusive(|octet| *octet == b'\n').collect();
    once(&[&lines[..], &[input]].concat());
    once(&[&lines[..], &pieces(input)].concat());
}

pub(super) fn smtp_server(data: &[u8]) {
    use mail_core::smtp::server::{Config, Event, Server};
    let config = Arc::new(Config {
        hostname: "iitkgp.edu".to_owned(),
        message_size_max: 1_000,
        recipients_max: 100,
        starttls: true,
        auth: AuthOffer::Always,
        submission: false,
    });
    let Some(state) = prelude(
        data,
        &[
            b"",
            b"EHLO a\r\n",
            b"HELO a\r\n",
            b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
            b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
            b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 10\r\n",
            b"EHLO a\r\nAUTH LOGIN\r\n",
            b"EHLO a\r\nSTARTTLS\r\n",
        ],
    ) else {
        return;
    };
    let input = [state, &data[1..]].concat();
    both_ways(&input, |pieces| {
        let answer = |machine: &mut Server, event, told: &mut Told| match event {
            Event::Chunk(octets) => {
                assert!(!octets.is_empty());
                told.text.extend_from_slice(&octets);
            }
            event => {
                // What came of a message that is not whole depends on the pieces.
                let text = std::mem::take(&mut told.text);
                let is_whole = matches!(event, Event::EndOfData);
                assert!(!is_whole || !text.contains(&0));
                told.events
                    .push(format!("{event:?} {}", if is_whole { &text[..] } else { b"" }.escape_ascii()));
                if !matches!(event, Event::Reset) {
                    machine.accept();
                }
            }
        };
        let machine = Server::new(Arc::clone(&config), false, start());
        let mut told = converse(machine, pieces, answer, |machine| machine.tls_established(start()));
        told.text.clear();
        assert!(told.sent.len() <= 512 * (input.len() + 10), "{} octets of replies", told.sent.len());
        told
    });
}

pub(super) fn pop3_server(data: &[u8]) {
    use mail_core::pop3::server::{Config, Event, Server};
    let config =
        Arc::new(Config { stls: true, auth: AuthOffer::Always, login_delay: None, implementation: None });
    let Some(state) = prelude(
        data,
        &[
            b"",
            b"USER a\r\n",
            b"USER a\r\nPASS b\r\n",
            b"AUTH PLAIN\r\n",
            b"UTF8\r\nUSER a\r\nPASS b\r\n",
            b"STLS\r\n",
        ],
    ) else {
        return;
    };
    let input = [state, &data[1..]].concat();
    both_ways(&input, |pieces| {
        let answer = |machine: &mut Server, event, told: &mut Told| {
            told.events.push(format!("{event:?}"));
            match event {
                Event::User(_) => machine.accept(),
                Event::Authenticate(_) => machine.opened(3, 600),
                Event::List => {
                    machine.begin();
                    (1..=3).for_each(|number| machine.item(number, 200));
                    machine.finish();
                }
                Event::UniqueIds => {
                    machine.begin();
                    (1..=3).for_each(|number| machine.unique_id(number, "id"));
                    machine.finish();
                }
                Event::Look { number, .. } => {
                    assert!((1..=3).contains(&number));
                    machine.entry(200, "id");
                }
                Event::Retrieve { number } | Event::Top { number, .. } => {
                    assert!((1..=3).contains(&number));
                    machine.begin_body(200);
                    machine.finish();
                }
                Event::Quit { marked } => {
                    assert!(marked.is_sorted() && marked.iter().all(|number| (1..=3).contains(number)));
                    machine.removed();
                }
            }
        };
        let machine = Server::new(Arc::clone(&config), false, start());
        converse(machine, pieces, answer, |machine| machine.tls_established(start()))
    });
}

pub(super) fn smtp_client(data: &[u8]) {
    use mail_core::smtp::client::{Envelope, Event, Submission, SubmissionConfig, Tls};
    let ready: &[u8] = b"220 a\r\n250-a\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n235 2.7.0 in\r\n";
    let begun = [ready, b"250 ok\r\n250 ok\r\n354 go\r\n"].concat();
    let Some(state) = prelude(
        data,
        &[b"", b"220 a\r\n", ready, &begun, b"220 a\r\n500 no\r\n", b"220 a\r\n250 STARTTLS\r\n"],
    ) else {
        return;
    };
    let tls = if data[0] % 2 == 1 { Tls::Required } else { Tls::Never };
    behind(state, &data[1..], |pieces| {
        let config = SubmissionConfig {
            hello: HelloName::parse("iit.edu").expect("a name"),
            tls,
            credentials: Some(Credentials::new("ag", "secret")),
            auth_required: false,
        };
        let mut machine = Submission::new(config, start());
        let envelope = Envelope {
            reverse_path: ReversePath::Null,
            recipients: vec![ForwardPath::Postmaster],
            size: None,
            eight_bit: false,
            utf8: false,
        };
        machine.send(envelope).expect("a new session takes one");
        let answer = |machine: &mut Submission, event, told: &mut Told| {
            told.events.push(format!("{event:?}"));
            if matches!(event, Event::SendBody) {
                machine.body(b".\r\n").and_then(|()| Ok(machine.body_end()?)).expect("it was asked for");
            }
        };
        let upgrade = |machine: &mut Submission| machine.tls_established().expect("it was asked for");
        let told = converse(machine, pieces, answer, upgrade);
        let is_secret = memchr::memmem::find(&told.sent, b"AUTH").is_some();
        assert!(tls == Tls::Never || !is_secret || memchr::memmem::find(&told.sent, b"STARTTLS").is_some());
    });
}

pub(super) fn pop3_client(data: &[u8]) {
    use mail_core::pop3::client::{Event, Session, SessionConfig};
    let ready: &[u8] = b"+OK a\r\n+OK\r\nPIPELINING\r\nTOP\r\nUIDL\r\n.\r\n+OK\r\n+OK in\r\n";
    let listed = [ready, b"+OK 2 20\r\n+OK\r\n1 10\r\n2 10\r\n.\r\n"].concat();
    let Some(state) = prelude(data, &[b"", b"+OK a\r\n", ready, &listed]) else { return };
    behind(state, &data[1..], |pieces| {
        let mut machine = Session::new(SessionConfig::default(), start());
        machine.login(&Credentials::new("gb", "other")).expect("a new session takes one");
        let answer = |machine: &mut Session, event, told: &mut Told| match event {
            Event::Body(octets) => told.text.extend_from_slice(&octets),
            event => {
                told.events.push(format!("{event:?}"));
                if matches!(event, Event::LoggedIn(_)) {
                    // Each is refused only after the session's end.
                    let _ =
                        machine.stat().and_then(|()| machine.list(None)).and_then(|()| machine.uidl(None));
                    let _ = machine.retr(1).and_then(|()| machine.top(2, 1)).and_then(|()| machine.quit());
                }
            }
        };
        let upgrade = |machine: &mut Session| machine.tls_established().expect("it was asked for");
        let told = converse(machine, pieces, answer, upgrade);
        assert!(told.sent.len() < 1_000, "it says no more than it was told to");
    });
}
