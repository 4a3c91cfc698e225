//! POP3 jobs: check for new mail, fetch a message, delete messages.
//!
//! The size of every response is bounded. A server that exceeds a bound ends the session.

use std::collections::{HashMap, VecDeque};

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
/// The largest message that is fetched, whatever LIST announces.
const MESSAGE_OCTETS_MAX: u64 = 256 * 1_024 * 1_024;
/// What a message may exceed twice its announced size by. Some servers count line ends as one octet.
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

/// Fetches one message. `number` is its last known message number. The caller has to [close](Driver::close) the
/// driver.
pub(crate) async fn fetch<C: Connection>(
    connection: C,
    recorder: TranscriptRecorder,
    credentials: &Credentials,
    unique_id: &str,
    number: Option<u64>,
) -> Result<(Vec<u8>, Driver<C, Session>), SessionError> {
    let mut maildrop = Maildrop::open(connection, recorder, credentials).await?;
    let numbers = maildrop.locate(&[(unique_id.to_owned(), number)]).await?;
    let message = match numbers.get(unique_id) {
        Some(&number) => maildrop.retrieve(number).await?,
        None => Err(GONE.to_owned()),
    };
    match message {
        Ok(message) => {
            maildrop.driver.machine.quit().expect("QUIT is sent once");
            Ok((message, maildrop.driver))
        }
        Err(error) => {
            maildrop.quit_and_close().await;
            Err(SessionError::Refused(error))
        }
    }
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
                true => self.message(Some(*octets)).await,
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
    async fn retrieve(&mut self, number: u64) -> Result<Result<Vec<u8>, String>, SessionError> {
        let session = &mut self.driver.machine;
        session.list(Some(number)).and_then(|()| session.retr(number)).expect("no QUIT is sent yet");
        self.message(None).await
    }

    /// The response to RETR. `announced` is the size from LIST, unless a LIST response precedes it.
    async fn message(&mut self, mut announced: Option<u64>) -> Result<Result<Vec<u8>, String>, SessionError> {
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use bytes::Bytes;

    use super::*;
    use crate::session::testing::{AfterScript, MAIL, Pop3Host, Script, now, recorder};
    use crate::session::{ConnectionLost, Received};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[derive(Default)]
    struct TestDelegate {
        known: Vec<&'static str>,
        requested: RefCell<VecDeque<String>>,
        events: RefCell<Vec<CheckEvent>>,
        returned: RefCell<Vec<String>>,
    }

    impl CheckDelegate for TestDelegate {
        fn has_header(&self, unique_id: &str) -> bool {
            self.known.contains(&unique_id)
        }
        fn next_requested(&self) -> Option<String> {
            self.requested.borrow_mut().pop_front()
        }
        fn return_request(&self, unique_id: String) {
            self.returned.borrow_mut().push(unique_id);
        }
        fn on_event(&self, event: CheckEvent) {
            self.events.borrow_mut().push(event);
        }
    }

    fn gb() -> Credentials {
        Credentials::new("gb", "gondola")
    }

    fn header(message: &[u8]) -> Vec<u8> {
        let end = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        message[..end].to_vec()
    }

    #[test]
    fn check_lists_all_and_fetches_new_headers_newest_first() {
        let host = Pop3Host::new();
        let delegate = TestDelegate { known: vec!["uid-2"], ..TestDelegate::default() };
        now(check(host.connect(), recorder(), &gb(), &delegate)).unwrap();
        let events = delegate.events.into_inner();
        let CheckEvent::Listed(listings) = &events[0] else { panic!("{events:?}") };
        let listed: Vec<_> = listings
            .iter()
            .map(|listing| (listing.unique_id.as_str(), listing.number, listing.octets))
            .collect();
        let octets = |n: usize| MAIL[n].len() as u64;
        assert_eq!(listed, [("uid-1", 1, octets(0)), ("uid-2", 2, octets(1)), ("uid-3", 3, octets(2))]);
        let headers = [
            CheckEvent::Header { unique_id: "uid-3".to_owned(), header: header(MAIL[2]) },
            CheckEvent::Header { unique_id: "uid-1".to_owned(), header: header(MAIL[0]) },
        ];
        assert_eq!(events[1..], headers);
    }

    #[test]
    fn requested_message_is_fetched_before_headers() {
        let host = Pop3Host::new();
        let requested = RefCell::new(["uid-2", "gone"].map(str::to_owned).into());
        let delegate = TestDelegate { requested, ..TestDelegate::default() };
        now(check(host.connect(), recorder(), &gb(), &delegate)).unwrap();
        let events = delegate.events.into_inner();
        let message =
            |unique_id: &str, message| CheckEvent::Message { unique_id: unique_id.to_owned(), message };
        assert!(
            matches!(&events[1], CheckEvent::Message { unique_id, message: Err(_) } if unique_id == "gone")
        );
        assert_eq!(events[2], message("uid-2", Ok(MAIL[1].to_vec())));
        assert_eq!(events.len(), 6);
    }

    #[test]
    fn ten_thousand_headers_arrive_in_one_session() {
        let host =
            Pop3Host::with_mail((0..10_000).map(|n| format!("Subject: {n}\r\n\r\nx\r\n").into_bytes()));
        let delegate = TestDelegate::default();
        now(check(host.connect(), recorder(), &gb(), &delegate)).unwrap();
        let events = delegate.events.into_inner();
        assert_eq!(events.len(), 10_001);
        let last =
            CheckEvent::Header { unique_id: "uid-1".to_owned(), header: b"Subject: 0\r\n\r\n".to_vec() };
        assert_eq!(events.last(), Some(&last));
    }

    #[test]
    fn fetch_finds_a_renumbered_message() {
        let host = Pop3Host::new();
        for hint in [Some(3), Some(1), Some(99), None] {
            let (message, _) = now(fetch(host.connect(), recorder(), &gb(), "uid-3", hint)).unwrap();
            assert_eq!(message, MAIL[2]);
        }
        let missing = now(fetch(host.connect(), recorder(), &gb(), "uid-9", Some(1)));
        assert!(
            matches!(missing, Err(SessionError::Refused(error)) if error.contains("no longer on the server"))
        );
    }

    const LOGGED_IN: [&str; 4] = ["+OK hello\r\n", "-ERR no CAPA\r\n", "+OK\r\n", "+OK\r\n"];

    #[test]
    fn fetched_message_does_not_wait_for_the_quit_reply() {
        let script = [&LOGGED_IN[..], &["+OK 1 uid-1\r\n", "+OK 1 3\r\n", "+OK\r\nx\r\n.\r\n"]].concat();
        let (message, _) =
            now(fetch(Script::new(&script, AfterScript::Panic), recorder(), &gb(), "uid-1", Some(1)))
                .unwrap();
        assert_eq!(message, b"x\r\n");
    }

    #[test]
    fn check_succeeds_if_the_quit_reply_is_lost() {
        let whole = {
            let host = Pop3Host::new();
            now(check(host.connect(), recorder(), &gb(), &TestDelegate::default())).unwrap();
            host.octets_sent()
        };
        let host = Pop3Host::new();
        assert_eq!(
            now(check(host.connect_for(whole - 1), recorder(), &gb(), &TestDelegate::default())),
            Ok(())
        );
    }

    #[test]
    fn request_is_returned_if_the_session_ends() {
        let lists = ["+OK\r\n1 uid-1\r\n.\r\n", "+OK\r\n1 9\r\n.\r\n"];
        let script = [&LOGGED_IN[..], &lists, &["+OK\r\nhalf a mess"]].concat();
        let delegate =
            TestDelegate { requested: RefCell::new(["uid-1".to_owned()].into()), ..TestDelegate::default() };
        let script = Script::new(&script, AfterScript::Close);
        assert_eq!(now(check(script, recorder(), &gb(), &delegate)), Err(SessionError::ConnectionLost));
        assert_eq!(*delegate.returned.borrow(), ["uid-1"]);
    }

    #[test]
    fn delete_removes_several_messages_in_one_session() {
        let host = Pop3Host::new();
        let wanted =
            [("uid-1".to_owned(), Some(1)), ("uid-3".to_owned(), Some(2)), ("uid-9".to_owned(), None)];
        assert_eq!(now(delete(host.connect(), recorder(), &gb(), &wanted)), Ok(Vec::new()));
        assert_eq!(host.unique_ids(), ["uid-2"]);
    }

    #[test]
    fn lost_connection_deletes_nothing() {
        let wanted = [("uid-1".to_owned(), Some(1)), ("uid-3".to_owned(), Some(3))];
        let whole = {
            let host = Pop3Host::new();
            now(delete(host.connect(), recorder(), &gb(), &wanted)).unwrap();
            host.octets_sent()
        };
        for cut in 0..whole {
            let host = Pop3Host::new();
            let result = now(delete(host.connect_for(cut), recorder(), &gb(), &wanted));
            assert_eq!(result, Err(SessionError::ConnectionLost), "after {cut} octets");
            assert_eq!(host.unique_ids(), ["uid-1", "uid-2", "uid-3"], "after {cut} octets");
        }
    }

    #[test]
    fn login_reply_maps_to_error_kind() {
        let host = Pop3Host::new();
        let wrong = Credentials::new("gb", "wrong");
        let refused = now(check(host.connect(), recorder(), &wrong, &TestDelegate::default()));
        assert!(
            matches!(&refused, Err(SessionError::WrongCredentials(error)) if error.contains("wrong username or password"))
        );
        let without_code = Script::new(
            &["+OK hello\r\n", "-ERR no CAPA\r\n", "+OK\r\n", "-ERR no\r\n", "+OK\r\n"],
            AfterScript::Close,
        );
        let refused = now(check(without_code, recorder(), &gb(), &TestDelegate::default()));
        assert!(matches!(refused, Err(SessionError::LoginRefused(_))), "{refused:?}");
        let temporary = Script::new(
            &["+OK hello\r\n", "-ERR no CAPA\r\n", "-ERR [SYS/TEMP] no\r\n", "+OK\r\n"],
            AfterScript::Close,
        );
        let refused = now(check(temporary, recorder(), &gb(), &TestDelegate::default()));
        assert!(
            matches!(&refused, Err(error @ SessionError::Temporary(_)) if error.is_temporary()),
            "{refused:?}"
        );
        host.lock();
        let refused = now(check(host.connect(), recorder(), &gb(), &TestDelegate::default()));
        assert!(
            matches!(&refused, Err(error @ SessionError::Temporary(_)) if error.is_temporary()),
            "{refused:?}"
        );
        let with_line_break = Credentials::new("gb", "a\nb");
        let refused = now(check(host.connect(), recorder(), &with_line_break, &TestDelegate::default()));
        assert!(matches!(refused, Err(SessionError::WrongCredentials(_))));
    }

    /// Sends these replies, then the same chunk of a body forever.
    struct EndlessBody {
        replies: VecDeque<&'static str>,
        chunk: Bytes,
        octets: usize,
    }

    impl EndlessBody {
        fn new(replies: &[&'static str], chunk: &'static [u8]) -> Self {
            Self { replies: replies.iter().copied().collect(), chunk: Bytes::from_static(chunk), octets: 0 }
        }
    }

    impl Connection for &mut EndlessBody {
        async fn receive(&mut self, _deadline: Option<Instant>) -> Received {
            if let Some(reply) = self.replies.pop_front() {
                return Received::Bytes(Bytes::from_static(reply.as_bytes()));
            }
            self.octets += self.chunk.len();
            assert!(self.octets < 10_000_000, "the client does not stop");
            Received::Bytes(self.chunk.clone())
        }
        fn try_receive(&mut self) -> Option<Bytes> {
            None
        }
        async fn send(&mut self, _bytes: Bytes) -> Result<(), ConnectionLost> {
            Ok(())
        }
        fn unsent_octets(&self) -> u64 {
            0
        }
    }

    const LONG_LINE: &[u8] = &[b'x'; 4_096];

    #[test]
    fn fetch_stops_at_a_body_far_larger_than_announced() {
        let replies = [&LOGGED_IN[..], &["+OK 1 uid-1\r\n", "+OK 1 1000\r\n", "+OK\r\n"]].concat();
        for chunk in [LONG_LINE, b"Subject: x\r\n"] {
            let mut server = EndlessBody::new(&replies, chunk);
            let result = now(fetch(&mut server, recorder(), &gb(), "uid-1", Some(1))).map(|_| ());
            let Err(SessionError::LimitExceeded(error)) = result else { panic!("{result:?}") };
            assert!(error.contains("announced 1 KB"), "{error}");
            assert!(server.octets < 100_000, "{} octets were read", server.octets);
        }
    }

    #[test]
    fn check_stops_at_an_endless_header() {
        let lists = ["+OK\r\n1 uid-1\r\n.\r\n", "+OK\r\n1 1000\r\n.\r\n", "+OK\r\n"];
        let mut server = EndlessBody::new(&[&LOGGED_IN[..], &lists].concat(), LONG_LINE);
        let result = now(check(&mut server, recorder(), &gb(), &TestDelegate::default()));
        assert!(matches!(result, Err(SessionError::LimitExceeded(_))), "{result:?}");
        assert!(server.octets < 100_000, "{} octets were read", server.octets);
    }

    #[test]
    fn check_stops_at_an_endless_listing() {
        let mut server = EndlessBody::new(&[&LOGGED_IN[..], &["+OK\r\n"]].concat(), b"1 x\r\n2 y\r\n");
        let result = now(check(&mut server, recorder(), &gb(), &TestDelegate::default()));
        assert!(matches!(result, Err(SessionError::LimitExceeded(_))), "{result:?}");
    }

    #[test]
    fn long_header_is_cut() {
        let message =
            [b"Subject: x\r\n".to_vec(), b"X-Long: yes\r\n".repeat(50_000), b"\r\n".to_vec()].concat();
        let host = Pop3Host::with_mail(std::iter::once(message.clone()));
        let delegate = TestDelegate::default();
        now(check(host.connect(), recorder(), &gb(), &delegate)).unwrap();
        let events = delegate.events.into_inner();
        let CheckEvent::Header { header, .. } = &events[1] else { panic!("{events:?}") };
        assert_eq!(header[..], message[..HEADER_OCTETS_MAX]);
    }

    #[test]
    fn message_somewhat_larger_than_announced_is_accepted() {
        let body = "x\r\n".repeat(20_000);
        let reply: &'static str = format!("+OK\r\n{body}.\r\n").leak();
        let script = [&LOGGED_IN[..], &["+OK 1 uid-1\r\n", "+OK 1 40000\r\n", reply]].concat();
        let script = Script::new(&script, AfterScript::Panic);
        let (message, _) = now(fetch(script, recorder(), &gb(), "uid-1", Some(1))).unwrap();
        assert_eq!(message, body.as_bytes());
    }
}
