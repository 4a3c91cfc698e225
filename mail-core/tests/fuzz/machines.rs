//! Fuzz targets of the four state machines. The first octet selects a state; the rest is fed whole and in pieces, and both
//! must have the same result.

use mail_core::machine::{ProtocolError, Pump, pump};
use mail_core::message::address::ReversePath;
use mail_core::sasl::{AuthOffer, Credentials};
use mail_core::smtp::command::HelloName;
use mail_core::time::Instant;

use super::*;

/// More steps than one input can cause.
const STEPS_MAX: usize = 1_000_000;

/// Everything that a machine reports and sends. Message text is concatenated, because chunks depend on the split.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    events: Vec<String>,
    text: Vec<u8>,
    sent: Vec<u8>,
    end: Option<String>,
    requested_tls: bool,
}

/// Feeds the pieces to a machine. `handle` answers and records events.
fn run_machine<M: Machine>(
    mut machine: M,
    pieces: &[&[u8]],
    mut handle: impl FnMut(&mut M, M::Event, &mut Outcome),
    mut upgrade: impl FnMut(&mut M),
) -> Outcome {
    let now = start();
    let (mut outcome, mut input, mut output) = (Outcome::default(), BytesMut::new(), BytesMut::new());
    let mut steps = 0;
    'pieces: for piece in pieces.iter().copied().chain([&b""[..]]) {
        input.extend_from_slice(piece);
        loop {
            steps += 1;
            assert!(steps < STEPS_MAX, "the machine does not stop");
            match pump(&mut machine, now, &mut input, false, &mut output) {
                Ok(Pump::Event(event)) => handle(&mut machine, event, &mut outcome),
                Ok(Pump::Write) => outcome.sent.extend_from_slice(&output.split()),
                Ok(Pump::Read { .. } | Pump::Paused) => break,
                Ok(Pump::UpgradeTls) => {
                    // The rest of the plain text is not part of the TLS session.
                    input.clear();
                    outcome.requested_tls = true;
                    upgrade(&mut machine);
                }
                Ok(Pump::Closed) => {
                    outcome.end = Some("closed".to_owned());
                    break 'pieces;
                }
                Err(error) => {
                    outcome.requested_tls |= matches!(error, ProtocolError::InjectedBeforeTls);
                    outcome.end = Some(error_name(&error));
                    break 'pieces;
                }
            }
        }
    }
    outcome.sent.extend_from_slice(&output);
    outcome
}

/// The name of the error without the quoted input, which depends on the split.
fn error_name(error: &ProtocolError) -> String {
    let text = format!("{error:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

#[allow(clippy::disallowed_methods, reason = "virtual time needs a start")]
fn start() -> Instant {
    Instant::now()
}

/// Asserts that the whole input and its pieces have the same outcome. After a request for TLS they may differ, because
/// plain text in the same piece ends the session.
fn assert_split_invariant(input: &[u8], run: impl Fn(&[&[u8]]) -> Outcome) {
    let (whole, split) = (run(&[input]), run(&pieces(input)));
    if !whole.requested_tls && !split.requested_tls {
        assert_eq!(whole, split);
    }
}

/// The prelude that the first octet selects.
fn prelude<'a>(data: &[u8], preludes: &[&'a [u8]]) -> Option<&'a [u8]> {
    data.first().map(|octet| preludes[usize::from(*octet) % preludes.len()])
}

