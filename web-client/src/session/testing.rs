//! Test servers: the server machines of the core behind a [`Connection`], without a network.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use mail_core::dot::DotEncoder;
use mail_core::machine::{Machine, Step};
use mail_core::pop3::TopLimiter;
use mail_core::pop3::server as pop3;
use mail_core::sasl::{AuthOffer, Credentials};
use mail_core::smtp::server as smtp;
use mail_core::time::{Duration, Instant};

use super::connection::{Connection, ConnectionLost, Received};
use crate::model::transcript::{Protocol, TranscriptRecorder};

pub(super) const MAIL: [&[u8]; 3] = [
    b"From: ag@iit.edu\r\nSubject: one\r\n\r\n.dot\r\n",
    b"From: ag@iit.edu\r\nSubject: two\r\n\r\nbody\r\n",
    b"From: ag@iit.edu\r\nSubject: three\r\n\r\n.\r\n",
];

/// Runs a future that never waits: the test connections answer at once.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a test connection does not wait"),
    }
}

pub(super) fn recorder() -> TranscriptRecorder {
    TranscriptRecorder::new(&Rc::default(), Protocol::Pop3)
}

/// Answers the events of a server machine.
pub(super) trait Policy<M: Machine> {
    fn answer(&self, machine: &mut M, event: M::Event, out: &mut BytesMut);
}

/// A connection to a server machine. It is lost after `octets_left` octets from the client.
pub(super) struct MachineConnection<M, P> {
    machine: M,
    host: Rc<P>,
    octets_left: usize,
    octets_sent: Rc<Cell<usize>>,
    input: BytesMut,
    output: BytesMut,
    lost: bool,
}

impl<M: Machine, P: Policy<M>> MachineConnection<M, P> {
    fn run(&mut self) {
        loop {
            self.machine.poll_transmit(&mut self.output);
            match self
                .machine
                .receive(Instant::now(), &mut self.input)
                .expect("the client follows the protocol")
            {
                Step::Event(event) => self.host.answer(&mut self.machine, event, &mut self.output),
                Step::NeedInput => break,
                step => {
                    assert!(matches!(step, Step::Closed), "no other step without TLS");
                    self.lost = true;
                    break;
                }
            }
        }
        self.machine.poll_transmit(&mut self.output);
    }
}

impl<M: Machine, P: Policy<M>> Connection for MachineConnection<M, P> {
    async fn receive(&mut self, _deadline: Option<Instant>) -> Received {
        self.try_receive().map_or(Received::End, Received::Bytes)
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        if !self.lost {
            self.run();
        }
        (!self.output.is_empty()).then(|| self.output.split().freeze())
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), ConnectionLost> {
        if self.lost {
            return Err(ConnectionLost);
        }
        let accepted = bytes.len().min(self.octets_left);
        self.octets_left -= accepted;
        self.octets_sent.set(self.octets_sent.get() + accepted);
        self.input.extend_from_slice(&bytes[..accepted]);
        self.run();
        if accepted < bytes.len() {
            self.lost = true;
            self.output.clear();
            return Err(ConnectionLost);
        }
        Ok(())
    }

    fn unsent_octets(&self) -> u64 {
        0
    }
}

fn machine_connection<M: Machine, P: Policy<M>>(
    machine: M,
    host: &Rc<P>,
    octets_sent: &Rc<Cell<usize>>,
    octets_left: usize,
) -> MachineConnection<M, P> {
    let (host, octets_sent) = (host.clone(), octets_sent.clone());
    let (input, output) = (BytesMut::new(), BytesMut::new());
    MachineConnection { machine, host, octets_left, octets_sent, input, output, lost: false }
}

/// A server that sends fixed replies, one for each read of the client.
pub(super) struct Script {
    pub(super) replies: VecDeque<&'static str>,
    pub(super) then: AfterScript,
    pub(super) close_reason: Option<&'static str>,
}

