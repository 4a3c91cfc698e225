//! The errands for which the page logs in to a maildrop: look what is new, fetch a message, delete messages.

use std::collections::{HashMap, VecDeque};

use mail_core::pop3::Command;
use mail_core::pop3::client::{Event, LoginError, Session, SessionConfig};
use mail_core::pop3::reply::{Reply, ResponseCode};
use mail_core::sasl::Credentials;
use mail_core::time::Instant;

use super::{Dialogue, Link, Trouble};
use crate::transcript::Scribe;

/// Commands that are given to the machine ahead of their answers. It sends half of them at once; the other half keeps
/// it busy while the next ones are chosen.
const AHEAD_MAX: usize = 64;

/// A message as the server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) unique_id: String,
    /// Its number in that session. It stays the same until messages before it are removed.
    pub(crate) number: u64,
    pub(crate) octets: u64,
}

/// What a check tells while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// All that is in the maildrop, oldest first.
    Listed(Vec<Listing>),
    /// The header of a message that was not known. It is empty when the server refuses to show it.
    Header { unique_id: String, header: Vec<u8> },
    /// A message that was asked for meanwhile, or the server's words why not.
    Message { unique_id: String, message: Result<Vec<u8>, String> },
}

/// What a check is told.
pub(crate) trait Reader {
    /// Whether the header of this message need not be fetched.
    fn knows(&self, unique_id: &str) -> bool;

    /// A message that somebody wants to read now, sooner than all headers.
    fn wanted(&self) -> Option<String>;

    /// A message that was wanted and did not come before the session ended: it is to be asked for again.
    fn give_back(&self, unique_id: String);

    fn tell(&self, news: News);
}

/// An open maildrop.
struct Maildrop<L> {
    dialogue: Dialogue<L, Session>,
    /// The answer that is coming in.
    body: Vec<u8>,
}

/// Looks what is there, and fetches the headers that are not known, the newest first.
pub(crate) async fn check<L: Link>(
    link: L,
    scribe: Scribe,
    credentials: &Credentials,
    reader: &impl Reader,
) -> Result<(), Trouble> {
    let mut maildrop = Maildrop::open(link, scribe, credentials).await?;
    let listings = maildrop.list().await?;
    let unknown: Vec<Listing> =
        listings.iter().rev().filter(|listing| !reader.knows(&listing.unique_id)).cloned().collect();
    let numbers = listings.iter().map(|listing| (listing.unique_id.clone(), listing.number)).collect();
    reader.tell(News::Listed(listings));
    maildrop.read(unknown, &numbers, reader).await?;
    maildrop.part().await;
    Ok(())
}

/// Fetches one message. `number` is where it was last seen. The dialogue has to be [parted](Dialogue::part) from.
pub(crate) async fn fetch<L: Link>(
    link: L,
    scribe: Scribe,
    credentials: &Credentials,
    unique_id: &str,
    number: Option<u64>,
) -> Result<(Vec<u8>, Dialogue<L, Session>), Trouble> {
    let mut maildrop = Maildrop::open(link, scribe, credentials).await?;
    let numbers = maildrop.locate(&[(unique_id.to_owned(), number)]).await?;
    let message = match numbers.get(unique_id) {
        Some(&number) => maildrop.retrieve(number).await?,
        None => Err("This message is not on the server any more.".to_owned()),
    };
    match message {
        Ok(message) => {
            maildrop.dialogue.machine.quit().expect("QUIT is sent once");
            Ok((message, maildrop.dialogue))
        }
        Err(why) => {
            maildrop.part().await;
            Err(Trouble::Refused(why))
        }
    }
}

