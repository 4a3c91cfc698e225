//! A client that reads its maildrop, compares what it finds with what must be there, removes some of it, and leaves with
//! or without QUIT.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mail_core::pop3::client::{Event, Method, Session, SessionConfig, Tls};
use mail_core::pop3::command::Command;
use mail_core::sasl::Credentials;

use crate::client::{Next, run};
use crate::model::{Account, Attempt, Expectation, Found};
use crate::network::{Cable, Weather};
use crate::server::{ACCOUNTS, PASSWORD, Protocol};
use crate::world::World;

/// Where a visit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    LoggingIn,
    Listing,
    Identifying,
    Acting,
    Leaving,
}

struct Visit<'a> {
    world: &'a World,
    name: &'a str,
    account: Account,
    phase: Phase,
    /// What was certain before the login, and at it.
    expected: Expectation,
    stat: Option<(u64, u64)>,
    octets: BTreeMap<u64, u64>,
    unique_ids: BTreeMap<u64, String>,
    bodies: BTreeMap<u64, Vec<u8>>,
    reading: u64,
    attempts: Vec<Attempt>,
    marked: BTreeSet<u64>,
    quitting: bool,
    /// Something was refused, so the visit is not complete.
    refused: bool,
    cable: Cable,
}

/// Visits some maildrops.
pub(crate) async fn read_mail(world: World, name: String) {
    for _ in 0..world.with_random(|random| random.between(1..=4)) {
        let pause = world.with_random(|random| random.seconds(0..=60));
        world.sleep(pause).await;
        let account = world.with_random(|random| random.below(ACCOUNTS.len()));
        let weather = world.weather();
        visit(&world, &name, account, weather).await;
    }
}

/// A visit over a network in order: it must succeed.
pub(crate) async fn read_last(world: &World, account: Account) {
    let weather = world.with_random(Weather::fair);
    if !visit(world, "the last reader", account, weather).await {
        world.fail(&format!("all is in order again, and {}'s maildrop cannot be read", ACCOUNTS[account]));
    }
}

/// Whether all was answered as it should be.
async fn visit(world: &World, name: &str, account: Account, weather: Weather) -> bool {
    let Some(socket) = world.connect(name, Protocol::Pop3, weather) else { return false };
    let method = world.with_random(|random| *random.pick(&[Method::UserPass, Method::AuthPlain]));
    let mut session = Session::new(SessionConfig { tls: Tls::Never, method }, world.instant());
    session.login(&Credentials::new(ACCOUNTS[account], PASSWORD)).expect("the session has just begun");
    let mut visit = Visit {
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
        cable: socket.cable(),
    };
    let ended = run(world, socket, session, |session, event| match event {
        Some(event) => visit.note(session, event),
        None => visit.ask(session),
    })
    .await;
    world.note(|| format!("{name}: leaves {}'s maildrop: {ended:?}", ACCOUNTS[account]));
    ended.is_ok() && !visit.refused && visit.phase == Phase::Leaving
}