/// Result of a read after the last reply.
pub(super) enum AfterScript {
    /// It waits forever.
    Silence,
    Close,
    /// It times out once; the deadline must be at most a few seconds away.
    TimeOut,
    Panic,
}

impl Script {
    pub(super) fn new(replies: &[&'static str], then: AfterScript) -> Self {
        Self { replies: replies.iter().copied().collect(), then, close_reason: None }
    }
}

impl Connection for Script {
    async fn receive(&mut self, deadline: Option<Instant>) -> Received {
        match (self.replies.pop_front(), &self.then) {
            (Some(reply), _) => Received::Bytes(Bytes::from(reply)),
            (None, AfterScript::Silence) => pending().await,
            (None, AfterScript::Close) => Received::End,
            (None, AfterScript::TimeOut) => {
                let soon = Instant::now() + Duration::from_secs(5);
                assert!(deadline.is_some_and(|deadline| deadline < soon), "the deadline is too far away");
                self.then = AfterScript::Panic;
                Received::TimedOut
            }
            (None, AfterScript::Panic) => panic!("read after the end of the script"),
        }
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        None
    }

    async fn send(&mut self, _bytes: Bytes) -> Result<(), ConnectionLost> {
        Ok(())
    }

    fn close_reason(&self) -> Option<String> {
        self.close_reason.map(str::to_owned)
    }

    fn unsent_octets(&self) -> u64 {
        0
    }
}

fn is_valid(credentials: &Credentials) -> bool {
    matches!(
        (credentials.authentication_id.as_str(), credentials.password.expose().as_str()),
        ("gb", "gondola") | ("ag", "arrow")
    )
}

/// A POP3 server with the maildrop of `gb`.
pub(super) struct Pop3Host {
    maildrop: Rc<Maildrop>,
    octets_sent: Rc<Cell<usize>>,
}

#[derive(Default)]
pub(super) struct Maildrop {
    messages: RefCell<Vec<(String, Vec<u8>)>>,
    locked: Cell<bool>,
}

impl Pop3Host {
    pub(super) fn new() -> Self {
        Self::with_mail(MAIL.iter().map(|message| message.to_vec()))
    }

    pub(super) fn with_mail(mail: impl Iterator<Item = Vec<u8>>) -> Self {
        let messages = (1..).zip(mail).map(|(number, message)| (format!("uid-{number}"), message)).collect();
        let maildrop = Maildrop { messages: RefCell::new(messages), locked: Cell::new(false) };
        Self { maildrop: Rc::new(maildrop), octets_sent: Rc::default() }
    }

    pub(super) fn connect(&self) -> impl Connection + use<> {
        self.connect_for(usize::MAX)
    }

    pub(super) fn connect_for(&self, octets: usize) -> impl Connection + use<> {
        let config =
            pop3::Config { stls: false, auth: AuthOffer::Always, login_delay: None, implementation: None };
        let server = pop3::Server::new(Arc::new(config), true, Instant::now());
        machine_connection(server, &self.maildrop, &self.octets_sent, octets)
    }

    pub(super) fn lock(&self) {
        self.maildrop.locked.set(true);
    }

    pub(super) fn unique_ids(&self) -> Vec<String> {
        self.maildrop.messages.borrow().iter().map(|(unique_id, _)| unique_id.clone()).collect()
    }

