//! The first mails, handed to the SMTP server by a dialogue as plain as the one that a person would type.
//!
//! The project's SMTP client is not used on purpose: this program stays small and quick to build.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use xtask::shell::{Result, command, stdout_of};

/// No reply of a server on this machine takes longer.
const REPLY_MAX: Duration = Duration::from_secs(30);

/// Sends every file of the folder, in the order of their names, over one connection.
pub(super) fn submit_all(server: SocketAddr, folder: &Path) -> Result {
    let mails = read_mails(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let date = stdout_of(command("date").arg("-R")).ok_or("`date -R` does not say the date")?;
    submit(server, &mails, &date).map_err(|error| format!("the welcome mails were not sent: {error}"))
}

fn read_mails(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut files =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    files.iter().map(fs::read_to_string).collect()
}

fn submit(server: SocketAddr, mails: &[String], date: &str) -> std::io::Result<()> {
    let connection = TcpStream::connect_timeout(&server, REPLY_MAX)?;
    connection.set_read_timeout(Some(REPLY_MAX))?;
    let mut dialogue = Dialogue { replies: BufReader::new(&connection), commands: &connection };
    dialogue.expect("220")?;
    dialogue.print("HELO iit.edu", "250")?;
    for mail in mails {
        dialogue.print(&format!("MAIL FROM:<{}>", address(mail, "From: ")?), "250")?;
        dialogue.print(&format!("RCPT TO:<{}>", address(mail, "To: ")?), "250")?;
        dialogue.print("DATA", "354")?;
        dialogue.print(&format!("Date: {date}\r\n{}.", stuffed(mail)), "250")?;
    }
    dialogue.print("QUIT", "221")
}

struct Dialogue<Replies, Commands> {
    replies: Replies,
    commands: Commands,
}

impl<Replies: BufRead, Commands: Write> Dialogue<Replies, Commands> {
    fn print(&mut self, text: &str, code: &str) -> std::io::Result<()> {
        self.commands.write_all(format!("{text}\r\n").as_bytes())?;
        self.expect(code)
    }

    /// Reads to the last line of a reply, which has no hyphen after its code.
    fn expect(&mut self, code: &str) -> std::io::Result<()> {
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

/// The address of a field that holds one, bare or in angle brackets.
fn address<'mail>(mail: &'mail str, field: &str) -> std::io::Result<&'mail str> {
    let value = mail.lines().find_map(|line| line.strip_prefix(field));
    let value = value.ok_or_else(|| std::io::Error::other(format!("a mail has no line \"{field}\"")))?;
    Ok(value.rsplit_once('<').map_or(value, |(_, address)| address.trim_end_matches('>')))
}

/// Each line ends with CRLF, and one that starts with a dot gets another.
fn stuffed(mail: &str) -> String {
    mail.lines()
        .map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const MAIL: &str = "From: Ag <ag@iit.edu>\nTo: gb@iit.edu\nSubject: x\n\n.dot\n";

    /// Answers each line whose first word `replies` knows, keeps everything, and hands it over when the client has gone.
    fn server(replies: &'static [(&str, &str)]) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let heard = thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("the client comes");
            connection.write_all(b"220-first\r\n220 last\r\n").expect("the client reads");
            let mut heard = String::new();
            for line in
                BufReader::new(connection.try_clone().expect("a second handle")).lines().map_while(|l| l.ok())
            {
                if let Some((_, reply)) =
                    replies.iter().find(|(word, _)| line.split(' ').next() == Some(word))
                {
                    connection.write_all(format!("{reply}\r\n").as_bytes()).expect("the client reads");
                }
                heard += &format!("{line}\n");
            }
            heard
        });
        (address, heard)
    }

    #[test]
    fn the_dialogue_is_the_one_a_person_would_type() {
        let (address, heard) = server(&[
            ("HELO", "250 OK"),
            ("MAIL", "250 OK"),
            ("RCPT", "250 OK"),
            ("DATA", "354 go on"),
            (".", "250 OK"),
            ("QUIT", "221 bye"),
        ]);
        submit(address, &[MAIL.to_owned()], "today").expect("the mail is taken");
        let expected = "HELO iit.edu\nMAIL FROM:<ag@iit.edu>\nRCPT TO:<gb@iit.edu>\nDATA\nDate: today\n\
                        From: Ag <ag@iit.edu>\nTo: gb@iit.edu\nSubject: x\n\n..dot\n.\nQUIT\n";
        assert_eq!(heard.join().expect("the server ends"), expected);
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let (address, heard) = server(&[("HELO", "250 OK"), ("MAIL", "550 not today")]);
        let error = submit(address, &[MAIL.to_owned()], "today").expect_err("it is refused");
        assert_eq!(error.to_string(), "550 not today");
        assert!(heard.join().expect("the server ends").ends_with("MAIL FROM:<ag@iit.edu>\n"));
    }

    #[test]
    fn every_welcome_mail_has_its_addresses() {
        let mails =
            read_mails(&xtask::shell::workspace_root().join("demo/welcome")).expect("the folder is there");
        assert!(!mails.is_empty());
        for mail in mails {
            assert!(address(&mail, "From: ").expect("a sender").contains('@'), "{mail}");
            assert!(address(&mail, "To: ").expect("a recipient").contains('@'), "{mail}");
        }
    }
}
