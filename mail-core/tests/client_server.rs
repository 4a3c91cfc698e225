//! The client machines against the server machines over a simulated link: with and without pipelining and TLS, with random
//! splits and latencies.

#![allow(clippy::disallowed_methods, reason = "virtual time needs a start")]
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

mod link;
mod random;

use std::cell::RefCell;
use std::sync::Arc;

use bytes::BytesMut;
use mail_core::dot::DotEncoder;
use mail_core::machine::{Machine, ProtocolError};
use mail_core::message::address::{Address, ForwardPath, ReversePath};
use mail_core::pop3::client::{self as pop3_client, Session, SessionConfig};
use mail_core::pop3::server::{self as pop3_server, Lookup};
use mail_core::pop3::{Reply as Pop3Reply, TopLimiter};
use mail_core::sasl::{AuthOffer, Credentials};
use mail_core::smtp::client::{self as smtp_client, Envelope, Stage, Submission, SubmissionConfig};
use mail_core::smtp::command::HelloName;
use mail_core::smtp::reply::Reply;
use mail_core::smtp::server as smtp_server;
use mail_core::time::{Duration, Instant};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use link::{Endpoint, Link, Outcomes, connect};
use random::Random;

const SEEDS: u64 = if cfg!(target_arch = "wasm32") { 4 } else { 40 };
const LARGE_MESSAGE_OCTETS: usize = 10 * 1_024 * 1_024;
const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// At least `octets` octets of text with leading dots, empty lines and long lines.
fn text(octets: usize, random: &mut Random) -> Vec<u8> {
    let mut text = Vec::with_capacity(octets + 2_000);
    while text.len() < octets {
        text.extend_from_slice([&b""[..], b".", b"..", b"+OK ", b"250 ", b"\xC3\xA9"][random.below(6)]);
        let length = [0, 1, 60, 60, 76, 2_000][random.below(6)];
        text.resize(text.len() + length, b'x');
        text.extend_from_slice(b"\r\n");
    }
    text
}

fn link(seed: u64, latency: Duration) -> Link {
    Link { latency, random: Random::new(seed), pipelining: seed.is_multiple_of(2) }
}

/// Recipients and text of each delivered message.
type Delivered = Vec<(Vec<String>, Vec<u8>)>;

/// A server that refuses recipients whose name starts with `no` and appends accepted messages to `delivered`.
fn smtp_server(
    config: smtp_server::Config,
    now: Instant,
    delivered: &RefCell<Delivered>,
) -> Endpoint<'_, smtp_server::Server> {
    let mut envelope: (Vec<String>, Vec<u8>) = Default::default();
    Endpoint {
        machine: smtp_server::Server::new(Arc::new(config), false, now),
        tls_established: |server, now| server.tls_established(now),
        handle: Box::new(move |server, event, _| match event {
            Some(smtp_server::Event::Authenticate(credentials)) => {
                if credentials == Credentials::new("ag", "secret") {
                    server.accept();
                } else {
                    server.reject(Reply::new(535, None, "no"));
                }
            }
            Some(smtp_server::Event::Recipient(recipient))
                if recipient.path.to_string().starts_with("<no") =>
            {
                server.reject(Reply::new(550, None, "no such user"));
            }
            Some(smtp_server::Event::Recipient(recipient)) => {
                envelope.0.push(recipient.path.to_string());
                server.accept();
            }
            Some(smtp_server::Event::Command(_) | smtp_server::Event::Mail(_) | smtp_server::Event::Data) => {
                server.accept()
            }
            Some(smtp_server::Event::Chunk(chunk)) => envelope.1.extend_from_slice(&chunk),
            Some(smtp_server::Event::EndOfData) => {
                delivered.borrow_mut().push(std::mem::take(&mut envelope));
                server.accept();
            }
            Some(smtp_server::Event::Reset) => envelope = Default::default(),
            Some(smtp_server::Event::Refused(_)) => {}
            None => {}
        }),
    }
}

fn smtp_config() -> smtp_server::Config {
    smtp_server::Config {
        hostname: "iitkgp.edu".to_owned(),
        message_size_max: 20 * 1_024 * 1_024,
        recipients_max: 1_000,
        starttls: true,
        auth: AuthOffer::WhenSecure,
        submission: false,
        bare_line_ends: false,
        command_events: false,
        dsn: false,
        require_tls: false,
    }
}

fn envelope(recipients: &[&str], message: &[u8]) -> Envelope {
    let address = |name: &str| Address::parse(&format!("{name}@iit.edu")).unwrap();
    Envelope {
        reverse_path: ReversePath::Address(address("ag")),
        recipients: recipients.iter().map(|name| ForwardPath::Address(address(name)).into()).collect(),
        size: Some(message.len() as u64),
        eight_bit: true,
        utf8: false,
        ret: None,
        envid: None,
        require_tls: false,
    }
}