impl Visit<'_> {
    fn note(&mut self, session: &mut Session, event: Event) -> Next {
        match event {
            Event::LoggedIn(_) => {
                self.world.note(|| format!("{}: has {}'s maildrop", self.name, ACCOUNTS[self.account]));
                self.expected = self.world.model().still(self.account, &self.expected);
                self.phase = Phase::Listing;
                session
                    .stat()
                    .and_then(|()| session.list(None))
                    .and_then(|()| session.uidl(None))
                    .expect("no QUIT yet");
            }
            Event::Rejected(_) | Event::LoginRefused(_) => {
                self.refused = true;
                self.world.note(|| format!("{}: is not let in: {event:?}", self.name));
                return Next::Disconnect;
            }
            Event::Stat { count, octets } => self.stat = Some((count, octets)),
            Event::ListItem { number, octets } => {
                let before = self.octets.insert(number, octets);
                if before.is_some_and(|before| before != octets) {
                    self.fail(&format!("message number {number} had {before:?} octets and now has {octets}"));
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
            Event::BodyEnd if self.phase == Phase::Acting || self.phase == Phase::Leaving => {
                self.compare_whole()
            }
            Event::Deleted(number) => {
                self.marked.insert(number);
            }
            Event::Ok(Command::Rset, _) => self.marked.clear(),
            Event::Refused { command, reply } => {
                self.refused = true;
                self.world.note(|| format!("{}: {command} is refused: {reply}", self.name));
            }
            Event::Goodbye(_) if self.quitting => {
                let removed = self.attempts_of(&self.marked);
                self.world.note(|| format!("{}: has removed {removed:?}", self.name));
                self.world.model().removed(self.account, &removed);
            }
            _ => {}
        }
        Next::Continue
    }

    /// What is done when all is answered.
    fn ask(&mut self, session: &mut Session) -> Next {
        if session.outstanding() > 0 {
            return Next::Continue;
        }
        match self.phase {
            Phase::LoggingIn => {}
            Phase::Listing if self.refused => return Next::Disconnect,
            Phase::Listing => {
                self.compare_sums();
                self.octets.keys().try_for_each(|number| session.top(*number, 0)).expect("no QUIT yet");
                self.phase = Phase::Identifying;
                if self.octets.is_empty() {
                    return self.ask(session);
                }
            }
            Phase::Identifying if self.refused => return Next::Disconnect,
            Phase::Identifying => {
                self.compare_listing();
                self.phase = Phase::Acting;
                self.act(session);
            }
            Phase::Acting => return self.leave(session),
            Phase::Leaving if self.quitting => {}
            Phase::Leaving => return Next::Disconnect,
        }
        Next::Continue
    }

    fn act(&mut self, session: &mut Session) {
        let numbers: Vec<u64> = self.octets.keys().copied().collect();
        let chance = self.world.with_random(|random| *random.pick(&[5, 30, 100]));
        let some = |chance| -> Vec<u64> {
            numbers
                .iter()
                .copied()
                .filter(|_| self.world.with_random(|random| random.percent(chance)))
                .collect()
        };
        let (read, first, second) = (some(30), some(chance), some(chance));
        let resets = self.world.with_random(|random| random.percent(15));
        let asked = read
            .iter()
            .try_for_each(|number| session.retr(*number))
            .and_then(|()| first.iter().try_for_each(|number| session.dele(*number)))
            .and_then(|()| if resets { session.rset() } else { Ok(()) })
            .and_then(|()| second.iter().filter(|_| resets).try_for_each(|number| session.dele(*number)))
            .and_then(|()| session.list(None))
            .and_then(|()| session.noop());
        asked.expect("no QUIT yet");
    }

    fn leave(&mut self, session: &mut Session) -> Next {
        self.phase = Phase::Leaving;
        if self.world.with_random(|random| random.percent(25)) {
            self.world.note(|| format!("{}: vanishes with {:?} marked", self.name, self.marked));
            if self.world.with_random(|random| random.percent(50)) {
                self.cable.fall_silent();
            }
            return Next::Disconnect;
        }
        let asked = self.attempts_of(&self.marked);
        self.world.note(|| format!("{}: says QUIT to remove {asked:?}", self.name));
        self.world.model().removal_asked(self.account, &asked);
        self.quitting = true;
        session.quit().expect("no QUIT yet");
        Next::Continue
    }

    /// STAT is the sum of LIST, and LIST and UIDL name the same.
    fn compare_sums(&self) {
        let sum = (self.octets.len() as u64, self.octets.values().sum::<u64>());
        if self.stat != Some(sum) {
            self.fail(&format!("STAT says {:?} and LIST {sum:?}", self.stat));
        }
        if !self.octets.keys().eq(self.unique_ids.keys()) || !self.octets.keys().copied().eq(1..=sum.0) {
            self.fail("LIST and UIDL do not name the messages from 1 on");
        }
    }

    fn compare_listing(&mut self) {
        let listing: Vec<Found> = self.octets.keys().map(|number| self.found(*number, false)).collect();
        let compared = self.world.model().compare(self.account, &self.expected, &listing);
        match compared {
            Ok(attempts) => self.attempts = attempts,
            Err(what) => self.fail(&what),
        }
        self.world.model().tally.sessions += 1;
    }

    fn compare_whole(&self) {
        let found = self.found(self.reading, true);
        let compared = self.world.model().compare_one(self.account, &found);
        if let Err(what) = compared {
            self.fail(&what);
        }
    }

    fn found(&self, number: u64, is_whole: bool) -> Found {
        Found {
            octets: self.octets.get(&number).copied().unwrap_or_default(),
            unique_id: self.unique_ids.get(&number).cloned().unwrap_or_default(),
            text: self.bodies.get(&number).cloned().unwrap_or_default(),
            is_whole,
        }
    }

    fn attempts_of(&self, numbers: &BTreeSet<u64>) -> BTreeSet<Attempt> {
        let index = |number: &u64| usize::try_from(number - 1).expect("a maildrop here is small");
        numbers.iter().filter_map(|number| self.attempts.get(index(number)).copied()).collect()
    }

    fn fail(&self, what: &str) {
        self.world.fail(&format!("{} in {}'s maildrop: {what}", self.name, ACCOUNTS[self.account]));
    }
}

/// Longer than any session without a word may last.
pub(crate) const LONGEST_LEASE: Duration = Duration::from_secs(11 * 60);
