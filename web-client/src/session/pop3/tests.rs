use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;

use bytes::Bytes;
use futures::channel::oneshot;

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
    let listed: Vec<_> =
        listings.iter().map(|listing| (listing.unique_id.as_str(), listing.number, listing.octets)).collect();
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
    let message = |unique_id: &str, message| CheckEvent::Message { unique_id: unique_id.to_owned(), message };
    assert!(matches!(&events[1], CheckEvent::Message { unique_id, message: Err(_) } if unique_id == "gone"));
    assert_eq!(events[2], message("uid-2", Ok(MAIL[1].to_vec())));
    assert_eq!(events.len(), 6);
}

#[test]
fn ten_thousand_headers_arrive_in_one_session() {
    let host = Pop3Host::with_mail((0..10_000).map(|n| format!("Subject: {n}\r\n\r\nx\r\n").into_bytes()));
    let delegate = TestDelegate::default();
    now(check(host.connect(), recorder(), &gb(), &delegate)).unwrap();
    let events = delegate.events.into_inner();
    assert_eq!(events.len(), 10_001);
    let last = CheckEvent::Header { unique_id: "uid-1".to_owned(), header: b"Subject: 0\r\n\r\n".to_vec() };
    assert_eq!(events.last(), Some(&last));
}

#[test]
fn fetch_finds_a_renumbered_message() {
    let host = Pop3Host::new();
    for hint in [Some(3), Some(1), Some(99), None] {
        let (message, _) = now(fetch_all(host.connect(), "uid-3", hint)).unwrap();
        assert_eq!(message, MAIL[2]);
    }
    let missing = now(fetch_all(host.connect(), "uid-9", Some(1)));
    assert!(
        matches!(missing, Err(SessionError::Refused(error)) if error.contains("no longer on the server"))
    );
}

const LOGGED_IN: [&str; 4] = ["+OK hello\r\n", "-ERR no CAPA\r\n", "+OK\r\n", "+OK\r\n"];

#[test]
fn fetched_message_does_not_wait_for_the_quit_reply() {
    let script = [&LOGGED_IN[..], &["+OK 1 uid-1\r\n", "+OK 1 3\r\n", "+OK\r\nx\r\n.\r\n"]].concat();
    let (message, _) = now(fetch_all(Script::new(&script, AfterScript::Panic), "uid-1", Some(1))).unwrap();
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
    assert_eq!(now(check(host.connect_for(whole - 1), recorder(), &gb(), &TestDelegate::default())), Ok(()));
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
    let wanted = [("uid-1".to_owned(), Some(1)), ("uid-3".to_owned(), Some(2)), ("uid-9".to_owned(), None)];
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
        let result = now(fetch_all(&mut server, "uid-1", Some(1))).map(|_| ());
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
    let message = [b"Subject: x\r\n".to_vec(), b"X-Long: yes\r\n".repeat(50_000), b"\r\n".to_vec()].concat();
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
    let (message, _) = now(fetch_all(script, "uid-1", Some(1))).unwrap();
    assert_eq!(message, body.as_bytes());
}

/// Fetches a message without cancelling.
async fn fetch_all<C: Connection>(
    connection: C,
    unique_id: &str,
    number: Option<u64>,
) -> Result<(Vec<u8>, Driver<C, Session>), SessionError> {
    let fetched = fetch(connection, recorder(), &gb(), (unique_id, number), |_, _| {}, pending()).await;
    fetched.map(|fetched| fetched.expect("nothing cancels it"))
}

#[test]
fn fetch_reports_its_progress() {
    let host = Pop3Host::new();
    let progress = RefCell::new(Vec::new());
    let report = |octets, announced| progress.borrow_mut().push((octets, announced));
    let fetched = now(fetch(host.connect(), recorder(), &gb(), ("uid-1", Some(1)), report, pending()));
    let (message, driver) = fetched.unwrap().unwrap();
    now(driver.close());
    let progress = progress.into_inner();
    assert_eq!(progress.last().map(|(octets, _)| *octets), Some(message.len() as u64));
    assert!(progress.iter().all(|(_, announced)| *announced > 0), "{progress:?}");
}

#[test]
fn fetch_is_cancelled_while_the_message_arrives() {
    let replies = ["+OK 1 uid-1\r\n", "+OK 1 40000\r\n", "+OK\r\nSubject: x\r\n"];
    // Without the cancellation, the fetch would wait forever.
    let script = Script::new(&[&LOGGED_IN[..], &replies].concat(), AfterScript::Silence);
    let (cancel, cancelled) = oneshot::channel();
    let cancel = RefCell::new(Some(cancel));
    let progress = |octets, _| {
        assert!(octets > 0);
        if let Some(cancel) = cancel.take() {
            cancel.send(()).expect("the fetch runs");
        }
    };
    let cancelled = async { cancelled.await.expect("the progress cancels it") };
    let fetched = now(fetch(script, recorder(), &gb(), ("uid-1", Some(1)), progress, cancelled));
    assert!(matches!(fetched, Ok(None)));
    assert!(cancel.borrow().is_none(), "it was cancelled before anything arrived");
}

struct TestBackgroundDelegate {
    /// The next one is the last.
    wanted: RefCell<Vec<&'static str>>,
    messages: RefCell<Vec<(String, Vec<u8>)>>,
}

impl BackgroundDelegate for TestBackgroundDelegate {
    fn next(&self) -> Option<String> {
        self.wanted.borrow_mut().pop().map(str::to_owned)
    }
    fn on_message(&self, unique_id: String, message: Vec<u8>) {
        self.messages.borrow_mut().push((unique_id, message));
    }
}

#[test]
fn background_fetch_skips_missing_messages_and_ends_with_quit() {
    let host = Pop3Host::new();
    let delegate = TestBackgroundDelegate {
        wanted: RefCell::new(vec!["uid-1", "gone", "uid-3", "uid-2"]),
        messages: RefCell::default(),
    };
    now(fetch_in_background(host.connect(), recorder(), &gb(), &delegate)).unwrap();
    let message = |unique_id: &str, message: &[u8]| (unique_id.to_owned(), message.to_vec());
    let expected = [message("uid-2", MAIL[1]), message("uid-3", MAIL[2]), message("uid-1", MAIL[0])];
    assert_eq!(delegate.messages.into_inner(), expected);
    // The maildrop is not locked.
    now(check(host.connect(), recorder(), &gb(), &TestDelegate::default())).unwrap();
}