/// Sends the messages in order. Returns the outcomes of both sides, the delivered messages and the client's events.
fn submit(
    mut config: SubmissionConfig,
    messages: &[(Vec<&str>, Vec<u8>)],
    link: &mut Link,
) -> (Outcomes, Delivered, Vec<smtp_client::Event>) {
    let now = Instant::now();
    let (delivered, events) = (RefCell::default(), RefCell::new(Vec::new()));
    config.credentials = (config.tls == smtp_client::Tls::Required).then(|| Credentials::new("ag", "wrong"));
    let mut submission = Submission::new(config, now);
    for (recipients, message) in messages {
        submission.send(envelope(recipients, message)).unwrap();
    }
    // Bodies of the messages with an accepted recipient, in order.
    let mut bodies =
        messages.iter().filter(|(recipients, _)| !recipients.iter().all(|name| name.starts_with("no")));
    let mut rest: &[u8] = &[];
    let mut chunk_octets = 1;
    let client = Endpoint {
        machine: submission,
        tls_established: |client, _| client.tls_established().unwrap(),
        handle: Box::new(|client: &mut Submission, event, _| {
            match &event {
                Some(smtp_client::Event::SendBody) => rest = &bodies.next().unwrap().1,
                Some(smtp_client::Event::LoginRefused(_)) => {
                    client.login(Credentials::new("ag", "secret")).unwrap()
                }
                Some(smtp_client::Event::Ready { .. }) => client.quit(),
                _ => {}
            }
            if event.is_none() && client.wants_body() {
                while client.wants_body() && !rest.is_empty() {
                    chunk_octets = (chunk_octets * 7 + 1) % 100_003;
                    let (head, tail) = rest.split_at(chunk_octets.min(rest.len()));
                    client.body(head).unwrap();
                    rest = tail;
                }
                if rest.is_empty() {
                    client.body_end().unwrap();
                }
            }
            events.borrow_mut().extend(event);
        }),
    };
    let outcomes = connect(client, smtp_server(smtp_config(), now, &delivered), now, link);
    (outcomes, delivered.into_inner(), events.into_inner())
}

fn submission_config(tls: smtp_client::Tls) -> SubmissionConfig {
    SubmissionConfig {
        hello: HelloName::parse("iit.edu").unwrap(),
        tls,
        credentials: None,
        auth_required: false,
    }
}

#[test]
fn submitted_messages_arrive_unchanged_and_refusals_are_reported() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let messages: Vec<_> =
            [vec!["gb"], vec!["gb", "nobody", "ag"], vec!["nobody", "none"], vec!["ag"], vec!["gb", "no"]]
                .into_iter()
                .map(|recipients| (recipients, text([0, 100, 20_000][random.below(3)], &mut random)))
                .collect();
        let tls = [smtp_client::Tls::Never, smtp_client::Tls::Required][random.below(2)];
        let (outcomes, delivered, events) =
            submit(submission_config(tls), &messages, &mut link(seed, MILLISECOND));
        assert_eq!(outcomes, (Ok(()), Ok(())), "seed {seed}");
        let expected: Delivered = messages
            .iter()
            .map(|(recipients, message)| {
                let accepted = recipients.iter().filter(|name| !name.starts_with("no"));
                (accepted.map(|name| format!("<{name}@iit.edu>")).collect(), message.clone())
            })
            .filter(|(recipients, _): &(Vec<_>, _)| !recipients.is_empty())
            .collect();
        assert!(delivered == expected, "seed {seed}: {} of {} delivered", delivered.len(), expected.len());
        let count = |predicate: fn(&smtp_client::Event) -> bool| {
            events.iter().filter(|event| predicate(event)).count()
        };
        assert_eq!(count(|event| matches!(event, smtp_client::Event::Sent(_))), 4);
        assert_eq!(count(|event| matches!(event, smtp_client::Event::RecipientRefused { .. })), 4);
        assert_eq!(
            count(|event| matches!(event, smtp_client::Event::Refused { stage: Stage::Recipients, .. })),
            1
        );
        assert!(matches!(events.last(), Some(smtp_client::Event::Goodbye(_))));
    }
}

#[test]
fn large_message_arrives_unchanged() {
    for seed in 0..2 {
        let messages = [(vec!["gb"], text(LARGE_MESSAGE_OCTETS, &mut Random::new(seed)))];
        let config = submission_config(smtp_client::Tls::Never);
        let (outcomes, delivered, _) = submit(config, &messages, &mut link(seed, MILLISECOND));
        assert_eq!(outcomes, (Ok(()), Ok(())));
        assert!(delivered.len() == 1 && delivered[0].1 == messages[0].1, "the message has changed");
    }
}

