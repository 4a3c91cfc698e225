//! A POP3 session with an account's maildrop, from login to QUIT.

use mail_core::message::address::ReversePath;
use mail_core::message::header;
use mail_core::message::parsed::{NamedAddress, Summary};
use mail_core::pop3::client::{Event, LoginError, Session, SessionConfig, Tls};
use mail_core::pop3::listing::{DropListing, ScanListing};
use mail_core::pop3::reply::{Reply, ResponseCode};
use mail_core::sasl::Credentials;

use crate::connection::{Connection, Server};
use crate::error::Error;
use crate::platform::PLATFORM;
use crate::progress;

/// Memory for one header of the list; the rest of a longer header is dropped.
const HEADER_OCTETS_MAX: usize = 256 * 1024;
/// Longer listings are treated as a protocol error.
const MESSAGES_MAX: usize = 10_000_000;
/// Larger messages are not parsed.
const MESSAGE_OCTETS_MAX: usize = 256 * 1024 * 1024;

/// A server's `-ERR`, or the reason why no command was sent.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) text: String,
    code: Option<ResponseCode>,
}

/// An open maildrop.
#[derive(Debug)]
pub(crate) struct Maildrop {
    connection: Connection<Session>,
    pub(crate) greeting: Reply,
}

/// One row of the list.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) octets: u64,
    pub(crate) summary: Summary,
}

impl Refusal {
    /// Whether the credentials are valid and the login failed for another reason (RFC 2449 section 8.1, RFC 3206).
    pub(crate) const fn confirms_credentials(&self) -> bool {
        matches!(self.code, Some(ResponseCode::InUse | ResponseCode::LoginDelay))
    }

    /// Whether a later attempt may succeed without a change (RFC 2449 section 8.1, RFC 3206).
    pub(crate) const fn is_temporary(&self) -> bool {
        matches!(self.code, Some(ResponseCode::InUse | ResponseCode::LoginDelay | ResponseCode::SysTemp))
    }
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self { text: reply.to_string(), code: reply.code().cloned() }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal.text)
    }
}

/// The inner error is a refusal and leaves the session open; the outer error ends it.
pub(crate) type PopResult<T> = Result<Result<T, Refusal>, Error>;

impl Maildrop {
    /// Connects and logs in. Closes the connection after a refusal.
    pub(crate) fn open(server: &Server, credentials: &Credentials) -> PopResult<Self> {
        let tls = if server.requires_starttls() { Tls::Required } else { Tls::Never };
        let config = SessionConfig { tls, ..SessionConfig::default() };
        let mut connection = Connection::connect(server, |_, now| Session::new(config, now))?;
        match connection.machine.login(credentials) {
            Ok(()) => {}
            Err(error @ LoginError::Credentials(_)) => {
                return Ok(Err(Refusal { text: error.to_string(), code: None }));
            }
            Err(error @ LoginError::Order(_)) => unreachable!("a new session accepts a login: {error}"),
        }
        let mut greeting = Reply::ok("");
        loop {
            match connection.expect_event()? {
                Event::Greeting(reply) => greeting = reply,
                Event::LoggedIn(_) => return Ok(Ok(Self { connection, greeting })),
                Event::LoginRefused(reply) => {
                    if connection.machine.quit().is_ok() {
                        // The refusal is reported even if QUIT fails.
                        while let Ok(Some(_)) = connection.next_event() {}
                    }
                    return Ok(Err(reply.into()));
                }
                Event::TlsRefused(reply) => return Err(connection.tls_refused(reply).into()),
                Event::Rejected(reply) | Event::Goodbye(reply) => {
                    return Err(connection.closed(reply).into());
                }
                _ => {}
            }
        }
    }

    /// STAT: message count and total octets.
    pub(crate) fn stat(&mut self) -> PopResult<DropListing> {
        self.send(Session::stat)?;
        Ok(match self.next_event()? {
            Event::Stat { count, octets } => Ok(DropListing { count, octets }),
            other => Err(self.refusal(other)?),
        })
    }

    /// LIST: every message that is not marked as deleted.
    pub(crate) fn list(&mut self) -> PopResult<Vec<ScanListing>> {
        self.send(|session| session.list(None))?;
        let mut list = Vec::new();
        loop {
            match self.next_event()? {
                Event::ListItem { number, octets } if list.len() < MESSAGES_MAX => {
                    list.push(ScanListing { number, octets });
                }
                Event::ListEnd => return Ok(Ok(list)),
                other => return Ok(Err(self.refusal(other)?)),
            }
        }
    }

    /// LIST n: octets of one message.
    pub(crate) fn octets(&mut self, number: u64) -> PopResult<u64> {
        self.send(|session| session.list(Some(number)))?;
        Ok(match self.next_event()? {
            Event::ListItem { octets, .. } => Ok(octets),
            other => Err(self.refusal(other)?),
        })
    }

    /// UIDL n: unique-id of one message; `None` if the server does not support the optional UIDL.
    pub(crate) fn unique_id(&mut self, number: u64) -> Result<Option<String>, Error> {
        self.send(|session| session.uidl(Some(number)))?;
        Ok(match self.next_event()? {
            Event::UniqueId { id, .. } => Some(id),
            other => self.refusal(other).map(|_| None)?,
        })
    }

