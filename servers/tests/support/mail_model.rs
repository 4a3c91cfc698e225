//! Clients that send and retrieve mail while servers fail, and a model of the answers that they got. It records every 250 and every
//! QUIT; without an answer, the outcome is unknown until a later session shows it. An id is sent once, so each recipient has one
//! copy of it, or none if it was not acknowledged.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than a server repeats a transaction.
const ANSWER_LIMIT: Duration = Duration::from_secs(130);
/// Pause of a client after a failure.
const PAUSE: Duration = Duration::from_millis(50);
/// Messages of one session.
const SESSION_MESSAGES_MAX: usize = 200;

/// Answers so far. Threads share it.
#[derive(Default)]
pub(crate) struct Model {
    state: Mutex<State>,
    stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    /// By account and id.
    copies: BTreeMap<(String, String), MessageCopy>,
    /// Times of the acknowledgements.
    acknowledged: Vec<Instant>,
    sessions: usize,
    violations: Vec<String>,
}

/// The copy of one recipient.
#[derive(Default)]
struct MessageCopy {
    is_acknowledged: bool,
    unique_id: Option<String>,
    removal: Removal,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Removal {
    #[default]
    None,
    /// QUIT was sent and not answered with +OK.
    Unknown,
    Confirmed,
}

/// Totals of a run without losses and duplicates.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) acknowledged: usize,
    pub(crate) copies: usize,
    pub(crate) sessions: usize,
    pub(crate) removed: usize,
    /// Copies whose removal was not confirmed, and that did not come back.
    pub(crate) unanswered: usize,
}

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// Ends the loops of the clients.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Sends messages to one or two of the accounts until the model is stopped.
    pub(crate) fn send(&self, sender: usize, accounts: &[&str], server: impl Fn(usize) -> SocketAddr) {
        for number in 0.. {
            if self.is_stopped() {
                return;
            }
            let id = format!("{sender}-{number}");
            let first = accounts[(sender + number) % accounts.len()];
            let second = accounts[(sender + number + 1) % accounts.len()];
            let recipients = if number % 3 == 0 { &[first, second][..] } else { &[first] };
            if matches!(send_one(server(number), &id, recipients), Ok(true)) {
                self.acknowledge(&id, recipients);
            } else {
                sleep(PAUSE);
            }
        }
    }

    fn acknowledge(&self, id: &str, recipients: &[&str]) {
        let mut state = self.state();
        for recipient in recipients {
            let key = ((*recipient).to_owned(), id.to_owned());
            state.copies.entry(key).or_default().is_acknowledged = true;
        }
        state.acknowledged.push(Instant::now());
    }

    /// Retrieves and removes messages until the model is stopped. Every fifth message stays for a later session.
    pub(crate) fn retrieve(&self, account: &str, password: &str, server: impl Fn(usize) -> SocketAddr) {
        for number in 0.. {
            if self.is_stopped() {
                return;
            }
            let _ = self.session(server(number), account, password, |message| message % 5 != number % 5);
            sleep(PAUSE);
        }
    }

    /// Removes the messages of an account that are left.
    pub(crate) fn drain(&self, account: &str, password: &str, server: SocketAddr, limit: Duration) {
        let started = Instant::now();
        while !matches!(self.session(server, account, password, |_| true), Ok(0)) {
            assert!(started.elapsed() < limit, "the maildrop of {account} cannot be emptied");
            sleep(PAUSE);
        }
    }

    /// One POP3 session. Returns the number of messages that the maildrop had.
    fn session(
        &self,
        server: SocketAddr,
        account: &str,
        password: &str,
        removes: impl Fn(usize) -> bool,
    ) -> io::Result<usize> {
        let mut pop3 = Client::connect(server)?;
        pop3.line()?;
        pop3.succeed(&format!("USER {account}"))?;
        pop3.succeed(&format!("PASS {password}"))?;
        pop3.succeed("UIDL")?;
        let listing = pop3.lines()?;
        let mut removed = Vec::new();
        for line in listing.iter().take(SESSION_MESSAGES_MAX) {
            let (number, unique_id) = line.split_once(' ').expect("a number and a unique-id");
            pop3.succeed(&format!("RETR {number}"))?;
            let message = pop3.lines()?;
            let subject = message.iter().find_map(|line| line.strip_prefix("Subject: "));
            let id = subject.expect("a subject").to_owned();
            assert!(message.contains(&format!("body of {id}")), "{message:?}");
            self.see(account, &id, unique_id);
            if removes(number.parse().expect("a number")) {
                pop3.succeed(&format!("DELE {number}"))?;
                removed.push(id);
            }
        }
        self.set_removal(account, &removed, Removal::Unknown);
        pop3.succeed("QUIT")?;
        self.set_removal(account, &removed, Removal::Confirmed);
        self.state().sessions += 1;
        Ok(listing.len())
    }

    /// A session has the lease, so earlier removals without an answer have succeeded or failed.
    fn see(&self, account: &str, id: &str, unique_id: &str) {
        let mut state = self.state();
        let State { copies, violations, .. } = &mut *state;
        let copy = copies.entry((account.to_owned(), id.to_owned())).or_default();
        match &copy.unique_id {
            None => copy.unique_id = Some(unique_id.to_owned()),
            Some(known) if known != unique_id => {
                violations.push(format!("{account} has {id} twice: {known} and {unique_id}"));
            }
            Some(_) => {}
        }
        if copy.removal == Removal::Confirmed {
            violations.push(format!("{id} came back to {account} after its removal was confirmed"));
        }
        copy.removal = Removal::None;
    }

    fn set_removal(&self, account: &str, ids: &[String], removal: Removal) {
        let mut state = self.state();
        for id in ids {
            let copy = state.copies.get_mut(&(account.to_owned(), id.clone()));
            copy.expect("it was seen").removal = removal;
        }
    }

    /// Number of acknowledged messages.
    pub(crate) fn acknowledged(&self) -> usize {
        self.state().acknowledged.len()
    }

    /// Waits for further acknowledgements. Returns the time of the last of them.
    pub(crate) fn wait_for_more(&self, more: usize, limit: Duration) -> Instant {
        self.wait_for_more_after(Instant::now(), more, limit)
    }

    /// As [`wait_for_more`](Self::wait_for_more), counted from an earlier time.
    pub(crate) fn wait_for_more_after(&self, start: Instant, more: usize, limit: Duration) -> Instant {
        let begun = Instant::now();
        loop {
            let time = {
                let state = self.state();
                let before = state.acknowledged.partition_point(|time| *time < start);
                state.acknowledged.get(before + more - 1).copied()
            };
            if let Some(time) = time {
                return time;
            }
            assert!(begun.elapsed() < limit, "no mail flows");
            sleep(Duration::from_millis(5));
        }
    }

    /// The answers were true. All maildrops have been drained.
    pub(crate) fn verify(&self) -> Totals {
        let state = self.state();
        assert!(state.violations.is_empty(), "{:#?}", state.violations);
        let acknowledged = state.copies.iter().filter(|(_, copy)| copy.is_acknowledged);
        let lost = acknowledged.filter(|(_, copy)| copy.removal == Removal::None);
        let lost: Vec<_> = lost.map(|((account, id), _)| format!("{id} of {account}")).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let count = |removal| state.copies.values().filter(|copy| copy.removal == removal).count();
        Totals {
            acknowledged: state.acknowledged.len(),
            copies: state.copies.values().filter(|copy| copy.is_acknowledged).count(),
            sessions: state.sessions,
            removed: count(Removal::Confirmed),
            unanswered: count(Removal::Unknown),
        }
    }
}

