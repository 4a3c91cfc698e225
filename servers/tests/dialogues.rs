//! Runs dialogues against the real servers: the project's own in `dialogues/`, and those of `../shared/cases`, or of the
//! folder `PENNYPOST_CASES`, if present.
//!
//! | line | meaning |
//! |---|---|
//! | `> text` | sends a line |
//! | `>> escaped` | sends octets with `\r`, `\n`, `\t`, `\\` and `\xNN` |
//! | `< regex` | reads a reply, which must match at its start |
//! | `<* regex` | reads a reply, which must match anywhere |
//! | `<< regex` | reads a multi-line reply, which must match anywhere |
//! | `<! regex` | reads a reply, which must not match |
//! | `~ seconds` | a pause, which is skipped: every reply is awaited anyway |
//! | `! new` | opens another connection |
//! | `! close`, `! rst` | closes or resets the connection |
//! | `! eof` | the server must close the connection |

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;
use support::{LineStream, ServerProcess, TestDir};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Smtp,
    Pop3,
}

/// A running dialogue. The connection is `None` after it was closed.
struct Dialogue {
    protocol: Protocol,
    address: SocketAddr,
    stream: Option<LineStream>,
}

impl Dialogue {
    fn open(protocol: Protocol, address: SocketAddr) -> Self {
        Self { protocol, address, stream: Some(LineStream::connect(address)) }
    }

    fn stream(&mut self) -> &mut LineStream {
        self.stream.as_mut().expect("`! new` opens a connection before the next line")
    }

    /// Performs one line. Returns the failure.
    fn step(&mut self, line: &str) -> Result<(), String> {
        let (mark, text) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            ">" => self.stream().send(format!("{text}\r\n").as_bytes()),
            ">>" => {
                let octets = unescape(text);
                self.stream().send(&octets);
            }
            "<" => expect(&self.reply(), &format!("^(?:{text})"), true)?,
            "<*" => expect(&self.reply(), text, true)?,
            "<!" => expect(&self.reply(), text, false)?,
            "<<" => expect(&self.multiline_reply(), text, true)?,
            "~" => {}
            "!" => self.control(text)?,
            _ => return Err(format!("unknown line {line:?}")),
        }
        Ok(())
    }

    fn control(&mut self, action: &str) -> Result<(), String> {
        match action {
            "new" => self.stream = Some(LineStream::connect(self.address)),
            "close" => self.stream = None,
            "rst" => {
                let linger = Some(Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(&self.stream().socket, linger)
                    .expect("the option is set");
                self.stream = None;
            }
            "eof" if self.stream().read_to_end().is_empty() => {}
            _ => return Err(format!("! {action}: the server sent more, or the action is unknown")),
        }
        Ok(())
    }

    /// One reply, its lines joined with LF.
    fn reply(&mut self) -> String {
        let mut reply = self.read_line();
        let mut last = reply.clone();
        while self.protocol == Protocol::Smtp && last.as_bytes().get(3) == Some(&b'-') {
            last = self.read_line();
            reply = format!("{reply}\n{last}");
        }
        reply
    }

    /// A multi-line reply of POP3 without its final dot, or one line if it is an error.
    fn multiline_reply(&mut self) -> String {
        let mut reply = self.read_line();
        if !reply.starts_with("+OK") {
            return reply;
        }
        loop {
            match &*self.read_line() {
                "." => return reply,
                line => reply = format!("{reply}\n{line}"),
            }
        }
    }

    fn read_line(&mut self) -> String {
        String::from_utf8_lossy(&self.stream().read_line()).into_owned()
    }
}

fn expect(reply: &str, pattern: &str, matches: bool) -> Result<(), String> {
    let is_match = |pattern: &str| match Regex::new(&format!("(?s){pattern}")) {
        Ok(regex) => Ok(regex.is_match(reply)),
        Err(error) => Err(error.to_string()),
    };
    // The regex crate has no lookahead. The dialogues use it only at the start, without nested parentheses.
    let found = match pattern.strip_prefix("^(?!").and_then(|rest| rest.split_once(')')) {
        Some((excluded, rest)) => !is_match(&format!("^{excluded}"))? && is_match(&format!("^{rest}"))?,
        None => is_match(pattern)?,
    };
    if found == matches { Ok(()) } else { Err(format!("the reply is {reply:?}")) }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let (octet, tail) = match (byte, tail) {
            (b'\\', [b'r', tail @ ..]) => (b'\r', tail),
            (b'\\', [b'n', tail @ ..]) => (b'\n', tail),
            (b'\\', [b't', tail @ ..]) => (b'\t', tail),
            (b'\\', [b'\\', tail @ ..]) => (b'\\', tail),
            (b'\\', [b'x', digits @ ..]) => {
                let (digits, tail) = digits.split_at(2);
                let digits = std::str::from_utf8(digits).expect("hexadecimal digits");
                (u8::from_str_radix(digits, 16).expect("hexadecimal digits"), tail)
            }
            (byte, tail) => (byte, tail),
        };
        octets.push(octet);
        rest = tail;
    }
    octets
}

/// Runs a file against fresh servers, with three messages in the maildrop of gb.
fn run(path: &Path) -> Result<(), String> {
    let dir = TestDir::with_config("");
    fs::write(dir.path("data/User.txt"), "ag aviator\ngb gondola\n").expect("the file is written");
    let server = dir.serve();
    for number in 1..=3 {
        server.smtp().deliver_to_gb(format!("Subject: message {number}\r\n\r\nbody\r\n").as_bytes());
    }
    let (protocol, address) = endpoint(path, &server);
    let text = fs::read_to_string(path).expect("the dialogue is UTF-8");
    let mut dialogue = Dialogue::open(protocol, address);
    for (number, line) in (1..).zip(text.split('\n')) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        dialogue.step(line).map_err(|error| format!("{}:{number}: {line}: {error}", path.display()))?;
    }
    Ok(())
}

fn endpoint(path: &Path, server: &ServerProcess) -> (Protocol, SocketAddr) {
    if path.extension().is_some_and(|extension| extension == "smtp") {
        (Protocol::Smtp, server.smtp.expect("the server listens for SMTP"))
    } else {
        (Protocol::Pop3, server.pop3.expect("the server listens for POP3"))
    }
}

/// The dialogues of a folder; `None` if there is no folder.
fn dialogues(folder: &Path) -> Option<Vec<PathBuf>> {
    let is_dialogue =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "smtp" || extension == "pop3");
    let entries = fs::read_dir(folder).ok()?;
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder is readable").path()).collect();
    paths.retain(is_dialogue);
    paths.sort();
    Some(paths)
}

fn run_all(paths: &[PathBuf]) {
    assert!(!paths.is_empty(), "the folder contains no dialogue");
    let failures: Vec<String> = paths.iter().filter_map(|path| run(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn own_dialogues_get_the_expected_replies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    run_all(&dialogues(&folder).expect("the folder is part of the project"));
}

#[test]
fn shared_dialogues_get_the_expected_replies() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    let folder = std::env::var_os("PENNYPOST_CASES").map_or_else(beside, PathBuf::from);
    match dialogues(&folder) {
        Some(paths) => run_all(&paths),
        None => println!("skipped: {} is absent", folder.display()),
    }
}
