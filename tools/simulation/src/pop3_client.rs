//! A POP3 client that verifies the content of a maildrop, removes some messages, and ends with or without QUIT.

use std::collections::{BTreeMap, BTreeSet};

use mail_core::pop3::client::{Event, Method, Session, SessionConfig, Tls};
use mail_core::pop3::command::Command;
use mail_core::sasl::Credentials;

use crate::client::{Flow, run_client};
use crate::identity::{ACCOUNTS, PASSWORD};
use crate::model::{Account, Attempt, Expectation, FoundMessage};
use crate::network::{ConnectionHandle, LinkProfile};
use crate::processes::Processes;
use crate::server::Protocol;
use crate::world::World;

/// Progress of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    LoggingIn,
    Listing,
    Identifying,
    Working,
    Leaving,
}

struct Reader<'a> {
    world: &'a World,
    name: &'a str,
    account: Account,
    phase: Phase,
    /// Messages that must be present, or must be removed, at the login.
    expected: Expectation,
    stat: Option<(u64, u64)>,
    octets: BTreeMap<u64, u64>,
    unique_ids: BTreeMap<u64, String>,
    bodies: BTreeMap<u64, Vec<u8>>,
    reading: u64,
    attempts: Vec<Attempt>,
    marked: BTreeSet<u64>,
    quitting: bool,
    /// A command was refused, so the listing may be incomplete.
    refused: bool,
    handle: ConnectionHandle,
}

/// Runs some sessions.
pub(crate) async fn read_mail(processes: Processes, name: String) {
    let world = processes.world();
    for _ in 0..world.with_random(|random| random.between(1..=4)) {
        let pause = world.with_random(|random| random.seconds(0..=60));
        world.sleep(pause).await;
        let account = world.with_random(|random| random.below(ACCOUNTS.len()));
        let profile = world.link_profile();
        session(&processes, &name, account, profile).await;
    }
}

/// Verifies that a session over a reliable connection succeeds.
pub(crate) async fn verify_reading(processes: &Processes, account: Account) {
    let world = processes.world();
    let profile = world.with_random(LinkProfile::reliable);
    if !session(processes, "last reader", account, profile).await {
        world.violation(&format!(
            "the maildrop of {} cannot be read after the end of all faults",
            ACCOUNTS[account]
        ));
    }
}

/// Runs one session. Returns whether all commands succeeded.
async fn session(processes: &Processes, name: &str, account: Account, profile: LinkProfile) -> bool {
    let world = processes.world();
    let Some(socket) = processes.connect(name, Protocol::Pop3, profile) else { return false };
    let method = world.with_random(|random| *random.pick(&[Method::UserPass, Method::AuthPlain]));
    let mut session = Session::new(SessionConfig { tls: Tls::Never, method }, world.instant());
    session.login(&Credentials::new(ACCOUNTS[account], PASSWORD)).expect("a new session accepts a login");
    let mut reader = Reader {
        world,
        name,
        account,
        phase: Phase::LoggingIn,
        expected: world.model().expectation(account),
        stat: None,
        octets: BTreeMap::new(),
        unique_ids: BTreeMap::new(),
        bodies: BTreeMap::new(),
        reading: 0,
        attempts: Vec::new(),
        marked: BTreeSet::new(),
        quitting: false,
        refused: false,
        handle: socket.handle(),
    };
    let outcome = run_client(world, socket, session, |session, event| match event {
        Some(event) => reader.on_event(session, event),
        None => reader.on_idle(session),
    })
    .await;
    world.log(|| format!("{name}: session with the maildrop of {} ended: {outcome:?}", ACCOUNTS[account]));
    outcome.is_ok() && !reader.refused && reader.phase == Phase::Leaving
}