/// Sends a message and returns whether it was acknowledged. A broken connection is no acknowledgement.
fn send_one(server: SocketAddr, id: &str, recipients: &[&str]) -> io::Result<bool> {
    let mut smtp = Client::connect(server)?;
    let mut commands = vec!["EHLO iit.edu".to_owned(), "MAIL FROM:<ag@iit.edu>".to_owned()];
    commands.extend(recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}@iit.edu>")));
    commands.extend(["DATA".to_owned(), format!("Subject: {id}\r\n\r\nbody of {id}\r\n.")]);
    let mut is_accepted = smtp.reply()?;
    for command in commands {
        if !is_accepted {
            return Ok(false);
        }
        smtp.write(&command)?;
        is_accepted = smtp.reply()?;
    }
    Ok(is_accepted)
}

/// A connection whose failures are results.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn write(&mut self, command: &str) -> io::Result<()> {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 || !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The lines up to a single dot.
    fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            match self.line()? {
                line if line == "." => return Ok(lines),
                line => lines.push(line),
            }
        }
    }

    /// Whether the next SMTP reply is positive.
    fn reply(&mut self) -> io::Result<bool> {
        loop {
            let line = self.line()?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.starts_with('2') || line.starts_with('3'));
            }
        }
    }

    /// Sends a POP3 command. A negative response is an error.
    fn succeed(&mut self, command: &str) -> io::Result<()> {
        self.write(command)?;
        let response = self.line()?;
        if response.starts_with("+OK") { Ok(()) } else { Err(io::Error::other(response)) }
    }
}
