//! SIGKILL under load: two SMTP servers and a POP3 server on one directory are killed repeatedly while mail is sent, read and
//! removed. Acknowledged messages exist once, removed messages are gone, and dead processes leave no locks.
//!
//! A sender whose reply is lost continues with a new number, so each number exists at most once. `PENNYPOST_LONG=1` kills 200
//! times.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

use support::{Daemon, PATIENCE, Place};

const ACCOUNTS: [(&str, &str); 2] = [("ag", "secret"), ("gb", "other")];
const SENDERS: usize = 4;

/// State shared by all clients.
#[derive(Default)]
struct Load {
    known: Mutex<Known>,
    progress: Condvar,
}

#[derive(Default)]
struct Known {
    smtp: Vec<SocketAddr>,
    pop3: Vec<SocketAddr>,
    stopping: bool,
    /// Numbers given to messages.
    numbers: usize,
    /// Messages with a 250 reply, and their accounts.
    acknowledged: BTreeMap<usize, Vec<usize>>,
    /// Account and message of a QUIT that was sent, and of those the ones that got their +OK.
    asked: BTreeSet<(usize, usize)>,
    removed: BTreeSet<(usize, usize)>,
    /// Answers that were lost, to show that the kills hit.
    unanswered: usize,
    sessions: usize,
}

impl Load {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no client panics while it holds the lock")
    }

    /// Waits for `messages` more acknowledgements and one more session.
    fn wait_for_progress(&self, messages: usize) {
        let known = self.known();
        let goal = (known.acknowledged.len() + messages, known.sessions + 1);
        drop(known);
        self.wait_until(|known| known.acknowledged.len() >= goal.0 && known.sessions >= goal.1);
    }

    fn wait_until(&self, done: impl Fn(&Known) -> bool) {
        let (_guard, waited) = self
            .progress
            .wait_timeout_while(self.known(), PATIENCE, |known| !done(known))
            .expect("no client panics");
        assert!(!waited.timed_out(), "mail is no longer sent or read");
    }
}

/// A dialogue that may break off at any moment, but not hang.
struct Line(BufReader<TcpStream>);

