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

use support::{ServerProcess, TIMEOUT, TestDir};

const ACCOUNTS: [(&str, &str); 2] = [("ag", "secret"), ("gb", "other")];
const SENDERS: usize = 4;

/// State shared by all clients.
#[derive(Default)]
struct Load {
    state: Mutex<LoadState>,
    progress: Condvar,
}

#[derive(Default)]
struct LoadState {
    smtp: Vec<SocketAddr>,
    pop3: Vec<SocketAddr>,
    stopping: bool,
    /// Numbers given to messages.
    numbers: usize,
    /// Messages with a 250 reply, and their accounts.
    acknowledged: BTreeMap<usize, Vec<usize>>,
    /// Account and message of deletions whose QUIT was sent, and of those with a +OK reply.
    quit_sent: BTreeSet<(usize, usize)>,
    removed: BTreeSet<(usize, usize)>,
    /// Lost replies, to verify that the kills have an effect.
    lost_replies: usize,
    sessions: usize,
}

impl Load {
    fn state(&self) -> MutexGuard<'_, LoadState> {
        self.state.lock().expect("no client panics while it holds the lock")
    }

    /// Waits for `messages` more acknowledgements and one more session.
    fn wait_for_progress(&self, messages: usize) {
        let state = self.state();
        let goal = (state.acknowledged.len() + messages, state.sessions + 1);
        drop(state);
        self.wait_until(|state| state.acknowledged.len() >= goal.0 && state.sessions >= goal.1);
    }

    fn wait_until(&self, done: impl Fn(&LoadState) -> bool) {
        let (_guard, waited) = self
            .progress
            .wait_timeout_while(self.state(), TIMEOUT, |state| !done(state))
            .expect("no client panics");
        assert!(!waited.timed_out(), "mail is no longer sent or read");
    }
}

/// A client whose connection may be lost at any time, but must not hang.
struct LineClient(BufReader<TcpStream>);

impl LineClient {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        let mut line = Self(BufReader::new(stream));
        line.read_line()?;
        Ok(line)
    }

    /// The next line without its CRLF.
    fn read_line(&mut self) -> io::Result<String> {
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
        self.read_line()
    }

    fn require_reply(&mut self, command: &str, code: &str) -> io::Result<()> {
        let reply = self.command(command)?;
        assert!(reply.starts_with(code), "{command}: {reply}");
        Ok(())
    }

    fn multiline(&mut self, command: &str) -> io::Result<String> {
        self.require_reply(command, "+OK")?;
        let mut text = String::new();
        loop {
            let line = self.read_line()?;
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
    assert!(text == message(number), "message {number} differs: {} octets", text.len());
    number
}

fn send_mail(load: &Load, sender: usize) {
    loop {
        let (server, number) = {
            let mut state = load.state();
            if state.stopping {
                return;
            }
            state.numbers += 1;
            (state.smtp[(sender + state.numbers) % state.smtp.len()], state.numbers)
        };
        let to: Vec<usize> = [vec![0], vec![1], vec![0, 1]][number % 3].clone();
        let sent = send(server, number, &to);
        let mut state = load.state();
        match sent {
            Ok(()) => drop(state.acknowledged.insert(number, to)),
            Err(_) => state.lost_replies += 1,
        }
        load.progress.notify_all();
    }
}

fn send(server: SocketAddr, number: usize, to: &[usize]) -> io::Result<()> {
    let mut smtp = LineClient::connect(server)?;
    smtp.require_reply("HELO iit.edu", "250")?;
    smtp.require_reply("MAIL FROM:<ag@iit.edu>", "250")?;
    for account in to {
        smtp.require_reply(&format!("RCPT TO:<{}@iit.edu>", ACCOUNTS[*account].0), "250")?;
    }
    smtp.require_reply("DATA", "354")?;
    smtp.require_reply(&format!("{}.", message(number).replace('\n', "\r\n")), "250")
}

fn read_mail(load: &Load, account: usize) {
    loop {
        let server = {
            let state = load.state();
            if state.stopping {
                return;
            }
            state.pop3[state.sessions % state.pop3.len()]
        };
        // The final check covers lost sessions.
        let _ = run_session(load, server, account);
        load.state().sessions += 1;
        load.progress.notify_all();
    }
}

/// Reads all messages and removes two of three.
fn run_session(load: &Load, server: SocketAddr, account: usize) -> io::Result<()> {
    let mut pop3 = LineClient::connect(server)?;
    let (name, password) = ACCOUNTS[account];
    pop3.require_reply(&format!("USER {name}"), "+OK")?;
    // The previous session may still hold the lease.
    if !pop3.command(&format!("PASS {password}"))?.starts_with("+OK") {
        return Ok(());
    }
    let mut marked = BTreeSet::new();
    for index in 1..=pop3.multiline("LIST")?.lines().count() {
        let number = number_of(&pop3.multiline(&format!("RETR {index}"))?);
        if !number.is_multiple_of(3) {
            pop3.require_reply(&format!("DELE {index}"), "+OK")?;
            marked.insert((account, number));
        }
    }
    load.state().quit_sent.extend(marked.iter().copied());
    pop3.require_reply("QUIT", "+OK")?;
    load.state().removed.extend(marked);
    Ok(())
}

/// Numbers of all messages of an account.
fn message_numbers(server: &ServerProcess, account: usize) -> Vec<usize> {
    let (name, password) = ACCOUNTS[account];
    let mut pop3 = server.log_in(name, password);
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
    let dir = TestDir::new();
    let load = Load::default();
    let start = |index: usize| if index < 2 { dir.smtp_server() } else { dir.pop3_server() };
    let mut servers: Vec<ServerProcess> = (0..3).map(start).collect();
    let publish = |servers: &[ServerProcess]| {
        let mut state = load.state();
        state.smtp = servers.iter().filter_map(|server| server.smtp).collect();
        state.pop3 = servers.iter().filter_map(|server| server.pop3).collect();
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
        load.wait_until(|state| state.removed.len() > kills);
        load.state().stopping = true;
    });

    let state = load.state();
    assert!(state.lost_replies >= kills / 10, "the kills had no effect: {}", state.lost_replies);
    assert!(state.removed.len() > kills && state.acknowledged.len() > kills);
    for account in 0..ACCOUNTS.len() {
        let found = message_numbers(&servers[2], account);
        let unique: BTreeSet<usize> = found.iter().copied().collect();
        assert_eq!(unique.len(), found.len(), "duplicate message: {found:?}");
        for number in &unique {
            assert!(!state.removed.contains(&(account, *number)), "removed message {number} exists");
        }
        for (number, to) in &state.acknowledged {
            let must_exist = to.contains(&account) && !state.quit_sent.contains(&(account, *number));
            assert!(!must_exist || unique.contains(number), "message {number} is lost");
        }
    }
    let check = dir.pennypost(&["check"], "");
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
}
