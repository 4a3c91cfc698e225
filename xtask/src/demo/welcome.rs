//! Submits the welcome messages with a minimal SMTP client.
//!
//! Using the project's SMTP client would make this program slow to build.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use xtask::shell::{Result, command, stdout_of};

const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends all files of the folder in the order of their names, over one connection.
pub(super) fn submit_all(server: SocketAddr, folder: &Path) -> Result {
    let messages = read_messages(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let date = stdout_of(command("date").arg("-R")).ok_or("`date -R` does not print a date")?;
    submit(server, &messages, &date).map_err(|error| format!("cannot send the welcome messages: {error}"))
}

fn read_messages(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut files =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    files.iter().map(fs::read_to_string).collect()
}

fn submit(server: SocketAddr, messages: &[String], date: &str) -> std::io::Result<()> {
    let connection = TcpStream::connect_timeout(&server, REPLY_TIMEOUT)?;
    connection.set_read_timeout(Some(REPLY_TIMEOUT))?;
    let mut client = Client { replies: BufReader::new(&connection), commands: &connection };
    client.expect_reply("220")?;
    client.send("HELO iit.edu", "250")?;
    for message in messages {
        client.send(&format!("MAIL FROM:<{}>", address(message, "From: ")?), "250")?;
        client.send(&format!("RCPT TO:<{}>", address(message, "To: ")?), "250")?;
        client.send("DATA", "354")?;
        client.send(&format!("Date: {date}\r\n{}.", dot_stuffed(message)), "250")?;
    }
    client.send("QUIT", "221")
}

struct Client<Replies, Commands> {
    replies: Replies,
    commands: Commands,
}

impl<Replies: BufRead, Commands: Write> Client<Replies, Commands> {
    fn send(&mut self, text: &str, code: &str) -> std::io::Result<()> {
        self.commands.write_all(format!("{text}\r\n").as_bytes())?;
        self.expect_reply(code)
    }

    /// Reads a reply; only its last line has no hyphen after the code.
    fn expect_reply(&mut self, code: &str) -> std::io::Result<()> {
        let mut reply = String::new();
        while reply.is_empty() || reply.as_bytes().get(3) == Some(&b'-') {
            reply.clear();
            if self.replies.by_ref().take(1000).read_line(&mut reply)? == 0 {
                return Err(std::io::Error::other("the server closed the connection"));
            }
        }
        if reply.starts_with(code) { Ok(()) } else { Err(std::io::Error::other(reply.trim_end().to_owned())) }
    }
}

/// The address in a header field, with or without angle brackets.
fn address<'message>(message: &'message str, field: &str) -> std::io::Result<&'message str> {
    let value = message.lines().find_map(|line| line.strip_prefix(field));
    let value =
        value.ok_or_else(|| std::io::Error::other(format!("a welcome message has no line \"{field}\"")))?;
    Ok(value.rsplit_once('<').map_or(value, |(_, address)| address.trim_end_matches('>')))
}

/// Converts line ends to CRLF and doubles leading dots.
fn dot_stuffed(message: &str) -> String {
    message
        .lines()
        .map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const MESSAGE: &str = "From: Ag <ag@iit.edu>\nTo: gb@iit.edu\nSubject: x\n\n.dot\n";

    /// Replies to the commands in `replies`; returns all received lines at the end of the connection.
    fn server(replies: &'static [(&str, &str)]) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let received = thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("the client connects");
            connection.write_all(b"220-first\r\n220 last\r\n").expect("the client reads");
            let mut received = String::new();
            for line in
                BufReader::new(connection.try_clone().expect("a second handle")).lines().map_while(|l| l.ok())
            {
                if let Some((_, reply)) =
                    replies.iter().find(|(command, _)| line.split(' ').next() == Some(command))
                {
                    connection.write_all(format!("{reply}\r\n").as_bytes()).expect("the client reads");
                }
                received += &format!("{line}\n");
            }
            received
        });
        (address, received)
    }

    #[test]
    fn messages_are_submitted_with_helo_and_dot_stuffing() {
        let (address, received) = server(&[
            ("HELO", "250 OK"),
            ("MAIL", "250 OK"),
            ("RCPT", "250 OK"),
            ("DATA", "354 go on"),
            (".", "250 OK"),
            ("QUIT", "221 bye"),
        ]);
        submit(address, &[MESSAGE.to_owned()], "today").expect("the message is accepted");
        let expected = "HELO iit.edu\nMAIL FROM:<ag@iit.edu>\nRCPT TO:<gb@iit.edu>\nDATA\nDate: today\n\
                        From: Ag <ag@iit.edu>\nTo: gb@iit.edu\nSubject: x\n\n..dot\n.\nQUIT\n";
        assert_eq!(received.join().expect("the server ends"), expected);
    }

    #[test]
    fn rejection_is_reported_with_the_reply() {
        let (address, received) = server(&[("HELO", "250 OK"), ("MAIL", "550 rejected")]);
        let error = submit(address, &[MESSAGE.to_owned()], "today").expect_err("it is rejected");
        assert_eq!(error.to_string(), "550 rejected");
        assert!(received.join().expect("the server ends").ends_with("MAIL FROM:<ag@iit.edu>\n"));
    }

    #[test]
    fn every_welcome_message_has_both_addresses() {
        let messages =
            read_messages(&xtask::shell::workspace_root().join("demo/welcome")).expect("the folder exists");
        assert!(!messages.is_empty());
        for message in messages {
            assert!(address(&message, "From: ").expect("a sender").contains('@'), "{message}");
            assert!(address(&message, "To: ").expect("a recipient").contains('@'), "{message}");
        }
    }
}
