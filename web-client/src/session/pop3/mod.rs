//! POP3 jobs: check for new mail, fetch a message, fetch messages in the background, delete messages.
//!
//! The size of every response is bounded. A server that exceeds a bound ends the session.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::pin::pin;

use futures::future::{Either, select};
use mail_core::pop3::Command;
use mail_core::pop3::client::{Event, LoginError, Session, SessionConfig};
use mail_core::pop3::reply::{Reply, ResponseCode};
use mail_core::sasl::Credentials;
use mail_core::time::Instant;

use super::{Connection, Driver, SessionError};
use crate::model::format;
use crate::model::message::Listing;
use crate::model::transcript::TranscriptRecorder;

/// Commands that are queued in the machine. Half of them fill its pipeline; the other half is ready when replies
/// arrive.
const QUEUED_MAX: usize = 64;
/// Messages that are fetched in the background at the same time. Few, so that the user's next action does not wait.
const BACKGROUND_QUEUED_MAX: usize = 2;
/// The largest message that is fetched, whatever LIST announces.
const MESSAGE_OCTETS_MAX: u64 = 256 * 1_024 * 1_024;
/// Octets by which a message may exceed twice its announced size. Some servers count line ends as one octet.
const SIZE_TOLERANCE_OCTETS: u64 = 64 * 1_024;
/// The part of a header that is used. The rest is dropped.
const HEADER_OCTETS_MAX: usize = 256 * 1_024;
/// Lines of a UIDL or LIST response.
const LISTINGS_MAX: usize = 200_000;

const GONE: &str = "This message is no longer on the server.";

/// Progress of a [`check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CheckEvent {
    /// The complete scan listing, oldest first.
    Listed(Vec<Listing>),
    /// The header of a new message; empty if the server refuses TOP.
    Header { unique_id: String, header: Vec<u8> },
    /// The answer to [`CheckDelegate::next_requested`]: the message, or an error for the user.
    Message { unique_id: String, message: Result<Vec<u8>, String> },
}

/// Decides what a [`check`] fetches and receives its results.
pub(crate) trait CheckDelegate {
    /// Whether the header of this message is already known.
    fn has_header(&self, unique_id: &str) -> bool;

    /// Takes the next message that the user has opened. It is fetched before the remaining headers.
    fn next_requested(&self) -> Option<String>;

    /// Returns a message that was taken and could not be fetched because the session ended.
    fn return_request(&self, unique_id: String);

    fn on_event(&self, event: CheckEvent);
}

/// A session in the TRANSACTION state.
struct Maildrop<C> {
    driver: Driver<C, Session>,
}

/// Lists the maildrop and fetches the headers that are not known, newest first.
pub(crate) async fn check<C: Connection>(
    connection: C,
    recorder: TranscriptRecorder,
    credentials: &Credentials,
    delegate: &impl CheckDelegate,
) -> Result<(), SessionError> {
    let mut maildrop = Maildrop::open(connection, recorder, credentials).await?;
    let listings = maildrop.list().await?;
    let new = listings.iter().rev().filter(|listing| !delegate.has_header(&listing.unique_id));
    let new: Vec<Listing> = new.cloned().collect();
    delegate.on_event(CheckEvent::Listed(listings.clone()));
    maildrop.fetch_headers(new, &listings, delegate).await?;
    maildrop.quit_and_close().await;
    Ok(())
}

/// Fetches one message. `number` is its last known message number. `progress` receives the octets that have arrived and
/// their announced number. The caller has to [close](Driver::close) the driver. `None` if the fetch was cancelled: the
/// connection is closed then.
pub(crate) async fn fetch<C: Connection>(
    connection: C,
    recorder: TranscriptRecorder,
    credentials: &Credentials,
    (unique_id, number): (&str, Option<u64>),
    progress: impl Fn(u64, u64),
    cancelled: impl Future<Output = ()>,
) -> Result<Option<(Vec<u8>, Driver<C, Session>)>, SessionError> {
    let mut maildrop = Maildrop::open(connection, recorder, credentials).await?;
    let numbers = maildrop.locate(&[(unique_id.to_owned(), number)]).await?;
    let message = match numbers.get(unique_id) {
        Some(&number) => match select(pin!(maildrop.retrieve(number, &progress)), pin!(cancelled)).await {
            Either::Left((message, _)) => message?,
            Either::Right(_) => return Ok(None),
        },
        None => Err(GONE.to_owned()),
    };
    match message {
        Ok(message) => {
            maildrop.driver.machine.quit().expect("QUIT is sent once");
            Ok(Some((message, maildrop.driver)))
        }
        Err(error) => {
            maildrop.quit_and_close().await;
            Err(SessionError::Refused(error))
        }
    }
}