impl Line {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut line = Self(BufReader::new(stream));
        line.answer()?;
        Ok(line)
    }

    /// The next line without its CRLF.
    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        if let Err(error) = &read {
            assert!(
                !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
                "no reply: the server waits for a lock of a dead process"
            );
        }
        read?;
        if !line.ends_with("\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.len() - 2);
        Ok(line)
    }

    fn command(&mut self, command: &str) -> io::Result<String> {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        self.answer()
    }

    fn accepted(&mut self, command: &str, code: &str) -> io::Result<()> {
        let answer = self.command(command)?;
        assert!(answer.starts_with(code), "{command}: {answer}");
        Ok(())
    }

    fn lines(&mut self, command: &str) -> io::Result<String> {
        self.accepted(command, "+OK")?;
        let mut text = String::new();
        loop {
            let line = self.answer()?;
            if line == "." {
                return Ok(text);
            }
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// The message with a number. Sizes vary from one write to several.
fn message(number: usize) -> String {
    let lines = [3, 40, 400, 6_000][number % 4];
    format!("Subject: {number}\n\n{}", format!("this is message {number}\n").repeat(lines))
}

/// The number of a retrieved message. Panics if the message is not complete.
fn number_of(text: &str) -> usize {
    let start = text.find("Subject: ").unwrap_or_else(|| panic!("no subject in {text}"));
    let text = &text[start..];
    let number = text["Subject: ".len()..].lines().next().and_then(|number| number.parse().ok());
    let number = number.unwrap_or_else(|| panic!("no number in {text}"));
    assert!(text == message(number), "message {number} is not what was sent: {} octets", text.len());
    number
}

fn send_mail(load: &Load, sender: usize) {
    loop {
        let (server, number) = {
            let mut known = load.known();
            if known.stopping {
                return;
            }
            known.numbers += 1;
            (known.smtp[(sender + known.numbers) % known.smtp.len()], known.numbers)
        };
        let to: Vec<usize> = [vec![0], vec![1], vec![0, 1]][number % 3].clone();
        let sent = send(server, number, &to);
        let mut known = load.known();
        match sent {
            Ok(()) => drop(known.acknowledged.insert(number, to)),
            Err(_) => known.unanswered += 1,
        }
        load.progress.notify_all();
    }
}

fn send(server: SocketAddr, number: usize, to: &[usize]) -> io::Result<()> {
    let mut smtp = Line::connect(server)?;
    smtp.accepted("HELO iit.edu", "250")?;
    smtp.accepted("MAIL FROM:<ag@iit.edu>", "250")?;
    for account in to {
        smtp.accepted(&format!("RCPT TO:<{}@iit.edu>", ACCOUNTS[*account].0), "250")?;
    }
    smtp.accepted("DATA", "354")?;
    smtp.accepted(&format!("{}.", message(number).replace('\n', "\r\n")), "250")
}

fn read_mail(load: &Load, account: usize) {
    loop {
        let server = {
            let known = load.known();
            if known.stopping {
                return;
            }
            known.pop3[known.sessions % known.pop3.len()]
        };
        // What broke off is found again in the end.
        let _ = visit(load, server, account);
        load.known().sessions += 1;
        load.progress.notify_all();
    }
}

/// Reads everything and removes two of three.
fn visit(load: &Load, server: SocketAddr, account: usize) -> io::Result<()> {
    let mut pop3 = Line::connect(server)?;
    let (name, password) = ACCOUNTS[account];
    pop3.accepted(&format!("USER {name}"), "+OK")?;
    // The previous session may still hold the lease.
    if !pop3.command(&format!("PASS {password}"))?.starts_with("+OK") {
        return Ok(());
    }
    let mut marked = BTreeSet::new();
    for index in 1..=pop3.lines("LIST")?.lines().count() {
        let number = number_of(&pop3.lines(&format!("RETR {index}"))?);
        if !number.is_multiple_of(3) {
            pop3.accepted(&format!("DELE {index}"), "+OK")?;
            marked.insert((account, number));
        }
    }
    load.known().asked.extend(marked.iter().copied());
    pop3.accepted("QUIT", "+OK")?;
    load.known().removed.extend(marked);
    Ok(())
}

/// Each message that the account has, by its number.
fn found(server: &Daemon, account: usize) -> Vec<usize> {
    let (name, password) = ACCOUNTS[account];
    let mut pop3 = server.signed_in(name, password);
    let count = pop3.stat().0;
    let read = |index| {
        let text = String::from_utf8(pop3.retrieve(index)).expect("the messages are UTF-8");
        number_of(&text.replace("\r\n", "\n"))
    };
    (1..=count).map(read).collect()
}

#[test]
fn sigkill_under_load_loses_and_duplicates_no_mail() {
    let kills = if std::env::var_os("PENNYPOST_LONG").is_some() { 200 } else { 15 };
    let place = Place::new();
    let load = Load::default();
    let start = |index: usize| if index < 2 { place.smtp_server() } else { place.pop3_server() };
    let mut servers: Vec<Daemon> = (0..3).map(start).collect();
    let publish = |servers: &[Daemon]| {
        let mut known = load.known();
        known.smtp = servers.iter().filter_map(|server| server.smtp).collect();
        known.pop3 = servers.iter().filter_map(|server| server.pop3).collect();
    };
    publish(&servers);
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let load = &load;
            scope.spawn(move || send_mail(load, sender));
        }
        for account in 0..ACCOUNTS.len() {
            let load = &load;
            scope.spawn(move || read_mail(load, account));
        }
        for kill in 0..kills {
            // At varying points: in a write, a sync or a removal.
            load.wait_for_progress(1 + kill * 7 % 12);
            let victim = kill % servers.len();
            servers.remove(victim).kill();
            servers.insert(victim, start(victim));
            publish(&servers);
        }
        load.wait_for_progress(10);
        // Later sessions remove what killed sessions left.
        load.wait_until(|known| known.removed.len() > kills);
        load.known().stopping = true;
    });

    let known = load.known();
    assert!(known.unanswered >= kills / 10, "the kills hit nobody: {}", known.unanswered);
    assert!(known.removed.len() > kills && known.acknowledged.len() > kills);
    for account in 0..ACCOUNTS.len() {
        let found = found(&servers[2], account);
        let once: BTreeSet<usize> = found.iter().copied().collect();
        assert_eq!(once.len(), found.len(), "a message is there twice: {found:?}");
        for number in &once {
            assert!(!known.removed.contains(&(account, *number)), "message {number} has come back");
        }
        for (number, to) in &known.acknowledged {
            let is_due = to.contains(&account) && !known.asked.contains(&(account, *number));
            assert!(!is_due || once.contains(number), "message {number} is lost");
        }
    }
    let check = place.pennypost(&["check"], "");
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
}
