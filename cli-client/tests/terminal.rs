//! The dialogue on a pseudo-terminal: prompts, line editing, password entry, and hostile mail.

#![cfg(unix)]

mod support;

use std::process::Command;

use expectrl::process::unix::WaitStatus;
use expectrl::{ControlCode, Eof, Expect as _, session::OsSession};

use support::{LineStream, Servers, TIMEOUT};

/// A pseudo-terminal with the client.
struct Terminal {
    session: OsSession,
    /// Output consumed so far.
    seen: Vec<u8>,
}

impl Terminal {
    fn new(servers: &Servers) -> Self {
        Self::with_client(servers.client())
    }

    fn with_client(client: Command) -> Self {
        let mut session = OsSession::spawn(client).expect("a pseudo-terminal");
        session.set_expect_timeout(Some(TIMEOUT));
        Self { session, seen: Vec::new() }
    }

    /// Waits for output.
    fn expect(&mut self, text: &str) {
        match self.session.expect(text) {
            Ok(found) => self.seen.extend_from_slice(found.as_bytes()),
            Err(error) => {
                let mut rest = [0; 4096];
                let count = self.session.try_read(&mut rest).unwrap_or(0);
                self.seen.extend_from_slice(&rest[..count]);
                panic!("{text:?} not found ({error}) in:\n{:?}", self.screen())
            }
        }
    }

    /// Waits for a prompt and types a line.
    fn answer(&mut self, prompt: &str, line: &str) {
        self.expect(prompt);
        self.session.send(format!("{line}\r")).expect("the terminal accepts input");
    }

    fn log_in(&mut self, user: &str, password: &str) {
        self.answer("Username: ", user);
        self.answer("Password: ", password);
    }