/// Decides what [`fetch_in_background`] fetches and receives the messages.
pub(crate) trait BackgroundDelegate {
    /// The unique-id of the next message; `None` ends the session.
    fn next(&self) -> Option<String>;

    fn on_message(&self, unique_id: String, message: Vec<u8>);
}

/// Fetches messages one by one until the delegate has no more. Messages that the server does not have or refuses are
/// skipped.
pub(crate) async fn fetch_in_background<C: Connection>(
    connection: C,
    recorder: TranscriptRecorder,
    credentials: &Credentials,
    delegate: &impl BackgroundDelegate,
) -> Result<(), SessionError> {
    let mut maildrop = Maildrop::open(connection, recorder, credentials).await?;
    let listings = maildrop.list().await?;
    let listings: HashMap<_, _> =
        listings.iter().map(|listing| (listing.unique_id.as_str(), listing)).collect();
    let mut pending = VecDeque::new();
    loop {
        // The server has the next command when it has sent a message.
        while pending.len() < BACKGROUND_QUEUED_MAX {
            let Some(unique_id) = delegate.next() else { break };
            if let Some(listing) = listings.get(unique_id.as_str()) {
                maildrop.driver.machine.retr(listing.number).expect("no QUIT is sent yet");
                pending.push_back((unique_id, listing.octets));
            }
        }
        let Some((unique_id, octets)) = pending.pop_front() else { break };
        if let Ok(message) = maildrop.message(Some(octets), &|_, _| {}).await? {
            delegate.on_message(unique_id, message);
        }
    }
    maildrop.quit_and_close().await;
    Ok(())
}

/// Deletes messages. Returns those that the server refused to delete, with its reply. A message that does not exist
/// any more counts as deleted.
///
/// # Errors
/// The outcome is unknown; the server has probably deleted nothing.
pub(crate) async fn delete<C: Connection>(
    connection: C,
    recorder: TranscriptRecorder,
    credentials: &Credentials,
    messages: &[(String, Option<u64>)],
) -> Result<Vec<(String, String)>, SessionError> {
    let mut maildrop = Maildrop::open(connection, recorder, credentials).await?;
    let numbers = maildrop.locate(messages).await?;
    for number in numbers.values() {
        maildrop.driver.machine.dele(*number).expect("no QUIT is sent yet");
    }
    let mut refused = HashMap::new();
    while maildrop.driver.machine.outstanding() > 0 {
        if let Event::Refused { command: Command::Dele(number), reply } = maildrop.next_event().await? {
            refused.insert(number, reply_text(&reply));
        }
    }
    maildrop.quit().await?;
    let with_reply =
        |(unique_id, number): (String, u64)| refused.get(&number).map(|reply| (unique_id, reply.clone()));
    Ok(numbers.into_iter().filter_map(with_reply).collect())
}

impl<C: Connection> Maildrop<C> {
    async fn open(
        connection: C,
        recorder: TranscriptRecorder,
        credentials: &Credentials,
    ) -> Result<Self, SessionError> {
        let mut session = Session::new(SessionConfig::default(), Instant::now());
        session.login(credentials).map_err(|error| match error {
            LoginError::Credentials(_) => SessionError::WrongCredentials(format!("{error}.")),
            LoginError::Order(_) => unreachable!("a new session logs in once"),
        })?;
        let mut maildrop = Self { driver: Driver::new(connection, session, recorder) };
        loop {
            match maildrop.next_event().await? {
                Event::LoggedIn(_) => return Ok(maildrop),
                Event::LoginRefused(reply) => {
                    maildrop.quit_and_close().await;
                    return Err(login_error(&reply));
                }
                Event::Rejected(reply) => return Err(login_error(&reply)),
                _ => {}
            }
        }
    }

    async fn next_event(&mut self) -> Result<Event, SessionError> {
        self.driver.next_event().await?.ok_or(SessionError::ConnectionLost)
    }

