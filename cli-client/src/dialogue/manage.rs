//! Option 1, Manage Mail: login, list and POP3 commands.

use std::collections::HashSet;

use mail_core::message::parsed::ParsedMessage;

use super::context::Context;
use crate::error::Error;
use crate::input::Input;
use crate::maildrop::{Entry, Maildrop, Refusal};
use crate::output;
use crate::platform::PLATFORM;

const MENU: &str = "
POP3 commands, by name or number:
1. STAT    count the messages
2. LIST    list the messages
3. RETR n  read message n (RETR n --raw: as received)
4. DELE n  delete message n
5. QUIT    remove the deleted messages and quit";

/// A command of the menu; the number is `None` if omitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Stat,
    List,
    Retr { number: Option<u64>, raw: bool },
    Dele(Option<u64>),
    Quit,
}

/// An open maildrop and the input that controls it.
struct Session<'a> {
    input: &'a mut Input,
    maildrop: Maildrop,
    /// The list, read once: a maildrop does not change while it is open.
    entries: Vec<Entry>,
}

/// Logs in, prompting again after a refusal, and runs commands until QUIT or the end of input. The caller then calls [`quit`].
///
/// # Errors
/// The connection is lost. No message is removed.
pub(super) fn run(context: &mut Context) -> Result<Maildrop, Error> {
    let maildrop = loop {
        match Maildrop::open(&context.pop3, &context.credentials)? {
            Ok(maildrop) => break maildrop,
            Err(refusal) => context.replace_credentials(&refusal.text)?,
        }
    };
    output::line(&maildrop.greeting.to_string())?;
    let mut session = Session { input: &mut context.input, maildrop, entries: Vec::new() };
    if let Some(list) = print_refusal(session.maildrop.list()?)? {
        session.entries = session.maildrop.entries(&list)?;
        output::list(&session.entries)?;
    }
    output::text(MENU)?;
    loop {
        match session.run_command() {
            Ok(true) => {}
            Ok(false) | Err(Error::InputEnded) => return Ok(session.maildrop),
            // Without QUIT the server removes nothing (RFC 1939 section 6).
            Err(Error::Connection(error)) => {
                return Err(Error::Failed(format!("{error}\nNo message was removed.")));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Ends the session and prints the server's reply.
///
/// # Errors
/// Some of the deleted messages were not removed, or the connection is lost and the result unknown.
pub(super) fn quit(maildrop: Maildrop) -> Result<(), Error> {
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
    /// Prompts for a command and runs it; `false` after QUIT. An invalid command prints the menu.
    fn run_command(&mut self) -> Result<bool, Error> {
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
        let Some(stat) = print_refusal(self.maildrop.stat()?)? else { return Ok(()) };
        output::stat(stat)
    }

    fn list(&mut self) -> Result<(), Error> {
        let Some(list) = print_refusal(self.maildrop.list()?)? else { return Ok(()) };
        let unmarked: HashSet<u64> = list.iter().map(|item| item.number).collect();
        self.entries.retain(|entry| unmarked.contains(&entry.number));
        output::list(&self.entries)
    }

    fn retrieve(&mut self, number: Option<u64>, raw: bool) -> Result<(), Error> {
        let Some(number) = self.require_number(number)? else { return Ok(()) };
        let octets = self.entries.iter().find(|entry| entry.number == number).map_or(0, |entry| entry.octets);
        if raw {
            print_refusal(output::raw_message(&mut self.maildrop, number, octets)?)?;
        } else if let Some(message) = print_refusal(self.maildrop.message(number, octets)?)? {
            output::message(&ParsedMessage::parse_with(&message, PLATFORM))?;
        }
        Ok(())
    }

    fn delete(&mut self, number: Option<u64>) -> Result<(), Error> {
        let Some(number) = self.require_number(number)? else { return Ok(()) };
        let Some(()) = print_refusal(self.maildrop.delete(number)?)? else { return Ok(()) };
        output::line(&format!("Message {number} is marked as deleted; QUIT removes it."))
    }

    /// Prompts for an omitted message-number; `None` if the answer is not a number.
    fn require_number(&mut self, number: Option<u64>) -> Result<Option<u64>, Error> {
        if number.is_some() {
            return Ok(number);
        }
        let number = self.input.ask("Message number: ")?.parse().ok();
        if number.is_none() {
            output::line("Not a message number; enter a number of the list.")?;
        }
        Ok(number)
    }
}

/// Prints a refusal, which leaves the session open.
fn print_refusal<T>(result: Result<T, Refusal>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(refusal) => output::line(&refusal.text).map(|()| None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_names_and_numbers_of_commands() {
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
