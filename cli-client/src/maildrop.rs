//! One POP3 session: the maildrop of one account, from the login to QUIT.

use mail_core::message::address::ReversePath;
use mail_core::message::header;
use mail_core::message::view::{Person, Summary};
use mail_core::pop3::client::{Event, LoginError, Session, SessionConfig, Tls};
use mail_core::pop3::listing::{DropListing, ScanListing};
use mail_core::pop3::reply::{Reply, ResponseCode};
use mail_core::sasl::Credentials;

use crate::error::Error;
use crate::link::{Link, Server};
use crate::progress;

/// As much of a header is kept for the list. Honest ones are far smaller; the rest of a hostile one is dropped.
const HEADER_OCTETS_MAX: usize = 256 * 1024;

/// So many messages are listed; only a server that means ill has more.
const MESSAGES_MAX: usize = 10_000_000;
/// As much of a message is taken apart in memory.
const MESSAGE_OCTETS_MAX: usize = 256 * 1024 * 1024;

/// A server's `-ERR`, or why it was not even asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) words: String,
    code: Option<ResponseCode>,
}

/// An open maildrop.
#[derive(Debug)]
pub(crate) struct Maildrop {
    link: Link<Session>,
    pub(crate) greeting: Reply,
}

/// One message as the lists show it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) octets: u64,
    pub(crate) summary: Summary,
}

impl Refusal {
    /// Whether the credentials are right all the same: the login failed for another reason (RFC 2449 section 8.1,
    /// RFC 3206).
    pub(crate) const fn knows_account(&self) -> bool {
        matches!(self.code, Some(ResponseCode::InUse | ResponseCode::LoginDelay))
    }
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self { words: reply.to_string(), code: reply.code().cloned() }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal.words)
    }
}

/// What was asked for, or the server's refusal of it; the outer error ends the session.
pub(crate) type Answer<T> = Result<Result<T, Refusal>, Error>;

impl Maildrop {
    /// Connects and logs in with USER and PASS. After a refusal the connection is closed; a new try is a new one.
    pub(crate) fn open(server: &Server, credentials: &Credentials) -> Answer<Self> {
        let tls = if server.asks_for_tls() { Tls::Required } else { Tls::Never };
        let config = SessionConfig { tls, ..SessionConfig::default() };
        let mut link = Link::connect(server, |_, now| Session::new(config, now))?;
        match link.machine.login(credentials) {
            Ok(()) => {}
            Err(error @ LoginError::Credentials(_)) => {
                return Ok(Err(Refusal { words: error.to_string(), code: None }));
            }
            Err(error @ LoginError::Order(_)) => unreachable!("a new session takes one login: {error}"),
        }
        let mut greeting = Reply::ok("");
        loop {
            match link.expect()? {
                Event::Greeting(reply) => greeting = reply,
                Event::LoggedIn(_) => return Ok(Ok(Self { link, greeting })),
                Event::LoginRefused(reply) => {
                    if link.machine.quit().is_ok() {
                        // The refusal is the news, whatever becomes of the goodbye.
                        while let Ok(Some(_)) = link.next() {}
                    }
                    return Ok(Err(reply.into()));
                }
                Event::Rejected(reply) | Event::TlsRefused(reply) | Event::Goodbye(reply) => {
                    return Err(link.closed(reply).into());
                }
                _ => {}
            }
        }
    }

    /// How many messages, and their octets.
    pub(crate) fn stat(&mut self) -> Answer<DropListing> {
        self.ask(Session::stat)?;
        Ok(match self.event()? {
            Event::Stat { count, octets } => Ok(DropListing { count, octets }),
            other => Err(self.refused(other)?),
        })
    }

    /// The scan listing: every message that is not marked.
    pub(crate) fn list(&mut self) -> Answer<Vec<ScanListing>> {
        self.ask(|session| session.list(None))?;
        let mut list = Vec::new();
        loop {
            match self.event()? {
                Event::ListItem { number, octets } if list.len() < MESSAGES_MAX => {
                    list.push(ScanListing { number, octets });
                }
                Event::ListEnd => return Ok(Ok(list)),
                other => return Ok(Err(self.refused(other)?)),
            }
        }
    }

    /// The octets of one message.
    pub(crate) fn octets(&mut self, number: u64) -> Answer<u64> {
        self.ask(|session| session.list(Some(number)))?;
        Ok(match self.event()? {
            Event::ListItem { octets, .. } => Ok(octets),
            other => Err(self.refused(other)?),
        })
    }

    /// The unique-id of one message, where the server has such (UIDL is optional).
    pub(crate) fn unique_id(&mut self, number: u64) -> Result<Option<String>, Error> {
        self.ask(|session| session.uidl(Some(number)))?;
        Ok(match self.event()? {
            Event::UniqueId { id, .. } => Some(id),
            other => self.refused(other).map(|_| None)?,
        })
    }