    /// UIDL and LIST, joined by message number.
    async fn list(&mut self) -> Result<Vec<Listing>, SessionError> {
        let session = &mut self.driver.machine;
        session.uidl(None).and_then(|()| session.list(None)).expect("no QUIT is sent yet");
        let (mut listings, mut sizes) = (Vec::new(), HashMap::new());
        while self.driver.machine.outstanding() > 0 {
            match self.next_event().await? {
                Event::UniqueId { number, id } => {
                    listings.push(Listing { unique_id: id, number, octets: 0 });
                }
                Event::ListItem { number, octets } => {
                    sizes.insert(number, octets);
                }
                Event::Refused { reply, .. } => return Err(SessionError::Refused(reply_text(&reply))),
                _ => {}
            }
            if listings.len().max(sizes.len()) > LISTINGS_MAX {
                return Err(too_many_messages());
            }
        }
        for listing in &mut listings {
            listing.octets = sizes.get(&listing.number).copied().unwrap_or_default();
        }
        Ok(listings)
    }

    /// Fetches the headers of `new`, and requested messages as soon as they are requested.
    async fn fetch_headers(
        &mut self,
        new: Vec<Listing>,
        listings: &[Listing],
        delegate: &impl CheckDelegate,
    ) -> Result<(), SessionError> {
        let mut new = new.into_iter();
        // Responses arrive in the order of the commands.
        let mut pending: VecDeque<(Listing, bool)> = VecDeque::new();
        loop {
            while pending.len() < QUEUED_MAX {
                let session = &mut self.driver.machine;
                if let Some(unique_id) = delegate.next_requested() {
                    let listing = listings.iter().find(|listing| listing.unique_id == unique_id);
                    let Some(listing) = listing else {
                        let message = Err(GONE.to_owned());
                        delegate.on_event(CheckEvent::Message { unique_id, message });
                        continue;
                    };
                    session.retr(listing.number).expect("no QUIT is sent yet");
                    pending.push_back((listing.clone(), true));
                } else if let Some(listing) = new.next() {
                    session.top(listing.number, 0).expect("no QUIT is sent yet");
                    pending.push_back((listing, false));
                } else {
                    break;
                }
            }
            let Some((Listing { octets, .. }, whole)) = pending.front() else { return Ok(()) };
            let response = match whole {
                true => self.message(Some(*octets), &|_, _| {}).await,
                false => self.header(*octets).await.map(Ok),
            };
            let response = response.inspect_err(|_| {
                let requested = pending.drain(..).filter(|(_, whole)| *whole);
                requested.for_each(|(listing, _)| delegate.return_request(listing.unique_id));
            })?;
            let (Listing { unique_id, .. }, whole) =
                pending.pop_front().expect("each response has its command");
            delegate.on_event(if whole {
                CheckEvent::Message { unique_id, message: response }
            } else {
                CheckEvent::Header { unique_id, header: response.unwrap_or_default() }
            });
        }
    }

    /// LIST and RETR in one round trip; LIST announces the size.
    async fn retrieve(
        &mut self,
        number: u64,
        progress: &impl Fn(u64, u64),
    ) -> Result<Result<Vec<u8>, String>, SessionError> {
        let session = &mut self.driver.machine;
        session.list(Some(number)).and_then(|()| session.retr(number)).expect("no QUIT is sent yet");
        self.message(None, progress).await
    }

    /// The response to RETR. `announced` is the size from LIST, unless a LIST response precedes it.
    async fn message(
        &mut self,
        mut announced: Option<u64>,
        progress: &impl Fn(u64, u64),
    ) -> Result<Result<Vec<u8>, String>, SessionError> {
        let mut message = Vec::new();
        loop {
            match self.next_event().await? {
                Event::ListItem { octets, .. } => announced = Some(octets),
                Event::Refused { command: Command::List(_), .. } => {}
                Event::Body(text) => {
                    let limit = octets_limit(announced);
                    if (message.len() + text.len()) as u64 > limit {
                        return Err(message_too_large(announced));
                    }
                    message.extend_from_slice(&text);
                    progress(message.len() as u64, announced.unwrap_or_default());
                }
                Event::BodyEnd => return Ok(Ok(message)),
                Event::Refused { reply, .. } => return Ok(Err(reply_text(&reply))),
                Event::Goodbye(_) => return Err(SessionError::ConnectionLost),
                _ => {}
            }
        }
    }

