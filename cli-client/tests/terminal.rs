//! The dialogue on a pseudo-terminal: prompts, line editing, the hidden password, and hostile mail.

#![cfg(unix)]

mod support;

use std::process::Command;

use expectrl::process::unix::WaitStatus;
use expectrl::{ControlCode, Eof, Expect as _, session::OsSession};

use support::{PATIENCE, Servers, Wire};

/// A person at a terminal: what the client wrote so far, and the keyboard.
struct Person {
    session: OsSession,
    seen: Vec<u8>,
}

impl Person {
    fn new(servers: &Servers) -> Self {
        Self::before(servers.client())
    }

    fn before(client: Command) -> Self {
        let mut session = OsSession::spawn(client).expect("a pseudo-terminal");
        session.set_expect_timeout(Some(PATIENCE));
        Self { session, seen: Vec::new() }
    }

    /// Waits until this is on the screen.
    fn sees(&mut self, text: &str) {
        match self.session.expect(text) {
            Ok(found) => self.seen.extend_from_slice(found.as_bytes()),
            Err(error) => {
                let mut rest = [0; 4096];
                let count = self.session.try_read(&mut rest).unwrap_or(0);
                self.seen.extend_from_slice(&rest[..count]);
                panic!("never saw {text:?} ({error}) in:\n{:?}", self.screen())
            }
        }
    }

    /// Waits for a prompt, then types a line.
    fn types(&mut self, prompt: &str, line: &str) {
        self.sees(prompt);
        self.session.send(format!("{line}\r")).expect("the terminal takes it");
    }

    fn signs_in(&mut self, user: &str, password: &str) {
        self.types("Username: ", user);
        self.types("Password: ", password);
    }

