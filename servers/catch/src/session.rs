//! The session of a connection: the servers' SMTP session, with a record of dialogue, faults and messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use config::{Fault, SmtpCommand};
use mail_core::message::address::{Address, LOCAL_PART_OCTETS_MAX};
use mail_core::session::{Encryption, Produced, Session};
use mail_core::smtp::reply::{EnhancedCode, Reply};
use mail_core::smtp::server::{Event, Mail, Server};
use mail_core::time::Instant;
use mail_service::context::{ClientContext, Clock};
use mail_service::faults::FaultTarget;
use mail_service::smtp_session::SmtpSession;
use net::proxy::Client;

use crate::incoming::ReceivedMessage;
use crate::lint::{Declared, Linter};
use crate::recipients;
use crate::record::{self, Envelope, Finding, Line, Record, Timings, milliseconds};
use crate::service::{CatchService, Shared};
use crate::store::{EndedSession, Store, initial_tags};

/// Maximum lines of a recorded dialogue; later ones are dropped.
const DIALOGUE_LINES_MAX: usize = 5_000;
/// Maximum message ids and faults of a recorded session; later ones are dropped.
const SESSION_ENTRIES_MAX: usize = 1_000;

#[derive(Debug)]
pub(crate) struct CatchSession {
    inner: SmtpSession<CatchService>,
    service: Arc<CatchService>,
    start: Instant,
    record: record::Session,
    transaction: Transaction,
    /// The lines before the first MAIL.
    prologue: Option<Vec<Line>>,
    /// The lines since then or since the last stored message.
    lines: Vec<Line>,
    stored: Vec<String>,
    faults: Vec<String>,
}

#[derive(Debug, Default)]
struct Transaction {
    envelope: Envelope,
    timings: Timings,
    linter: Linter,
    faults: Vec<String>,
}