/// Feeds the lines one by one, as a client expects replies, and then the input, whole and in pieces. The outcomes may
/// differ, because an early reply ends a client's session.
fn run_after_lines(lines: &[u8], input: &[u8], run: impl Fn(&[&[u8]])) {
    let lines: Vec<_> = lines.split_inclusive(|octet| *octet == b'\n').collect();
    run(&[&lines[..], &[input]].concat());
    run(&[&lines[..], &pieces(input)].concat());
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
        bare_line_ends: false,
        command_events: false,
        dsn: true,
        require_tls: true,
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
    assert_split_invariant(&input, |pieces| {
        let handle = |machine: &mut Server, event, outcome: &mut Outcome| match event {
            Event::Chunk(octets) => {
                assert!(!octets.is_empty());
                outcome.text.extend_from_slice(&octets);
            }
            event => {
                // The text of an incomplete message depends on the split.
                let text = std::mem::take(&mut outcome.text);
                let is_complete = matches!(event, Event::EndOfData);
                assert!(!is_complete || !text.contains(&0));
                outcome
                    .events
                    .push(format!("{event:?} {}", if is_complete { &text[..] } else { b"" }.escape_ascii()));
                if !matches!(event, Event::Reset | Event::Refused(_)) {
                    machine.accept();
                }
            }
        };
        let machine = Server::new(Arc::clone(&config), false, start());
        let mut outcome = run_machine(machine, pieces, handle, |machine| machine.tls_established(start()));
        outcome.text.clear();
        assert!(outcome.sent.len() <= 512 * (input.len() + 10), "{} octets of replies", outcome.sent.len());
        outcome
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
    assert_split_invariant(&input, |pieces| {
        let handle = |machine: &mut Server, event, outcome: &mut Outcome| {
            outcome.events.push(format!("{event:?}"));
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
                Event::Lookup { number, .. } => {
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
        run_machine(machine, pieces, handle, |machine| machine.tls_established(start()))
    });
}

pub(super) fn smtp_client(data: &[u8]) {
    use mail_core::smtp::client::{Envelope, Event, Submission, SubmissionConfig, Tls};
    use mail_core::smtp::dsn::Ret;
    let ready: &[u8] = b"220 a\r\n250-a\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n235 2.7.0 in\r\n";
    let begun = [ready, b"250 ok\r\n250 ok\r\n354 go\r\n"].concat();
    let Some(state) = prelude(
        data,
        &[b"", b"220 a\r\n", ready, &begun, b"220 a\r\n500 no\r\n", b"220 a\r\n250 STARTTLS\r\n"],
    ) else {
        return;
    };
    let tls = if data[0] % 2 == 1 { Tls::Required } else { Tls::Never };
    run_after_lines(state, &data[1..], |pieces| {
        let config = SubmissionConfig {
            hello: HelloName::parse("iit.edu").expect("a name"),
            tls,
            credentials: Some(Credentials::new("ag", "secret")),
            auth_required: false,
        };
        let mut machine = Submission::new(config, start());
        let envelope = Envelope {
            reverse_path: ReversePath::Null,
            recipients: vec![ForwardPath::Postmaster.into()],
            size: None,
            eight_bit: false,
            utf8: false,
            ret: Some(Ret::Full),
            envid: None,
            require_tls: false,
        };
        machine.send(envelope).expect("a new session accepts it");
        let handle = |machine: &mut Submission, event, outcome: &mut Outcome| {
            outcome.events.push(format!("{event:?}"));
            if matches!(event, Event::SendBody) {
                machine
                    .body(b".\r\n")
                    .and_then(|()| Ok(machine.body_end()?))
                    .expect("the machine requested it");
            }
        };
        let upgrade = |machine: &mut Submission| machine.tls_established().expect("the machine requested it");
        let outcome = run_machine(machine, pieces, handle, upgrade);
        let sent_password = memchr::memmem::find(&outcome.sent, b"AUTH").is_some();
        assert!(
            tls == Tls::Never || !sent_password || memchr::memmem::find(&outcome.sent, b"STARTTLS").is_some()
        );
    });
}

pub(super) fn pop3_client(data: &[u8]) {
    use mail_core::pop3::client::{Event, Session, SessionConfig};
    let ready: &[u8] = b"+OK a\r\n+OK\r\nPIPELINING\r\nTOP\r\nUIDL\r\n.\r\n+OK\r\n+OK in\r\n";
    let listed = [ready, b"+OK 2 20\r\n+OK\r\n1 10\r\n2 10\r\n.\r\n"].concat();
    let Some(state) = prelude(data, &[b"", b"+OK a\r\n", ready, &listed]) else { return };
    run_after_lines(state, &data[1..], |pieces| {
        let mut machine = Session::new(SessionConfig::default(), start());
        machine.login(&Credentials::new("gb", "other")).expect("a new session accepts it");
        let handle = |machine: &mut Session, event, outcome: &mut Outcome| match event {
            Event::Body(octets) => outcome.text.extend_from_slice(&octets),
            event => {
                outcome.events.push(format!("{event:?}"));
                if matches!(event, Event::LoggedIn(_)) {
                    // Calls fail only after the end of the session.
                    let _ =
                        machine.stat().and_then(|()| machine.list(None)).and_then(|()| machine.uidl(None));
                    let _ = machine.retr(1).and_then(|()| machine.top(2, 1)).and_then(|()| machine.quit());
                }
            }
        };
        let upgrade = |machine: &mut Session| machine.tls_established().expect("the machine requested it");
        let outcome = run_machine(machine, pieces, handle, upgrade);
        assert!(outcome.sent.len() < 1_000, "{} octets sent", outcome.sent.len());
    });
}