impl Reader<'_> {
    fn on_event(&mut self, session: &mut Session, event: Event) -> Flow {
        match event {
            Event::LoggedIn(_) => {
                self.world.log(|| {
                    format!("{}: logged in to the maildrop of {}", self.name, ACCOUNTS[self.account])
                });
                self.expected = self.world.model().narrow(self.account, &self.expected);
                self.phase = Phase::Listing;
                session
                    .stat()
                    .and_then(|()| session.list(None))
                    .and_then(|()| session.uidl(None))
                    .expect("QUIT was not sent");
            }
            Event::Rejected(_) | Event::LoginRefused(_) => {
                self.refused = true;
                self.world.log(|| format!("{}: not logged in: {event:?}", self.name));
                return Flow::Disconnect;
            }
            Event::Stat { count, octets } => self.stat = Some((count, octets)),
            Event::ListItem { number, octets } => {
                let before = self.octets.insert(number, octets);
                if before.is_some_and(|before| before != octets) {
                    self.violation(&format!(
                        "the size of message number {number} changed from {before:?} to {octets}"
                    ));
                }
            }
            Event::UniqueId { number, id } => {
                self.unique_ids.insert(number, id);
            }
            Event::BodyStart { number, .. } => {
                self.reading = number;
                self.bodies.insert(number, Vec::new());
            }
            Event::Body(text) => self.bodies.entry(self.reading).or_default().extend_from_slice(&text),
            Event::BodyEnd if self.phase == Phase::Working || self.phase == Phase::Leaving => {
                self.compare_message()
            }
            Event::Deleted(number) => {
                self.marked.insert(number);
            }
            Event::Ok(Command::Rset, _) => self.marked.clear(),
            Event::Refused { command, reply } => {
                self.refused = true;
                self.world.log(|| format!("{}: {command} refused: {reply}", self.name));
            }
            Event::Goodbye(_) if self.quitting => {
                let removed = self.attempts_of(&self.marked);
                self.world.log(|| format!("{}: removed {removed:?}", self.name));
                self.world.model().removed(self.account, &removed);
            }
            _ => {}
        }
        Flow::Continue
    }

    /// Continues when all commands have been answered.
    fn on_idle(&mut self, session: &mut Session) -> Flow {
        if session.outstanding() > 0 {
            return Flow::Continue;
        }
        match self.phase {
            Phase::LoggingIn => {}
            Phase::Listing if self.refused => return Flow::Disconnect,
            Phase::Listing => {
                self.compare_totals();
                self.octets.keys().try_for_each(|number| session.top(*number, 0)).expect("QUIT was not sent");
                self.phase = Phase::Identifying;
                if self.octets.is_empty() {
                    return self.on_idle(session);
                }
            }
            Phase::Identifying if self.refused => return Flow::Disconnect,
            Phase::Identifying => {
                self.compare_listing();
                self.phase = Phase::Working;
                self.enqueue_commands(session);
            }
            Phase::Working => return self.leave(session),
            Phase::Leaving if self.quitting => {}
            Phase::Leaving => return Flow::Disconnect,
        }
        Flow::Continue
    }

    fn enqueue_commands(&mut self, session: &mut Session) {
        let numbers: Vec<u64> = self.octets.keys().copied().collect();
        let chance = self.world.with_random(|random| *random.pick(&[5, 30, 100]));
        let choose = |percent| -> Vec<u64> {
            numbers
                .iter()
                .copied()
                .filter(|_| self.world.with_random(|random| random.percent(percent)))
                .collect()
        };
        let (read, first, second) = (choose(30), choose(chance), choose(chance));
        let resets = self.world.with_random(|random| random.percent(15));
        let enqueued = read
            .iter()
            .try_for_each(|number| session.retr(*number))
            .and_then(|()| first.iter().try_for_each(|number| session.dele(*number)))
            .and_then(|()| if resets { session.rset() } else { Ok(()) })
            .and_then(|()| second.iter().filter(|_| resets).try_for_each(|number| session.dele(*number)))
            .and_then(|()| session.list(None))
            .and_then(|()| session.noop());
        enqueued.expect("QUIT was not sent");
    }

    fn leave(&mut self, session: &mut Session) -> Flow {
        self.phase = Phase::Leaving;
        if self.world.with_random(|random| random.percent(25)) {
            self.world.log(|| format!("{}: disconnects with {:?} marked", self.name, self.marked));
            if self.world.with_random(|random| random.percent(50)) {
                self.handle.blackhole();
            }
            return Flow::Disconnect;
        }
        let requested = self.attempts_of(&self.marked);
        self.world.log(|| format!("{}: sends QUIT to remove {requested:?}", self.name));
        self.world.model().removal_requested(self.account, &requested);
        self.quitting = true;
        session.quit().expect("QUIT was not sent");
        Flow::Continue
    }

    /// STAT must be the sum of LIST, and LIST and UIDL must have the same numbers.
    fn compare_totals(&self) {
        let sum = (self.octets.len() as u64, self.octets.values().sum::<u64>());
        if self.stat != Some(sum) {
            self.violation(&format!("STAT returned {:?} but LIST {sum:?}", self.stat));
        }
        if !self.octets.keys().eq(self.unique_ids.keys()) || !self.octets.keys().copied().eq(1..=sum.0) {
            self.violation("LIST and UIDL do not number the messages from 1");
        }
    }

    fn compare_listing(&mut self) {
        let listing: Vec<FoundMessage> =
            self.octets.keys().map(|number| self.found(*number, false)).collect();
        let compared = self.world.model().compare(self.account, &self.expected, &listing);
        match compared {
            Ok(attempts) => self.attempts = attempts,
            Err(violation) => self.violation(&violation),
        }
        self.world.model().counters.sessions += 1;
    }

    fn compare_message(&self) {
        let found = self.found(self.reading, true);
        let compared = self.world.model().compare_one(self.account, &found);
        if let Err(violation) = compared {
            self.violation(&violation);
        }
    }

    fn found(&self, number: u64, is_complete: bool) -> FoundMessage {
        FoundMessage {
            octets: self.octets.get(&number).copied().unwrap_or_default(),
            unique_id: self.unique_ids.get(&number).cloned().unwrap_or_default(),
            text: self.bodies.get(&number).cloned().unwrap_or_default(),
            is_complete,
        }
    }

    fn attempts_of(&self, numbers: &BTreeSet<u64>) -> BTreeSet<Attempt> {
        let index = |number: &u64| usize::try_from(number - 1).expect("a small maildrop");
        numbers.iter().filter_map(|number| self.attempts.get(index(number)).copied()).collect()
    }

    fn violation(&self, text: &str) {
        self.world.violation(&format!("{} in the maildrop of {}: {text}", self.name, ACCOUNTS[self.account]));
    }
}