/// Deletes messages, and gives those that the server would not delete, with its words. One that is not there any more
/// counts as deleted.
///
/// # Errors
/// Nothing is known to be deleted.
pub(crate) async fn delete<L: Link>(
    link: L,
    scribe: Scribe,
    credentials: &Credentials,
    messages: &[(String, Option<u64>)],
) -> Result<Vec<(String, String)>, Trouble> {
    let mut maildrop = Maildrop::open(link, scribe, credentials).await?;
    let numbers = maildrop.locate(messages).await?;
    for number in numbers.values() {
        maildrop.dialogue.machine.dele(*number).expect("no QUIT is sent yet");
    }
    let mut refused = HashMap::new();
    while maildrop.dialogue.machine.outstanding() > 0 {
        if let Event::Refused { command: Command::Dele(number), reply } = maildrop.next().await? {
            refused.insert(number, said(&reply));
        }
    }
    maildrop.quit().await?;
    let stays = |(unique_id, number): (String, u64)| refused.get(&number).map(|why| (unique_id, why.clone()));
    Ok(numbers.into_iter().filter_map(stays).collect())
}

impl<L: Link> Maildrop<L> {
    async fn open(link: L, scribe: Scribe, credentials: &Credentials) -> Result<Self, Trouble> {
        let mut session = Session::new(SessionConfig::default(), Instant::now());
        session.login(credentials).map_err(|error| match error {
            LoginError::Credentials(_) => Trouble::Credentials(format!("{error}.")),
            LoginError::Order(_) => unreachable!("a new session logs in once"),
        })?;
        let mut maildrop = Self { dialogue: Dialogue::new(link, session, scribe), body: Vec::new() };
        loop {
            match maildrop.next().await? {
                Event::LoggedIn(_) => return Ok(maildrop),
                Event::LoginRefused(reply) => {
                    maildrop.part().await;
                    return Err(refusal(&reply));
                }
                Event::Rejected(reply) => return Err(refusal(&reply)),
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Result<Event, Trouble> {
        self.dialogue.next().await?.ok_or(Trouble::Lost)
    }

    /// UIDL and LIST, joined by their numbers.
    async fn list(&mut self) -> Result<Vec<Listing>, Trouble> {
        let session = &mut self.dialogue.machine;
        session.uidl(None).and_then(|()| session.list(None)).expect("no QUIT is sent yet");
        let (mut listings, mut lengths) = (Vec::new(), HashMap::new());
        while self.dialogue.machine.outstanding() > 0 {
            match self.next().await? {
                Event::UniqueId { number, id } => {
                    listings.push(Listing { unique_id: id, number, octets: 0 });
                }
                Event::ListItem { number, octets } => {
                    lengths.insert(number, octets);
                }
                Event::Refused { reply, .. } => return Err(Trouble::Refused(said(&reply))),
                _ => {}
            }
        }
        for listing in &mut listings {
            listing.octets = lengths.get(&listing.number).copied().unwrap_or_default();
        }
        Ok(listings)
    }

    /// Fetches headers, and between them the messages that are wanted.
    async fn read(
        &mut self,
        unknown: Vec<Listing>,
        numbers: &HashMap<String, u64>,
        reader: &impl Reader,
    ) -> Result<(), Trouble> {
        let mut unknown = unknown.into_iter();
        // Answers come in the order of the commands.
        let mut asked: VecDeque<(String, bool)> = VecDeque::new();
        loop {
            while self.dialogue.machine.outstanding() < AHEAD_MAX {
                let session = &mut self.dialogue.machine;
                if let Some(unique_id) = reader.wanted() {
                    let Some(&number) = numbers.get(&unique_id) else {
                        let message = Err("This message is not on the server any more.".to_owned());
                        reader.tell(News::Message { unique_id, message });
                        continue;
                    };
                    session.retr(number).expect("no QUIT is sent yet");
                    asked.push_back((unique_id, true));
                } else if let Some(listing) = unknown.next() {
                    session.top(listing.number, 0).expect("no QUIT is sent yet");
                    asked.push_back((listing.unique_id, false));
                } else {
                    break;
                }
            }
            if asked.is_empty() {
                return Ok(());
            }
            let answer = self.message().await.inspect_err(|_| {
                asked.drain(..).filter(|(_, whole)| *whole).for_each(|(wanted, _)| reader.give_back(wanted));
            })?;
            let (unique_id, whole) = asked.pop_front().expect("an answer has its command");
            reader.tell(if whole {
                News::Message { unique_id, message: answer }
            } else {
                News::Header { unique_id, header: answer.unwrap_or_default() }
            });
        }
    }

    async fn retrieve(&mut self, number: u64) -> Result<Result<Vec<u8>, String>, Trouble> {
        self.dialogue.machine.retr(number).expect("no QUIT is sent yet");
        self.message().await
    }

    /// The next answer to RETR or TOP.
    async fn message(&mut self) -> Result<Result<Vec<u8>, String>, Trouble> {
        self.body.clear();
        loop {
            match self.next().await? {
                Event::Body(text) => self.body.extend_from_slice(&text),
                Event::BodyEnd => return Ok(Ok(std::mem::take(&mut self.body))),
                Event::Refused { reply, .. } => return Ok(Err(said(&reply))),
                Event::Goodbye(_) => return Err(Trouble::Lost),
                _ => {}
            }
        }
    }

    /// Where messages are now: first a look where they were, then at all of them.
    async fn locate(&mut self, messages: &[(String, Option<u64>)]) -> Result<HashMap<String, u64>, Trouble> {
        for number in messages.iter().filter_map(|(_, number)| *number) {
            self.dialogue.machine.uidl(Some(number)).expect("no QUIT is sent yet");
        }
        let mut found = self.unique_ids(messages).await?;
        if found.len() < messages.len() {
            self.dialogue.machine.uidl(None).expect("no QUIT is sent yet");
            found.extend(self.unique_ids(messages).await?);
        }
        Ok(found)
    }

    async fn unique_ids(
        &mut self,
        messages: &[(String, Option<u64>)],
    ) -> Result<HashMap<String, u64>, Trouble> {
        let mut found = HashMap::new();
        while self.dialogue.machine.outstanding() > 0 {
            match self.next().await? {
                Event::UniqueId { number, id } if messages.iter().any(|(wanted, _)| *wanted == id) => {
                    found.insert(id, number);
                }
                Event::Refused { command: Command::Uidl(None), reply } => {
                    return Err(Trouble::Refused(said(&reply)));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Ends a session whose last answer changes nothing.
    async fn part(mut self) {
        self.dialogue.machine.quit().expect("QUIT is sent once");
        self.dialogue.part().await;
    }

    async fn quit(mut self) -> Result<(), Trouble> {
        self.dialogue.machine.quit().expect("QUIT is sent once");
        loop {
            match self.dialogue.next().await? {
                Some(Event::Goodbye(_)) => {}
                Some(Event::Refused { command: Command::Quit, reply }) => {
                    return Err(Trouble::Refused(said(&reply)));
                }
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }
}

fn refusal(reply: &Reply) -> Trouble {
    match reply.code() {
        Some(ResponseCode::InUse | ResponseCode::LoginDelay | ResponseCode::SysTemp) => {
            Trouble::Later(said(reply))
        }
        Some(ResponseCode::SysPerm) => Trouble::Refused(said(reply)),
        Some(ResponseCode::Auth) => Trouble::Credentials(said(reply)),
        // Not every server has response codes.
        _ => Trouble::Unexplained(said(reply)),
    }
}

/// The server's own words.
fn said(reply: &Reply) -> String {
    let words = if reply.text().is_empty() { "no" } else { reply.text() };
    format!("The server said: {}.", words.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;
    use crate::session::testing::{MAIL, Pop3Host, Script, Then, now, scribe};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[derive(Default)]
    struct Notes {
        known: Vec<&'static str>,
        wanted: RefCell<VecDeque<String>>,
        news: RefCell<Vec<News>>,
        given_back: RefCell<Vec<String>>,
    }

    impl Reader for Notes {
        fn knows(&self, unique_id: &str) -> bool {
            self.known.contains(&unique_id)
        }
        fn wanted(&self) -> Option<String> {
            self.wanted.borrow_mut().pop_front()
        }
        fn give_back(&self, unique_id: String) {
            self.given_back.borrow_mut().push(unique_id);
        }
        fn tell(&self, news: News) {
            self.news.borrow_mut().push(news);
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
    fn a_check_lists_all_and_fetches_the_unknown_headers_newest_first() {
        let host = Pop3Host::new();
        let notes = Notes { known: vec!["uid-2"], ..Notes::default() };
        now(check(host.connect(), scribe(), &gb(), &notes)).unwrap();
        let news = notes.news.into_inner();
        let News::Listed(listings) = &news[0] else { panic!("{news:?}") };
        let listed: Vec<_> = listings
            .iter()
            .map(|listing| (listing.unique_id.as_str(), listing.number, listing.octets))
            .collect();
        let octets = |n: usize| MAIL[n].len() as u64;
        assert_eq!(listed, [("uid-1", 1, octets(0)), ("uid-2", 2, octets(1)), ("uid-3", 3, octets(2))]);
        let headers = [
            News::Header { unique_id: "uid-3".to_owned(), header: header(MAIL[2]) },
            News::Header { unique_id: "uid-1".to_owned(), header: header(MAIL[0]) },
        ];
        assert_eq!(news[1..], headers);
    }

    #[test]
    fn a_message_that_is_wanted_comes_before_the_headers() {
        let host = Pop3Host::new();
        let wanted = RefCell::new(["uid-2", "gone"].map(str::to_owned).into());
        let notes = Notes { wanted, ..Notes::default() };
        now(check(host.connect(), scribe(), &gb(), &notes)).unwrap();
        let news = notes.news.into_inner();
        let message = |unique_id: &str, message| News::Message { unique_id: unique_id.to_owned(), message };
        assert!(matches!(&news[1], News::Message { unique_id, message: Err(_) } if unique_id == "gone"));
        assert_eq!(news[2], message("uid-2", Ok(MAIL[1].to_vec())));
        assert_eq!(news.len(), 6);
    }

    #[test]
    fn ten_thousand_headers_come_in_one_session() {
        let host =
            Pop3Host::with_mail((0..10_000).map(|n| format!("Subject: {n}\r\n\r\nx\r\n").into_bytes()));
        let notes = Notes::default();
        now(check(host.connect(), scribe(), &gb(), &notes)).unwrap();
        let news = notes.news.into_inner();
        assert_eq!(news.len(), 10_001);
        let last = News::Header { unique_id: "uid-1".to_owned(), header: b"Subject: 0\r\n\r\n".to_vec() };
        assert_eq!(news.last(), Some(&last));
    }

    #[test]
    fn a_message_is_fetched_wherever_it_is_now() {
        let host = Pop3Host::new();
        for hint in [Some(3), Some(1), Some(99), None] {
            let (message, _) = now(fetch(host.connect(), scribe(), &gb(), "uid-3", hint)).unwrap();
            assert_eq!(message, MAIL[2]);
        }
        let gone = now(fetch(host.connect(), scribe(), &gb(), "uid-9", Some(1)));
        assert!(matches!(gone, Err(Trouble::Refused(why)) if why.contains("not on the server")));
    }

    const LOGGED_IN: [&str; 4] = ["+OK hello\r\n", "-ERR no CAPA\r\n", "+OK\r\n", "+OK\r\n"];

    #[test]
    fn a_message_that_has_come_does_not_wait_for_the_goodbye() {
        let script = [&LOGGED_IN[..], &["+OK 1 uid-1\r\n", "+OK\r\nx\r\n.\r\n"]].concat();
        let (message, _) =
            now(fetch(Script::new(&script, Then::Failure), scribe(), &gb(), "uid-1", Some(1))).unwrap();
        assert_eq!(message, b"x\r\n");
    }

    #[test]
    fn a_goodbye_that_is_lost_fails_no_check() {
        let whole = {
            let host = Pop3Host::new();
            now(check(host.connect(), scribe(), &gb(), &Notes::default())).unwrap();
            host.octets_sent()
        };
        let host = Pop3Host::new();
        assert_eq!(now(check(host.connect_for(whole - 1), scribe(), &gb(), &Notes::default())), Ok(()));
    }

    #[test]
    fn what_was_wanted_and_did_not_come_is_given_back() {
        let lists = ["+OK\r\n1 uid-1\r\n.\r\n", "+OK\r\n1 9\r\n.\r\n"];
        let script = [&LOGGED_IN[..], &lists, &["+OK\r\nhalf a mess"]].concat();
        let notes = Notes { wanted: RefCell::new(["uid-1".to_owned()].into()), ..Notes::default() };
        let script = Script::new(&script, Then::End);
        assert_eq!(now(check(script, scribe(), &gb(), &notes)), Err(Trouble::Lost));
        assert_eq!(*notes.given_back.borrow(), ["uid-1"]);
    }

    #[test]
    fn messages_are_deleted_in_one_session() {
        let host = Pop3Host::new();
        let wanted =
            [("uid-1".to_owned(), Some(1)), ("uid-3".to_owned(), Some(2)), ("uid-9".to_owned(), None)];
        assert_eq!(now(delete(host.connect(), scribe(), &gb(), &wanted)), Ok(Vec::new()));
        assert_eq!(host.unique_ids(), ["uid-2"]);
    }

    #[test]
    fn a_lost_connection_deletes_none_of_several() {
        let wanted = [("uid-1".to_owned(), Some(1)), ("uid-3".to_owned(), Some(3))];
        let whole = {
            let host = Pop3Host::new();
            now(delete(host.connect(), scribe(), &gb(), &wanted)).unwrap();
            host.octets_sent()
        };
        for cut in 0..whole {
            let host = Pop3Host::new();
            let result = now(delete(host.connect_for(cut), scribe(), &gb(), &wanted));
            assert_eq!(result, Err(Trouble::Lost), "after {cut} octets");
            assert_eq!(host.unique_ids(), ["uid-1", "uid-2", "uid-3"], "after {cut} octets");
        }
    }

    #[test]
    fn a_refusal_is_sorted_by_what_helps() {
        let host = Pop3Host::new();
        let wrong = Credentials::new("gb", "wrong");
        let refused = now(check(host.connect(), scribe(), &wrong, &Notes::default()));
        assert!(
            matches!(&refused, Err(Trouble::Credentials(why)) if why.contains("wrong username or password"))
        );
        let unexplained = Script::new(
            &["+OK hello\r\n", "-ERR no CAPA\r\n", "+OK\r\n", "-ERR no\r\n", "+OK\r\n"],
            Then::End,
        );
        let refused = now(check(unexplained, scribe(), &gb(), &Notes::default()));
        assert!(matches!(refused, Err(Trouble::Unexplained(_))), "{refused:?}");
        let unwell = Script::new(
            &["+OK hello\r\n", "-ERR no CAPA\r\n", "-ERR [SYS/TEMP] no\r\n", "+OK\r\n"],
            Then::End,
        );
        let refused = now(check(unwell, scribe(), &gb(), &Notes::default()));
        assert!(matches!(&refused, Err(trouble @ Trouble::Later(_)) if trouble.passes()), "{refused:?}");
        host.occupy();
        let refused = now(check(host.connect(), scribe(), &gb(), &Notes::default()));
        assert!(matches!(&refused, Err(trouble @ Trouble::Later(_)) if trouble.passes()), "{refused:?}");
        let unsendable = Credentials::new("gb", "a\nb");
        let refused = now(check(host.connect(), scribe(), &unsendable, &Notes::default()));
        assert!(matches!(refused, Err(Trouble::Credentials(_))));
    }
}