    /// Waits for the client to exit. Returns its exit code and all output.
    fn wait(mut self) -> (Option<i32>, String) {
        match self.session.expect(Eof) {
            Ok(found) => self.seen.extend_from_slice(found.as_bytes()),
            Err(error) => panic!("the client did not exit ({error}) after:\n{}", self.screen()),
        }
        let code = match self.session.get_process().wait().expect("the client has exited") {
            WaitStatus::Exited(_, code) => Some(code),
            _ => None,
        };
        (code, self.screen())
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

#[test]
fn mail_is_sent_and_read_in_the_dialogue() {
    let servers = Servers::start();
    let mut ag = Terminal::new(&servers);
    ag.log_in("ag", "secret");
    ag.expect("1. Manage Mail\r\n2. Send Mail\r\n3. Quit\r\n");
    ag.answer("Option: ", "2");
    ag.answer("From: ", "ag@iit.edu");
    ag.answer("To: ", "To: <gb@iit.edu>");
    ag.answer("Subject: ", "नमस्ते: a tab");
    ag.expect("a line with a single dot:");
    ag.session.send("first\x7f\x7fne\rFrom:\tme\r.\r").expect("the terminal accepts input");
    ag.expect("250 2.0.0 OK Message accepted for delivery");
    ag.answer("Option: ", "3");
    assert_eq!(ag.wait().0, Some(0));

    let mut gb = Terminal::new(&servers);
    gb.log_in("gb", "other");
    gb.answer("Option: ", "1");
    gb.expect("+OK POP3 server ready");
    gb.expect("Sender's email id");
    gb.expect("When received (date : hour");
    gb.expect("ag@iit.edu");
    gb.expect("नमस्ते: a tab");
    gb.answer("Command: ", "RETR 1");
    gb.expect("नमस्ते: a tab");
    gb.expect("firne\r\nFrom:\tme\r\n");
    gb.answer("Command: ", "4");
    gb.answer("Message number: ", "1");
    gb.expect("Message 1 is marked as deleted");
    gb.answer("Command: ", "5");
    gb.expect("+OK goodbye");
    assert_eq!(gb.wait().0, Some(0));
    assert_eq!(servers.mailbox("gb"), "");
}

#[test]
fn password_is_not_echoed() {
    let servers = Servers::start();
    let mut terminal = Terminal::new(&servers);
    terminal.log_in("ag", "not-the-password");
    terminal.answer("Option: ", "1");
    terminal.expect("-ERR ");
    terminal.log_in("ag", "secret");
    terminal.answer("Command: ", "5");
    let (code, screen) = terminal.wait();
    assert_eq!(code, Some(0));
    assert!(screen.contains("+OK goodbye"), "{screen}");
    for part in ["not-the-password", "secret", "not-", "sec"] {
        assert!(!screen.contains(part), "{screen}");
    }
}

#[test]
fn malformed_mail_returns_to_the_menu() {
    let servers = Servers::start();
    let mut terminal = Terminal::new(&servers);
    terminal.log_in("ag", "secret");
    terminal.answer("Option: ", "2");
    terminal.answer("From: ", "ag@iit.edu");
    terminal.answer("To: ", "gb");
    terminal.answer("Subject: ", "x");
    terminal.answer("a line with a single dot:", ".");
    terminal.expect("Incorrect format\r\nTo: ");
    terminal.expect("1. Manage Mail");
    terminal.answer("Option: ", "2");
    // A single dot ends the mail at any prompt.
    terminal.answer("From: ", ".");
    terminal.expect("Incorrect format");
    terminal.expect("expected \"From:\"");
    terminal.answer("Option: ", "3");
    assert_eq!(terminal.wait().0, Some(0));
}

#[test]
fn control_characters_in_mail_are_made_visible() {
    let servers = Servers::start();
    servers.deliver(
        b"From: \"\x1b]0;owned\x07\" <ag@iit.edu>\r\nTo: gb@iit.edu\r\n\
          Subject: =?utf-8?q?=1B]0;owned=07_=C2=9B31m?= \x1b]0;owned\x07\r\n\
          Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\x1b]0;owned\x07 \x08\x08 \xe2\x80\xaetxt\r\n\
          --b\r\nContent-Disposition: attachment; filename=\"\x1b]0;owned\x07\"\r\n\r\nx\r\n--b--\r\n",
    );
    let mut terminal = Terminal::new(&servers);
    terminal.log_in("gb", "other");
    terminal.answer("Option: ", "1");
    terminal.answer("Command: ", "RETR 1");
    terminal.answer("Command: ", "RETR 1 --raw");
    terminal.answer("Command: ", "5");
    let (code, screen) = terminal.wait();
    assert_eq!(code, Some(0));
    assert!(screen.matches("␛]0;owned␇").count() >= 5, "{screen}");
    for control in ["\x1b]", "\x07", "\x08", "\u{9b}", "\u{202e}"] {
        assert!(!screen.contains(control), "{control:?} in {screen:?}");
    }
}

#[test]
fn long_transfer_displays_progress() {
    let servers = Servers::start();
    let head = b"From: ag@iit.edu\r\nContent-Type: application/x-long; name=long\r\n\r\n";
    servers.deliver(&[&head[..], &b"0123456789abcdef\r\n".repeat(60_000)].concat());
    let mut terminal = Terminal::new(&servers);
    terminal.log_in("gb", "other");
    terminal.answer("Option: ", "1");
    terminal.answer("Command: ", "RETR 1");
    terminal.expect("Receiving ");
    terminal.expect("[attachment: long, application/x-long, 1080000 octets]");
    terminal.answer("Command: ", "5");
    assert_eq!(terminal.wait().0, Some(0));
}

#[test]
fn maildrop_in_use_prints_the_reply_and_prompts_again() {
    let servers = Servers::start();
    let mut other = LineStream::connect(servers.pop3);
    other.line();
    for command in ["USER gb\r\n", "PASS other\r\n"] {
        other.send(command.as_bytes());
        assert!(other.line().starts_with("+OK"));
    }
    let mut terminal = Terminal::new(&servers);
    terminal.log_in("gb", "other");
    terminal.answer("Option: ", "1");
    terminal.expect("-ERR [IN-USE]");
    terminal.expect("Username: ");
    other.send(b"QUIT\r\n");
    assert!(other.line().starts_with("+OK"));
    assert_eq!(other.line(), "", "the server closes the connection and releases the maildrop");
    terminal.session.send("gb\r").expect("the terminal accepts input");
    terminal.answer("Password: ", "other");
    terminal.answer("Command: ", "5");
    terminal.expect("+OK goodbye");
    assert_eq!(terminal.wait().0, Some(0));
}

#[test]
fn killed_server_prints_an_error_and_removes_nothing() {
    let mut servers = Servers::start();
    servers.deliver(b"Subject: x\r\n\r\n");
    let mut terminal = Terminal::new(&servers);
    terminal.log_in("gb", "other");
    terminal.answer("Option: ", "1");
    terminal.answer("Command: ", "DELE 1");
    terminal.expect("Message 1 is marked as deleted");
    servers.kill();
    terminal.answer("Command: ", "STAT");
    terminal.expect(" lost: ");
    terminal.expect("No message was removed.");
    terminal.answer("Option: ", "2");
    terminal.expect("cannot connect to the SMTP server at ");
    terminal.answer("Option: ", "3");
    assert_eq!(terminal.wait().0, Some(0));
    assert!(servers.mailbox("gb").contains("Subject: x"));
}

#[test]
fn ctrl_d_removes_deleted_messages_and_ctrl_c_does_not() {
    let servers = Servers::start();
    servers.deliver(b"Subject: x\r\n\r\n");
    for (key, code, remains) in
        [(ControlCode::EndOfText, 130, true), (ControlCode::EndOfTransmission, 0, false)]
    {
        let mut terminal = Terminal::new(&servers);
        terminal.log_in("gb", "other");
        terminal.answer("Option: ", "1");
        terminal.answer("Command: ", "DELE 1");
        terminal.expect("Command: ");
        terminal.session.send(key).expect("the terminal accepts input");
        assert_eq!(terminal.wait().0, Some(code));
        assert_eq!(servers.mailbox("gb").contains("Subject: x"), remains);
    }
}

#[test]
fn untrusted_certificate_prompts_once_and_is_remembered() {
    let servers = Servers::start_with_tls();
    let client = || {
        let mut client = servers.client();
        client.args(["--tls", "starttls"]);
        client
    };
    let mut terminal = Terminal::with_client(client());
    terminal.log_in("gb", "other");
    terminal.answer("Option: ", "1");
    terminal.expect(&servers.fingerprint);
    terminal.answer("(yes/no): ", "no");
    terminal.expect("No password was sent.");
    terminal.answer("Option: ", "1");
    terminal.answer("(yes/no): ", "yes");
    terminal.expect("+OK POP3 server ready");
    terminal.answer("Command: ", "QUIT");
    assert_eq!(terminal.wait().0, Some(0));

    let mut terminal = Terminal::with_client(client());
    terminal.log_in("gb", "other");
    terminal.answer("Option: ", "1");
    terminal.answer("Command: ", "QUIT");
    let (code, screen) = terminal.wait();
    assert!(code == Some(0) && !screen.contains("yes/no"), "{screen}");
}