impl CatchSession {
    pub(crate) fn new(shared: &Arc<Shared>, client: &Client, now: Instant) -> Self {
        let service = CatchService::new(shared);
        let context = ClientContext::new(Some(client.address.ip().to_canonical()), true);
        let record = record::Session {
            id: ulid::Ulid::generate().to_string(),
            client: Some(client.address),
            connected: shared.clock.utc(),
            hello: String::new(),
            protocol: String::new(),
            tls: None,
            cipher: None,
            user: None,
        };
        Self {
            inner: SmtpSession::new(Arc::clone(&service), context, None),
            service,
            start: now,
            record,
            transaction: Transaction::default(),
            prologue: None,
            lines: Vec::new(),
            stored: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn store(&self) -> &Arc<Store> {
        &self.service.shared.store
    }

    fn elapsed(&self) -> f64 {
        milliseconds(self.start, self.service.shared.clock.now())
    }

    /// Moves the machine's new lines to the record.
    fn collect(&mut self, machine: &mut Server) {
        let room = DIALOGUE_LINES_MAX.saturating_sub(self.lines.len());
        let start = self.start;
        self.lines.extend(machine.take_dialogue().into_iter().take(room).map(|line| Line::new(line, start)));
    }

    fn begin_transaction(&mut self, mail: &Mail) {
        if self.prologue.is_none() {
            // The last line is MAIL itself.
            let mail_line = self.lines.pop();
            self.prologue = Some(std::mem::take(&mut self.lines));
            self.lines.extend(mail_line);
        }
        let envelope = Envelope {
            from: mail.reverse_path.address().map(ToString::to_string).unwrap_or_default(),
            to: Vec::new(),
            size: mail.size,
            eight_bit: mail.eight_bit,
            utf8: mail.utf8,
        };
        let timings = Timings { mail: self.elapsed(), ..Timings::default() };
        // Faults of MAIL itself, and of the commands before it.
        let faults = std::mem::take(&mut self.transaction.faults);
        self.transaction = Transaction { envelope, timings, faults, ..Transaction::default() };
    }

    /// With `--strict`, the rejection of an address over a limit of RFC 5321 section 4.5.3.1.
    fn length_rejection(&self, address: Option<&Address>, detail: u16) -> Option<Reply> {
        let local = address?.local.as_str();
        (self.service.shared.is_strict && local.len() > LOCAL_PART_OCTETS_MAX).then(|| {
            let text = format!(
                "The local part has more than {LOCAL_PART_OCTETS_MAX} octets (RFC 5321 section 4.5.3.1.1)"
            );
            Reply::new(501, EnhancedCode::new(5, 1, detail), text)
        })
    }

    /// Stores the message. The machine sends its reply after the end of this function, when the message can be found.
    async fn end_of_data(&mut self, machine: &mut Server) {
        let Transaction { envelope, linter, timings, .. } = &mut self.transaction;
        timings.end = milliseconds(self.start, self.service.shared.clock.now());
        let declared = Declared { eight_bit: envelope.eight_bit, utf8: envelope.utf8 };
        let mut lint = std::mem::take(linter).finish(declared);
        lint.extend(long_addresses(envelope));
        if self.service.shared.is_strict
            && let Some(Finding { text, .. }) = lint.iter().find(|finding| finding.is_error)
        {
            self.store().counters.rejected.fetch_add(1, Ordering::Relaxed);
            let reply = Reply::new(550, EnhancedCode::new(5, 6, 0), text.clone());
            self.transaction = Transaction::default();
            self.inner.reset();
            machine.reject(reply);
            return self.collect(machine);
        }
        // The machine forgets both when the transaction ends.
        machine.hello().unwrap_or_default().clone_into(&mut self.record.hello);
        machine.protocol().clone_into(&mut self.record.protocol);
        self.inner.handle(Event::EndOfData, machine).await;
        self.collect(machine);
        match self.service.target.take_received() {
            Some(received) => self.insert(received, lint),
            None => {
                self.store().counters.rejected.fetch_add(1, Ordering::Relaxed);
                self.transaction = Transaction::default();
            }
        }
    }

    fn insert(&mut self, message: ReceivedMessage, lint: Vec<Finding>) {
        let ReceivedMessage { published, received, size, analysis } = message;
        let stored_at = self.elapsed();
        let Transaction { envelope, timings, faults, .. } = std::mem::take(&mut self.transaction);
        let mut dialogue = self.prologue.clone().unwrap_or_default();
        dialogue.append(&mut self.lines);
        let record = Record {
            id: String::new(),
            received,
            size,
            read: false,
            tags: initial_tags(&analysis, &envelope),
            session: self.record.clone(),
            timings: Timings { stored: stored_at, ..timings },
            envelope,
            dialogue,
            lint,
            faults,
        };
        let message = self.store().insert(published, analysis, record);
        if self.stored.len() < SESSION_ENTRIES_MAX {
            self.stored.push(message.id.clone());
        }
    }
}

/// Addresses that strict servers reject. The session accepts them.
fn long_addresses(envelope: &Envelope) -> Vec<Finding> {
    let local_octets =
        |address: &str| address.rsplit_once('@').map_or(0, |(local, _)| local.trim_matches('"').len());
    let all = std::iter::once(&envelope.from).chain(&envelope.to);
    all.filter(|address| local_octets(address) > LOCAL_PART_OCTETS_MAX)
        .map(|address| Finding {
            rule: "long-local-part".to_owned(),
            is_error: true,
            text: format!("The local part of {address} has more than {LOCAL_PART_OCTETS_MAX} octets (RFC 5321 section 4.5.3.1.1)"),
            line: None,
        })
        .collect()
}

impl Session for CatchSession {
    type Machine = Server;

    async fn handle(&mut self, event: Event, machine: &mut Server) {
        machine.record_at(self.service.shared.clock.now());
        if let Event::Chunk(chunk) = &event {
            self.transaction.linter.push(chunk);
            return self.inner.handle(event, machine).await;
        }
        self.collect(machine);
        let rejection = match &event {
            Event::Mail(mail) => {
                self.begin_transaction(mail);
                self.length_rejection(mail.reverse_path.address(), 7)
            }
            Event::Recipient(recipient) => {
                let rejection = self.length_rejection(recipient.path.address(), 3);
                if rejection.is_none() {
                    let recipient = recipient.path.to_string().trim_matches(['<', '>']).to_owned();
                    self.transaction.envelope.to.push(recipient);
                }
                rejection
            }
            Event::Data => {
                self.transaction.timings.data = self.elapsed();
                None
            }
            Event::EndOfData => return self.end_of_data(machine).await,
            Event::Authenticate(credentials) => {
                self.record.user = Some(credentials.authentication_id.clone());
                None
            }
            Event::Reset => {
                self.transaction = Transaction::default();
                None
            }
            // The record has the refused command and its reply as lines of the dialogue.
            Event::Command(_) | Event::Chunk(_) | Event::Refused(_) => None,
        };
        match rejection {
            Some(reply) => machine.reject(reply),
            None => self.inner.handle(event, machine).await,
        }
        self.collect(machine);
    }

    async fn produce(&mut self, machine: &mut Server) -> Produced {
        self.inner.produce(machine).await
    }

    fn tls_established(&mut self, encryption: Encryption, now: Instant, machine: &mut Server) {
        self.record.tls = Some(encryption.version.to_owned());
        self.record.cipher = Some(encryption.suite.to_owned());
        self.record.user = None;
        self.inner.tls_established(encryption, now, machine);
    }

    fn shutdown(&self, machine: &mut Server) {
        self.inner.shutdown(machine);
    }
}

impl FaultTarget for CatchSession {
    type Command = SmtpCommand;

    fn command(&self, event: &Event, machine: &Server) -> Option<(SmtpCommand, Vec<String>)> {
        self.inner.command(event, machine)
    }

    fn octets(event: &Event) -> u64 {
        <SmtpSession<CatchService> as FaultTarget>::octets(event)
    }

    fn reject(&mut self, event: &Event, reply: Reply, machine: &mut Server) {
        machine.record_at(self.service.shared.clock.now());
        if matches!(event, Event::Mail(_) | Event::EndOfData) {
            self.store().counters.rejected.fetch_add(1, Ordering::Relaxed);
        }
        if *event == Event::EndOfData {
            self.transaction = Transaction::default();
        }
        self.inner.reject(event, reply, machine);
        self.collect(machine);
    }

    fn own_fault(&self, event: &Event) -> Option<Fault<SmtpCommand>> {
        match event {
            Event::Recipient(recipient) => recipients::rcpt_fault(&recipient.path.address()?.to_string()),
            Event::EndOfData => {
                self.transaction.envelope.to.iter().find_map(|to| recipients::message_fault(to))
            }
            _ => None,
        }
    }

    fn note(&mut self, fault: &Fault<SmtpCommand>) {
        self.transaction.faults.push(fault.to_string());
        if self.faults.len() < SESSION_ENTRIES_MAX {
            self.faults.push(fault.to_string());
        }
    }

    fn replace_acceptance(reply: Reply, machine: &mut Server) {
        machine.replace_acceptance(reply);
    }

    fn discard_output(machine: &mut Server) {
        machine.discard_output();
    }
}

/// Adds the session to the list of ended ones.
impl Drop for CatchSession {
    fn drop(&mut self) {
        let mut dialogue =
            if self.stored.is_empty() { self.prologue.take().unwrap_or_default() } else { Vec::new() };
        dialogue.append(&mut self.lines);
        let ended: DateTime<Utc> = self.service.shared.clock.utc();
        let session = EndedSession {
            session: self.record.clone(),
            ended,
            messages: std::mem::take(&mut self.stored),
            faults: std::mem::take(&mut self.faults),
            dialogue,
        };
        self.store().end_session(session);
    }
}