    /// The response to TOP with no lines, cut at [`HEADER_OCTETS_MAX`]; empty if the server refuses.
    async fn header(&mut self, announced: u64) -> Result<Vec<u8>, SessionError> {
        let (mut header, mut octets) = (Vec::new(), 0);
        loop {
            match self.next_event().await? {
                Event::Body(text) => {
                    octets += text.len() as u64;
                    if octets > octets_limit(Some(announced)) {
                        return Err(message_too_large(Some(announced)));
                    }
                    let room = HEADER_OCTETS_MAX.saturating_sub(header.len());
                    header.extend_from_slice(&text[..text.len().min(room)]);
                }
                Event::BodyEnd => return Ok(header),
                Event::Refused { .. } => return Ok(Vec::new()),
                Event::Goodbye(_) => return Err(SessionError::ConnectionLost),
                _ => {}
            }
        }
    }

    /// The current message numbers: UIDL with the last known numbers, and a full UIDL if one of them has changed.
    async fn locate(
        &mut self,
        messages: &[(String, Option<u64>)],
    ) -> Result<HashMap<String, u64>, SessionError> {
        for number in messages.iter().filter_map(|(_, number)| *number) {
            self.driver.machine.uidl(Some(number)).expect("no QUIT is sent yet");
        }
        let mut found = self.unique_ids(messages).await?;
        if found.len() < messages.len() {
            self.driver.machine.uidl(None).expect("no QUIT is sent yet");
            found.extend(self.unique_ids(messages).await?);
        }
        Ok(found)
    }

    async fn unique_ids(
        &mut self,
        messages: &[(String, Option<u64>)],
    ) -> Result<HashMap<String, u64>, SessionError> {
        let (mut found, mut lines) = (HashMap::new(), 0);
        while self.driver.machine.outstanding() > 0 {
            match self.next_event().await? {
                Event::UniqueId { number, id } if messages.iter().any(|(wanted, _)| *wanted == id) => {
                    found.insert(id, number);
                }
                Event::Refused { command: Command::Uidl(None), reply } => {
                    return Err(SessionError::Refused(reply_text(&reply)));
                }
                _ => {}
            }
            lines += 1;
            if lines > LISTINGS_MAX {
                return Err(too_many_messages());
            }
        }
        Ok(found)
    }

    /// Ends a session without deletions: the reply to QUIT does not matter.
    async fn quit_and_close(mut self) {
        self.driver.machine.quit().expect("QUIT is sent once");
        self.driver.close().await;
    }

    /// Ends a session and waits until the server has deleted the marked messages (RFC 1939 section 6).
    async fn quit(mut self) -> Result<(), SessionError> {
        self.driver.machine.quit().expect("QUIT is sent once");
        while let Some(event) = self.driver.next_event().await? {
            if let Event::Refused { command: Command::Quit, reply } = event {
                return Err(SessionError::Refused(reply_text(&reply)));
            }
        }
        Ok(())
    }
}

fn octets_limit(announced: Option<u64>) -> u64 {
    announced.map_or(MESSAGE_OCTETS_MAX, |octets| {
        octets.saturating_mul(2).saturating_add(SIZE_TOLERANCE_OCTETS).min(MESSAGE_OCTETS_MAX)
    })
}

fn message_too_large(announced: Option<u64>) -> SessionError {
    SessionError::LimitExceeded(match announced {
        Some(octets) if octets_limit(announced) < MESSAGE_OCTETS_MAX => format!(
            "The download was stopped: the server announced {} and sent far more.",
            format::size(octets)
        ),
        _ => format!(
            "The download was stopped: messages over {} cannot be opened here.",
            format::size(MESSAGE_OCTETS_MAX)
        ),
    })
}

fn too_many_messages() -> SessionError {
    SessionError::LimitExceeded(format!("The server lists more than {LISTINGS_MAX} messages."))
}

fn login_error(reply: &Reply) -> SessionError {
    match reply.code() {
        Some(ResponseCode::InUse | ResponseCode::LoginDelay | ResponseCode::SysTemp) => {
            SessionError::Temporary(reply_text(reply))
        }
        Some(ResponseCode::SysPerm) => SessionError::Refused(reply_text(reply)),
        Some(ResponseCode::Auth) => SessionError::WrongCredentials(reply_text(reply)),
        // Not every server sends response codes.
        _ => SessionError::LoginRefused(reply_text(reply)),
    }
}

/// The server's reply as a sentence.
fn reply_text(reply: &Reply) -> String {
    let text = if reply.text().is_empty() { "no reason given" } else { reply.text() };
    format!("The server replied: {}.", text.trim_end_matches('.'))
}