    /// Waits for the end of the program; its exit code.
    fn leaves(mut self) -> (Option<i32>, String) {
        match self.session.expect(Eof) {
            Ok(found) => self.seen.extend_from_slice(found.as_bytes()),
            Err(error) => panic!("it did not end ({error}) after:\n{}", self.screen()),
        }
        let code = match self.session.get_process().wait().expect("it has ended") {
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
fn a_person_sends_a_mail_and_reads_it() {
    let servers = Servers::start();
    let mut ag = Person::new(&servers);
    ag.signs_in("ag", "secret");
    ag.sees("1. Manage Mail\r\n2. Send Mail\r\n3. Quit\r\n");
    ag.types("Option: ", "2");
    ag.types("From: ", "ag@iit.edu");
    ag.types("To: ", "To: <gb@iit.edu>");
    ag.types("Subject: ", "नमस्ते: a tab");
    ag.sees("a line with a single dot:");
    ag.session.send("first\x7f\x7fne\rFrom:\tme\r.\r").expect("the terminal takes it");
    ag.sees("250 2.0.0 OK Message accepted for delivery");
    ag.types("Option: ", "3");
    assert_eq!(ag.leaves().0, Some(0));

    let mut gb = Person::new(&servers);
    gb.signs_in("gb", "other");
    gb.types("Option: ", "1");
    gb.sees("+OK POP3 server ready");
    gb.sees("Sender's email id");
    gb.sees("When received (date : hour");
    gb.sees("ag@iit.edu");
    gb.sees("नमस्ते: a tab");
    gb.types("Command: ", "RETR 1");
    gb.sees("नमस्ते: a tab");
    gb.sees("firne\r\nFrom:\tme\r\n");
    gb.types("Command: ", "4");
    gb.types("Message number: ", "1");
    gb.sees("Message 1 is deleted");
    gb.types("Command: ", "5");
    gb.sees("+OK goodbye");
    assert_eq!(gb.leaves().0, Some(0));
    assert_eq!(servers.mailbox("gb"), "");
}

#[test]
fn the_password_is_never_on_the_screen() {
    let servers = Servers::start();
    let mut person = Person::new(&servers);
    person.signs_in("ag", "not-the-password");
    person.types("Option: ", "1");
    person.sees("-ERR ");
    person.signs_in("ag", "secret");
    person.types("Command: ", "5");
    let (code, screen) = person.leaves();
    assert_eq!(code, Some(0));
    assert!(screen.contains("+OK goodbye"), "{screen}");
    for part in ["not-the-password", "secret", "not-", "sec"] {
        assert!(!screen.contains(part), "{screen}");
    }
}

#[test]
fn a_mail_in_the_wrong_format_brings_the_options_again() {
    let servers = Servers::start();
    let mut person = Person::new(&servers);
    person.signs_in("ag", "secret");
    person.types("Option: ", "2");
    person.types("From: ", "ag@iit.edu");
    person.types("To: ", "gb");
    person.types("Subject: ", "x");
    person.types("a line with a single dot:", ".");
    person.sees("Incorrect format\r\nTo: ");
    person.sees("1. Manage Mail");
    person.types("Option: ", "2");
    // A lone dot ends the mail wherever it comes.
    person.types("From: ", ".");
    person.sees("Incorrect format");
    person.sees("\"From:\" is not where it should be");
    person.types("Option: ", "3");
    assert_eq!(person.leaves().0, Some(0));
}

#[test]
fn hostile_mail_does_not_drive_the_terminal() {
    let servers = Servers::start();
    servers.deliver(
        b"From: \"\x1b]0;owned\x07\" <ag@iit.edu>\r\nTo: gb@iit.edu\r\n\
          Subject: =?utf-8?q?=1B]0;owned=07_=C2=9B31m?= \x1b]0;owned\x07\r\n\
          Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\x1b]0;owned\x07 \x08\x08 \xe2\x80\xaetxt\r\n\
          --b\r\nContent-Disposition: attachment; filename=\"\x1b]0;owned\x07\"\r\n\r\nx\r\n--b--\r\n",
    );
    let mut person = Person::new(&servers);
    person.signs_in("gb", "other");
    person.types("Option: ", "1");
    person.types("Command: ", "RETR 1");
    person.types("Command: ", "RETR 1 --raw");
    person.types("Command: ", "5");
    let (code, screen) = person.leaves();
    assert_eq!(code, Some(0));
    assert!(screen.matches("␛]0;owned␇").count() >= 5, "{screen}");
    for control in ["\x1b]", "\x07", "\x08", "\u{9b}", "\u{202e}"] {
        assert!(!screen.contains(control), "{control:?} in {screen:?}");
    }
}

#[test]
fn a_long_transfer_shows_how_far_it_is() {
    let servers = Servers::start();
    let head = b"From: ag@iit.edu\r\nContent-Type: application/x-long; name=long\r\n\r\n";
    servers.deliver(&[&head[..], &b"0123456789abcdef\r\n".repeat(60_000)].concat());
    let mut person = Person::new(&servers);
    person.signs_in("gb", "other");
    person.types("Option: ", "1");
    person.types("Command: ", "RETR 1");
    person.sees("Receiving ");
    person.sees("[attachment: long, application/x-long, 1080000 octets]");
    person.types("Command: ", "5");
    assert_eq!(person.leaves().0, Some(0));
}

#[test]
fn a_maildrop_in_use_says_so_and_is_tried_again() {
    let servers = Servers::start();
    let mut other = Wire::connect(servers.pop3);
    other.line();
    for command in ["USER gb\r\n", "PASS other\r\n"] {
        other.send(command.as_bytes());
        assert!(other.line().starts_with("+OK"));
    }
    let mut person = Person::new(&servers);
    person.signs_in("gb", "other");
    person.types("Option: ", "1");
    person.sees("-ERR [IN-USE]");
    person.sees("Username: ");
    other.send(b"QUIT\r\n");
    assert!(other.line().starts_with("+OK"));
    assert_eq!(other.line(), "", "the server closes, and the maildrop is free");
    person.session.send("gb\r").expect("the terminal takes it");
    person.types("Password: ", "other");
    person.types("Command: ", "5");
    person.sees("+OK goodbye");
    assert_eq!(person.leaves().0, Some(0));
}

#[test]
fn a_server_killed_in_the_middle_is_a_sentence() {
    let mut servers = Servers::start();
    servers.deliver(b"Subject: x\r\n\r\n");
    let mut person = Person::new(&servers);
    person.signs_in("gb", "other");
    person.types("Option: ", "1");
    person.types("Command: ", "DELE 1");
    person.sees("Message 1 is deleted");
    servers.kill();
    person.types("Command: ", "STAT");
    person.sees("was lost: ");
    person.sees("No message was removed.");
    person.types("Option: ", "2");
    person.sees("nothing answers at ");
    person.types("Option: ", "3");
    assert_eq!(person.leaves().0, Some(0));
    assert!(servers.mailbox("gb").contains("Subject: x"));
}

#[test]
fn ctrl_d_is_quit_and_ctrl_c_leaves_everything_as_it_was() {
    let servers = Servers::start();
    servers.deliver(b"Subject: x\r\n\r\n");
    for (key, code, left) in [(ControlCode::EndOfText, 130, true), (ControlCode::EndOfTransmission, 0, false)]
    {
        let mut person = Person::new(&servers);
        person.signs_in("gb", "other");
        person.types("Option: ", "1");
        person.types("Command: ", "DELE 1");
        person.sees("Command: ");
        person.session.send(key).expect("the terminal takes it");
        assert_eq!(person.leaves().0, Some(code));
        assert_eq!(servers.mailbox("gb").contains("Subject: x"), left);
    }
}

#[test]
fn a_certificate_is_shown_and_asked_about_the_first_time() {
    let servers = Servers::start_with_tls();
    let client = || {
        let mut client = servers.client();
        client.args(["--tls", "starttls"]);
        client
    };
    let mut person = Person::before(client());
    person.signs_in("gb", "other");
    person.types("Option: ", "1");
    person.sees(&servers.fingerprint);
    person.types("(yes/no): ", "no");
    person.sees("No password was sent.");
    person.types("Option: ", "1");
    person.types("(yes/no): ", "yes");
    person.sees("+OK POP3 server ready");
    person.types("Command: ", "QUIT");
    assert_eq!(person.leaves().0, Some(0));

    let mut person = Person::before(client());
    person.signs_in("gb", "other");
    person.types("Option: ", "1");
    person.types("Command: ", "QUIT");
    let (code, screen) = person.leaves();
    assert!(code == Some(0) && !screen.contains("yes/no"), "{screen}");
}