    /// UIDL: message numbers and unique-ids; empty if the server does not support UIDL.
    pub(crate) fn unique_ids(&mut self) -> Result<Vec<(u64, String)>, Error> {
        self.send(|session| session.uidl(None))?;
        let mut ids = Vec::new();
        loop {
            match self.next_event()? {
                Event::UniqueId { number, id } if ids.len() < MESSAGES_MAX => ids.push((number, id)),
                Event::UniqueIdEnd => return Ok(ids),
                other => return self.refusal(other).map(|_| Vec::new()),
            }
        }
    }

    /// TOP n 0 for each listed message, pipelined if the server supports it. A refused header results in an empty summary.
    pub(crate) fn entries(&mut self, list: &[ScanListing]) -> Result<Vec<Entry>, Error> {
        for item in list {
            self.send(|session| session.top(item.number, 0))?;
        }
        let bar = progress::messages(list.len() as u64, "Headers");
        let mut entries = Vec::with_capacity(list.len());
        for item in list {
            let mut header = Vec::new();
            let result = self.body(|text| {
                header.extend_from_slice(&text[..text.len().min(HEADER_OCTETS_MAX - header.len())]);
                Ok(())
            })?;
            let summary = if result.is_ok() { summary(&header) } else { Summary::default() };
            entries.push(Entry { number: item.number, octets: item.octets, summary });
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(entries)
    }

    /// RETR: passes the message to `write` in chunks as they arrive. `octets` sets the length of the progress bar.
    pub(crate) fn retrieve(
        &mut self,
        number: u64,
        octets: u64,
        mut write: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> PopResult<()> {
        self.send(|session| session.retr(number))?;
        let bar = progress::bytes(octets, "Receiving");
        let result = self.body(|text| {
            bar.inc(text.len() as u64);
            write(text)
        });
        bar.finish_and_clear();
        result
    }

    /// RETR: the whole message in memory.
    pub(crate) fn message(&mut self, number: u64, octets: u64) -> PopResult<Vec<u8>> {
        let mut message = Vec::new();
        let result = self.retrieve(number, octets, |text| {
            if message.len() + text.len() > MESSAGE_OCTETS_MAX {
                return Err(Error::Failed(format!(
                    "message {number} is too large to display; write it to a file with `mail-client read {number} --raw`"
                )));
            }
            message.extend_from_slice(text);
            Ok(())
        })?;
        Ok(result.map(|()| message))
    }

    /// DELE: marks a message as deleted.
    pub(crate) fn delete(&mut self, number: u64) -> PopResult<()> {
        self.send(|session| session.dele(number))?;
        Ok(match self.next_event()? {
            Event::Deleted(_) => Ok(()),
            other => Err(self.refusal(other)?),
        })
    }

    /// RSET: unmarks all messages.
    pub(crate) fn reset(&mut self) -> PopResult<()> {
        self.send(Session::rset)?;
        Ok(match self.next_event()? {
            Event::Ok(..) => Ok(()),
            other => Err(self.refusal(other)?),
        })
    }

    /// QUIT: removes the marked messages. A refusal means that some were not removed.
    pub(crate) fn quit(mut self) -> PopResult<Reply> {
        self.send(Session::quit)?;
        loop {
            match self.connection.expect_event()? {
                Event::Goodbye(reply) => return Ok(Ok(reply)),
                Event::Refused { reply, .. } => return Ok(Err(reply.into())),
                _ => {}
            }
        }
    }

    /// QUIT without marked messages. A failure changes nothing and is ignored.
    pub(crate) fn close(self) {
        let _ = self.quit();
    }

    /// Receives the reply to RETR or TOP.
    fn body(&mut self, mut write: impl FnMut(&[u8]) -> Result<(), Error>) -> PopResult<()> {
        loop {
            match self.next_event()? {
                Event::BodyStart { .. } => {}
                Event::Body(text) => write(&text)?,
                Event::BodyEnd => return Ok(Ok(())),
                other => return Ok(Err(self.refusal(other)?)),
            }
        }
    }

    /// Queues a command. Fails if the session has ended.
    fn send<E>(&mut self, command: impl FnOnce(&mut Session) -> Result<(), E>) -> Result<(), Error> {
        command(&mut self.connection.machine)
            .map_err(|_| self.connection.lost("the session has ended").into())
    }

    /// The next event; fails if the server ends the session.
    fn next_event(&mut self) -> Result<Event, Error> {
        match self.connection.expect_event()? {
            Event::Goodbye(reply) => Err(self.connection.closed(reply).into()),
            event => Ok(event),
        }
    }

    fn refusal(&self, event: Event) -> Result<Refusal, Error> {
        match event {
            Event::Refused { reply, .. } => Ok(reply.into()),
            // Replies arrive in the order of the commands.
            _ => Err(self.connection.violated("unexpected reply").into()),
        }
    }
}

/// Parses a header. Without a From field, the sender is the reverse-path from Return-Path.
fn summary(header: &[u8]) -> Summary {
    let mut summary = Summary::parse_with(header, PLATFORM.decode_charset);
    if summary.from.is_empty()
        && let Some(path) = header::first(header, "Return-Path")
        && let Ok((ReversePath::Address(sender), _)) = ReversePath::parse(path.value)
    {
        summary.from.push(NamedAddress { name: None, address: sender.to_string() });
    }
    summary
}