    pub(super) fn octets_sent(&self) -> usize {
        self.octets_sent.get()
    }
}

impl Policy<pop3::Server> for Maildrop {
    fn answer(&self, server: &mut pop3::Server, event: pop3::Event, out: &mut BytesMut) {
        let mut messages = self.messages.borrow_mut();
        let at = |number: u64| usize::try_from(number).expect("a small number") - 1;
        let octets = |message: &Vec<u8>| message.len() as u64;
        match event {
            pop3::Event::User(_) => server.accept(),
            pop3::Event::Authenticate(credentials) if !is_valid(&credentials) => {
                server.reject(pop3::replies::WRONG_CREDENTIALS);
            }
            pop3::Event::Authenticate(_) if self.locked.get() => server.reject(pop3::replies::IN_USE),
            pop3::Event::Authenticate(_) => {
                let total = messages.iter().map(|(_, message)| octets(message)).sum();
                server.opened(messages.len() as u64, total);
            }
            pop3::Event::List => {
                server.begin();
                (1..)
                    .zip(messages.iter())
                    .for_each(|(number, (_, message))| server.item(number, octets(message)));
                server.finish();
            }
            pop3::Event::UniqueIds => {
                server.begin();
                (1..).zip(messages.iter()).for_each(|(number, (id, _))| server.unique_id(number, id));
                server.finish();
            }
            pop3::Event::Lookup { number, .. } => {
                let (id, message) = &messages[at(number)];
                server.entry(octets(message), id);
            }
            pop3::Event::Retrieve { number } => {
                put_body(server, &messages[at(number)].1, out);
            }
            pop3::Event::Top { number, lines } => {
                let message = &messages[at(number)].1;
                put_body(server, &message[..TopLimiter::new(lines).take(message)], out);
            }
            pop3::Event::Quit { marked } => {
                let mut number = 0;
                messages.retain(|_| {
                    number += 1;
                    !marked.contains(&number)
                });
                server.removed();
            }
        }
    }
}

fn put_body(server: &mut pop3::Server, message: &[u8], out: &mut BytesMut) {
    server.begin_body(message.len() as u64);
    server.poll_transmit(out);
    DotEncoder::default().encode(message, out);
    server.finish();
}

/// An SMTP server that accepts every recipient except `nobody`.
pub(super) struct SmtpHost {
    mail: Rc<Mail>,
    octets_sent: Rc<Cell<usize>>,
}

#[derive(Default)]
pub(super) struct Mail {
    incoming: RefCell<Vec<u8>>,
    delivered: RefCell<Vec<Vec<u8>>>,
}

impl SmtpHost {
    pub(super) fn new() -> Self {
        Self { mail: Rc::default(), octets_sent: Rc::default() }
    }

    pub(super) fn connect(&self) -> impl Connection + use<> {
        self.connect_for(usize::MAX)
    }

    pub(super) fn connect_for(&self, octets: usize) -> impl Connection + use<> {
        let config = smtp::Config {
            hostname: "iitkgp.edu".to_owned(),
            message_size_max: 4_000_000,
            recipients_max: 100,
            submission: false,
            bare_line_ends: false,
            command_events: false,
            dsn: false,
            require_tls: false,
            starttls: false,
            auth: AuthOffer::Always,
        };
        let server = smtp::Server::new(Arc::new(config), true, Instant::now());
        machine_connection(server, &self.mail, &self.octets_sent, octets)
    }

    pub(super) fn delivered(&self) -> Vec<Vec<u8>> {
        self.mail.delivered.borrow().clone()
    }

    pub(super) fn octets_sent(&self) -> usize {
        self.octets_sent.get()
    }
}

impl Policy<smtp::Server> for Mail {
    fn answer(&self, server: &mut smtp::Server, event: smtp::Event, _out: &mut BytesMut) {
        match event {
            smtp::Event::Authenticate(credentials) if !is_valid(&credentials) => {
                server.reject(smtp::replies::WRONG_CREDENTIALS);
            }
            smtp::Event::Recipient(recipient) if recipient.path.to_string().contains("nobody") => {
                server.reject(smtp::replies::UNKNOWN_USER);
            }
            smtp::Event::Data => {
                self.incoming.borrow_mut().clear();
                server.accept();
            }
            smtp::Event::Chunk(text) => self.incoming.borrow_mut().extend_from_slice(&text),
            smtp::Event::EndOfData => {
                self.delivered.borrow_mut().push(self.incoming.take());
                server.accept();
            }
            smtp::Event::Reset | smtp::Event::Refused(_) => {}
            _ => server.accept(),
        }
    }
}