#[test]
fn client_timeout_depends_on_latency_and_pipelining() {
    let messages = [(vec!["gb"], b"hello\r\n".to_vec())];
    // One-way latency in seconds. DATA has a timeout of 2 minutes, other commands of 5; in a pipeline, the timeout of DATA
    // starts with the reply before it.
    for (seconds, pipelining, sent) in
        [(59, false, true), (61, false, false), (61, true, true), (149, true, true)]
    {
        let mut link = Link { pipelining, ..link(1, MINUTE / 60 * seconds) };
        let config = submission_config(smtp_client::Tls::Never);
        let (outcomes, delivered, events) = submit(config, &messages, &mut link);
        let expected = if sent { Ok(()) } else { Err(ProtocolError::TimedOut) };
        assert_eq!((outcomes.0, delivered.len()), (expected, usize::from(sent)), "{seconds} seconds");
        let reported = events.iter().any(|event| matches!(event, smtp_client::Event::Sent(_)));
        assert_eq!(reported, sent, "{seconds} seconds");
    }
}

#[test]
fn server_timeout_is_reported_to_the_client() {
    // EHLO arrives after the server's timeout of 5 minutes.
    let mut link = Link { pipelining: true, ..link(1, MINUTE / 60 * 151) };
    let config = submission_config(smtp_client::Tls::Never);
    let (outcomes, delivered, events) = submit(config, &[(vec!["gb"], b"hello\r\n".to_vec())], &mut link);
    assert_eq!((outcomes, delivered), ((Ok(()), Err(ProtocolError::TimedOut)), vec![]));
    assert!(matches!(events.last(), Some(smtp_client::Event::Goodbye(reply)) if reply.code().value() == 421));
}

/// A server with one maildrop, ag's. QUIT appends the marked messages to `removed`.
fn pop3_server<'a>(
    messages: &'a [Vec<u8>],
    now: Instant,
    removed: &'a RefCell<Vec<u64>>,
) -> Endpoint<'a, pop3_server::Server> {
    let config =
        pop3_server::Config { stls: true, auth: AuthOffer::Always, login_delay: None, implementation: None };
    let message = |number: u64| &messages[usize::try_from(number).unwrap() - 1];
    let octets = move |number: u64| message(number).len() as u64;
    let send = move |server: &mut pop3_server::Server, out: &mut BytesMut, number: u64, length: usize| {
        server.begin_body(octets(number));
        server.poll_transmit(out);
        let mut encoder = DotEncoder::default();
        encoder.encode(&message(number)[..length], out);
        server.finish();
        server.poll_transmit(out);
    };
    Endpoint {
        machine: pop3_server::Server::new(Arc::new(config), true, now),
        tls_established: |server, now| server.tls_established(now),
        handle: Box::new(move |server, event, out| match event {
            Some(pop3_server::Event::User(_)) => server.accept(),
            Some(pop3_server::Event::Authenticate(credentials)) => {
                if credentials == Credentials::new("ag", "secret") {
                    server.opened(
                        messages.len() as u64,
                        messages.iter().map(|message| message.len() as u64).sum(),
                    );
                } else {
                    server.reject(Pop3Reply::err("no"));
                }
            }
            Some(pop3_server::Event::List) => {
                server.begin();
                (1..=messages.len() as u64).for_each(|number| server.item(number, octets(number)));
                server.finish();
            }
            Some(pop3_server::Event::UniqueIds) => {
                server.begin();
                (1..=messages.len() as u64)
                    .for_each(|number| server.unique_id(number, &format!("id-{number}")));
                server.finish();
            }
            Some(pop3_server::Event::Lookup {
                number,
                purpose: Lookup::ListEntry | Lookup::UniqueId | Lookup::Delete,
            }) => {
                server.entry(octets(number), &format!("id-{number}"));
            }
            Some(pop3_server::Event::Retrieve { number }) => send(server, out, number, message(number).len()),
            Some(pop3_server::Event::Top { number, lines }) => {
                send(server, out, number, TopLimiter::new(lines).take(message(number)));
            }
            Some(pop3_server::Event::Quit { marked }) => {
                removed.borrow_mut().extend(marked);
                server.removed();
            }
            None => {}
        }),
    }
}

/// Data received by the client.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fetched {
    stat: Option<(u64, u64)>,
    list: Vec<(u64, u64)>,
    ids: Vec<(u64, String)>,
    bodies: Vec<(u64, Vec<u8>)>,
    deleted: Vec<u64>,
    refused: usize,
    goodbye: bool,
}