    /// The unique-ids of all messages with their numbers; none where the server has no UIDL.
    pub(crate) fn unique_ids(&mut self) -> Result<Vec<(u64, String)>, Error> {
        self.ask(|session| session.uidl(None))?;
        let mut ids = Vec::new();
        loop {
            match self.event()? {
                Event::UniqueId { number, id } if ids.len() < MESSAGES_MAX => ids.push((number, id)),
                Event::UniqueIdEnd => return Ok(ids),
                other => return self.refused(other).map(|_| Vec::new()),
            }
        }
    }

    /// What the headers of these messages say, asked for in one flight where the server pipelines. A header that the
    /// server does not give leaves an empty summary.
    pub(crate) fn entries(&mut self, list: &[ScanListing]) -> Result<Vec<Entry>, Error> {
        for item in list {
            self.ask(|session| session.top(item.number, 0))?;
        }
        let bar = progress::messages(list.len() as u64, "Headers");
        let mut entries = Vec::with_capacity(list.len());
        for item in list {
            let mut header = Vec::new();
            let answer = self.body(|text| {
                header.extend_from_slice(&text[..text.len().min(HEADER_OCTETS_MAX - header.len())]);
                Ok(())
            })?;
            let summary = if answer.is_ok() { summary(&header) } else { Summary::default() };
            entries.push(Entry { number: item.number, octets: item.octets, summary });
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(entries)
    }

    /// RETR: hands the message to `take` in stretches as they arrive. `octets` is its length, for the progress bar.
    pub(crate) fn retrieve(
        &mut self,
        number: u64,
        octets: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Answer<()> {
        self.ask(|session| session.retr(number))?;
        let bar = progress::octets(octets, "Receiving");
        let answer = self.body(|text| {
            bar.inc(text.len() as u64);
            take(text)
        });
        bar.finish_and_clear();
        answer
    }

    /// RETR: the whole message at once, to be taken apart.
    pub(crate) fn message(&mut self, number: u64, octets: u64) -> Answer<Vec<u8>> {
        let mut message = Vec::new();
        let answer = self.retrieve(number, octets, |text| {
            if message.len() + text.len() > MESSAGE_OCTETS_MAX {
                return Err(Error::Failed(format!(
                    "message {number} is too large to be shown; write it to a file with `mail-client read {number} --raw`"
                )));
            }
            message.extend_from_slice(text);
            Ok(())
        })?;
        Ok(answer.map(|()| message))
    }

    /// DELE: marks a message.
    pub(crate) fn delete(&mut self, number: u64) -> Answer<()> {
        self.ask(|session| session.dele(number))?;
        Ok(match self.event()? {
            Event::Deleted(_) => Ok(()),
            other => Err(self.refused(other)?),
        })
    }

    /// RSET: takes all marks back.
    pub(crate) fn reset(&mut self) -> Answer<()> {
        self.ask(Session::rset)?;
        Ok(match self.event()? {
            Event::Ok(..) => Ok(()),
            other => Err(self.refused(other)?),
        })
    }

    /// QUIT: removes what is marked. The server's goodbye, or its word that not all of it is gone.
    pub(crate) fn quit(mut self) -> Answer<Reply> {
        self.ask(Session::quit)?;
        loop {
            match self.link.expect()? {
                Event::Goodbye(reply) => return Ok(Ok(reply)),
                Event::Refused { reply, .. } => return Ok(Err(reply.into())),
                _ => {}
            }
        }
    }

    /// Takes the answer to RETR or TOP.
    fn body(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Answer<()> {
        loop {
            match self.event()? {
                Event::BodyStart { .. } => {}
                Event::Body(text) => take(&text)?,
                Event::BodyEnd => return Ok(Ok(())),
                other => return Ok(Err(self.refused(other)?)),
            }
        }
    }

    /// Queues a command. After the session's end none can be, and the next event says why.
    fn ask<E>(&mut self, command: impl FnOnce(&mut Session) -> Result<(), E>) -> Result<(), Error> {
        command(&mut self.link.machine).map_err(|_| self.link.closed("the session is over").into())
    }

    /// The next event of a session that is not being ended.
    fn event(&mut self) -> Result<Event, Error> {
        match self.link.expect()? {
            Event::Goodbye(reply) => Err(self.link.closed(reply).into()),
            event => Ok(event),
        }
    }

    fn refused(&self, event: Event) -> Result<Refusal, Error> {
        match event {
            Event::Refused { reply, .. } => Ok(reply.into()),
            // Answers come in the order of the commands.
            _ => Err(self.link.closed("it answered what was not asked").into()),
        }
    }
}

/// What a header says. Where it has no From, the sender is the one of the envelope, as in the mailbox file.
fn summary(header: &[u8]) -> Summary {
    let mut summary = Summary::parse(header);
    if summary.from.is_empty()
        && let Some(path) = header::first(header, "Return-Path")
        && let Ok((ReversePath::Address(sender), _)) = ReversePath::parse(path.value)
    {
        summary.from.push(Person { name: None, address: sender.to_string() });
    }
    summary
}
