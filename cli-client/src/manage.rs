//! Option 1, Manage Mail: the login, the list, and the POP3 commands.

use std::collections::HashSet;

use mail_core::message::view::View;

use crate::dialogue::Dialogue;
use crate::error::Error;
use crate::input::Input;
use crate::maildrop::{Entry, Maildrop, Refusal};
use crate::output;

const MENU: &str = "
POP3 commands, by word or number:
1. STAT    how many messages
2. LIST    all messages
3. RETR n  read message n (RETR n --raw: as it was received)
4. DELE n  delete message n
5. QUIT    remove what was deleted, and leave";

/// What a person can ask for; `None` for a number that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Stat,
    List,
    Retr { number: Option<u64>, raw: bool },
    Dele(Option<u64>),
    Quit,
}

/// An open maildrop and the person who works in it.
struct Session<'a> {
    input: &'a mut Input,
    maildrop: Maildrop,
    /// What the list showed when the maildrop was opened; no message can come while it is open.
    entries: Vec<Entry>,
}

/// Logs in, asking for other credentials as long as these are refused, and obeys until QUIT or the end of the input.
/// What is left is to [`quit`].
///
/// # Errors
/// The connection is lost, and with it every mark: nothing is removed.
pub(crate) fn manage(dialogue: &mut Dialogue) -> Result<Maildrop, Error> {
    let maildrop = loop {
        match Maildrop::open(&dialogue.pop3, &dialogue.credentials)? {
            Ok(maildrop) => break maildrop,
            Err(refusal) => dialogue.refused(&refusal.words)?,
        }
    };
    output::line(&maildrop.greeting.to_string())?;
    let mut session = Session { input: &mut dialogue.input, maildrop, entries: Vec::new() };
    if let Some(list) = said(session.maildrop.list()?)? {
        session.entries = session.maildrop.entries(&list)?;
        output::list(&session.entries)?;
    }
    output::text(MENU)?;
    loop {
        match session.turn() {
            Ok(true) => {}
            Ok(false) | Err(Error::InputEnded) => return Ok(session.maildrop),
            // Marks die with their session (RFC 1939 section 6).
            Err(Error::Link(error)) => {
                return Err(Error::Failed(format!("{error}\nNo message was removed.")));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Ends the session and shows the server's goodbye.
///
/// # Errors
/// Not all that was deleted is removed, or nobody knows.
pub(crate) fn quit(maildrop: Maildrop) -> Result<(), Error> {
    output::line(&maildrop.quit()??.to_string())
}

impl Command {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let name = words.next()?.to_ascii_uppercase();
        let number = words.next().map(str::parse).transpose().ok()?;
        let option = words.next();
        if words.next().is_some() || (option.is_some() && !matches!(name.as_str(), "3" | "RETR")) {
            return None;
        }
        Some(match (name.as_str(), number) {
            ("1" | "STAT", None) => Self::Stat,
            ("2" | "LIST", None) => Self::List,
            ("3" | "RETR", _) => match option {
                None => Self::Retr { number, raw: false },
                Some("--raw") => Self::Retr { number, raw: true },
                Some(_) => return None,
            },
            ("4" | "DELE", _) => Self::Dele(number),
            ("5" | "QUIT", None) => Self::Quit,
            _ => return None,
        })
    }
}

impl Session<'_> {
    /// Asks for one command and obeys it; false is QUIT. What cannot be read as a command shows the menu.
    fn turn(&mut self) -> Result<bool, Error> {
        match Command::parse(&self.input.ask("Command: ")?) {
            Some(Command::Stat) => self.stat()?,
            Some(Command::List) => self.list()?,
            Some(Command::Retr { number, raw }) => self.retrieve(number, raw)?,
            Some(Command::Dele(number)) => self.delete(number)?,
            Some(Command::Quit) => return Ok(false),
            None => output::text(MENU)?,
        }
        Ok(true)
    }

    fn stat(&mut self) -> Result<(), Error> {
        let Some(stat) = said(self.maildrop.stat()?)? else { return Ok(()) };
        output::stat(stat)
    }

    fn list(&mut self) -> Result<(), Error> {
        let Some(list) = said(self.maildrop.list()?)? else { return Ok(()) };
        let unmarked: HashSet<u64> = list.iter().map(|item| item.number).collect();
        self.entries.retain(|entry| unmarked.contains(&entry.number));
        output::list(&self.entries)
    }

    fn retrieve(&mut self, number: Option<u64>, raw: bool) -> Result<(), Error> {
        let Some(number) = self.which(number)? else { return Ok(()) };
        let octets = self.entries.iter().find(|entry| entry.number == number).map_or(0, |entry| entry.octets);
        if raw {
            said(show_raw(&mut self.maildrop, number, octets)?)?;
        } else if let Some(message) = said(self.maildrop.message(number, octets)?)? {
            output::message(&View::parse(&message))?;
        }
        Ok(())
    }

    fn delete(&mut self, number: Option<u64>) -> Result<(), Error> {
        let Some(number) = self.which(number)? else { return Ok(()) };
        let Some(()) = said(self.maildrop.delete(number)?)? else { return Ok(()) };
        output::line(&format!("Message {number} is deleted; QUIT removes it."))
    }

    /// The message-number, asked for if it was left out; `None` when the answer is no number.
    fn which(&mut self, number: Option<u64>) -> Result<Option<u64>, Error> {
        if number.is_some() {
            return Ok(number);
        }
        let number = self.input.ask("Message number: ")?.parse().ok();
        if number.is_none() {
            output::line("That is no message number.")?;
        }
        Ok(number)
    }
}

/// Writes a message as it was received: its bytes into a pipe, and on a terminal with the characters that would drive
/// it made visible.
///
/// # Errors
/// The connection or the output fails.
pub(crate) fn show_raw(
    maildrop: &mut Maildrop,
    number: u64,
    octets: u64,
) -> Result<Result<(), Refusal>, Error> {
    if !output::is_terminal() {
        return maildrop.retrieve(number, octets, output::bytes);
    }
    Ok(match maildrop.message(number, octets)? {
        Ok(message) => Ok(output::text(&String::from_utf8_lossy(&message))?),
        Err(refusal) => Err(refusal),
    })
}

/// Shows a refusal; the session goes on.
fn said<T>(answer: Result<T, Refusal>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(refusal) => output::line(&refusal.words).map(|()| None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words_or_numbers() {
        use Command as C;
        for (text, command) in [
            ("STAT", Some(C::Stat)),
            ("1", Some(C::Stat)),
            (" list ", Some(C::List)),
            ("RETR 2", Some(C::Retr { number: Some(2), raw: false })),
            ("3", Some(C::Retr { number: None, raw: false })),
            ("3 2 --raw", Some(C::Retr { number: Some(2), raw: true })),
            ("dele 7", Some(C::Dele(Some(7)))),
            ("4", Some(C::Dele(None))),
            ("Quit", Some(C::Quit)),
            ("", None),
            ("6", None),
            ("RETR x", None),
            ("RETR -1", None),
            ("RETR 1 2", None),
            ("RETR 1 --raw 2", None),
            ("DELE 1 --raw", None),
            ("STAT 1", None),
            ("QUIT 5", None),
        ] {
            assert_eq!(Command::parse(text), command, "{text:?}");
        }
    }
}