impl Fetched {
    fn record(&mut self, event: pop3_client::Event) {
        use pop3_client::Event;
        match event {
            Event::Stat { count, octets } => self.stat = Some((count, octets)),
            Event::ListItem { number, octets } => self.list.push((number, octets)),
            Event::UniqueId { number, id } => self.ids.push((number, id)),
            Event::BodyStart { number, .. } => self.bodies.push((number, Vec::new())),
            Event::Body(text) => self.bodies.last_mut().unwrap().1.extend_from_slice(&text),
            Event::Deleted(number) => self.deleted.push(number),
            Event::Refused { .. } | Event::LoginRefused(_) => self.refused += 1,
            Event::Goodbye(_) => self.goodbye = true,
            _ => {}
        }
    }
}

/// Logs in at the second attempt and then calls `enqueue`, which enqueues commands.
fn fetch(
    messages: &[Vec<u8>],
    config: SessionConfig,
    enqueue: impl FnOnce(&mut Session),
    link: &mut Link,
) -> (Outcomes, Fetched, Vec<u64>) {
    let now = Instant::now();
    let (removed, fetched) = (RefCell::default(), RefCell::new(Fetched::default()));
    let mut session = Session::new(config, now);
    session.login(&Credentials::new("ag", "wrong")).unwrap();
    let mut enqueue = Some(enqueue);
    let client = Endpoint {
        machine: session,
        tls_established: |client, _| client.tls_established().unwrap(),
        handle: Box::new(|client: &mut Session, event, _| {
            if let Some(pop3_client::Event::LoginRefused(_)) = event {
                client.login(&Credentials::new("ag", "secret")).unwrap();
                enqueue.take().expect("login is refused once")(client);
            }
            event.into_iter().for_each(|event| fetched.borrow_mut().record(event));
        }),
    };
    let outcomes = connect(client, pop3_server(messages, now, &removed), now, link);
    (outcomes, fetched.into_inner(), removed.into_inner())
}

#[test]
fn fetched_messages_equal_the_maildrop() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let count = 1 + random.below(50);
        let messages: Vec<_> =
            (0..count).map(|_| text([0, 100, 5_000][random.below(3)], &mut random)).collect();
        let config = SessionConfig {
            tls: [pop3_client::Tls::Never, pop3_client::Tls::Required][random.below(2)],
            method: [pop3_client::Method::UserPass, pop3_client::Method::AuthPlain][random.below(2)],
        };
        let enqueue = |session: &mut Session| {
            session.stat().unwrap();
            session.list(None).unwrap();
            session.uidl(None).unwrap();
            for number in 1..=count as u64 {
                session.retr(number).unwrap();
                session.dele(number).unwrap();
                session.retr(number).unwrap();
            }
            session.quit().unwrap();
        };
        let (outcomes, fetched, removed) = fetch(&messages, config, enqueue, &mut link(seed, MILLISECOND));
        assert_eq!(outcomes, (Ok(()), Ok(())), "seed {seed}");
        let numbered = || (1_u64..).zip(&messages);
        let expected = Fetched {
            stat: Some((count as u64, messages.iter().map(|message| message.len() as u64).sum())),
            list: numbered().map(|(number, message)| (number, message.len() as u64)).collect(),
            ids: numbered().map(|(number, _)| (number, format!("id-{number}"))).collect(),
            bodies: numbered().map(|(number, message)| (number, message.clone())).collect(),
            deleted: (1..=count as u64).collect(),
            refused: 1 + count,
            goodbye: true,
        };
        assert!(fetched == expected, "seed {seed}");
        assert_eq!(removed, expected.deleted);
    }
}

#[test]
fn large_message_is_fetched_unchanged_and_top_returns_the_header() {
    for seed in 0..2 {
        let header = b"Subject: large\r\n\r\n";
        let messages = [[header, &text(LARGE_MESSAGE_OCTETS, &mut Random::new(seed))[..]].concat()];
        let enqueue = |session: &mut Session| {
            session.top(1, 0).unwrap();
            session.retr(1).unwrap();
            session.quit().unwrap();
        };
        let (outcomes, fetched, removed) =
            fetch(&messages, SessionConfig::default(), enqueue, &mut link(seed, MILLISECOND));
        assert_eq!((outcomes, removed), ((Ok(()), Ok(())), vec![]));
        assert_eq!(fetched.bodies[0], (1, header.to_vec()));
        assert!(fetched.bodies[1].1 == messages[0], "the message has changed");
    }
}

#[test]
fn timeout_before_quit_removes_nothing() {
    for (seconds, end) in [(149, Ok(())), (151, Err(ProtocolError::TimedOut))] {
        let enqueue = |session: &mut Session| {
            session.dele(1).unwrap();
            session.quit().unwrap();
        };
        let messages = [b"hello\r\n".to_vec()];
        let (outcomes, fetched, removed) =
            fetch(&messages, SessionConfig::default(), enqueue, &mut link(1, MINUTE / 60 * seconds));
        assert_eq!(outcomes.0, end);
        assert_eq!((fetched.goodbye, removed), if end.is_ok() { (true, vec![1]) } else { (false, vec![]) });
    }
}
