//! Option 2, Send Mail: signs in, reads the mail as one text, checks it, and hands it over.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use chrono::{Local, Utc};
use mail_core::message::address::{Address, ReversePath};
use mail_core::message::compose;
use mail_core::message::draft::Draft;
use mail_core::message::id::MessageId;
use mail_core::sasl::Credentials;

use crate::dialogue::Dialogue;
use crate::error::Error;
use crate::input::Input;
use crate::link::Server;
use crate::maildrop::Maildrop;
use crate::submit::{self, Mail, Receipt, Verdict};
use crate::{drafts, output};

/// The whole option, once.
///
/// # Errors
/// A server cannot be reached, or refuses the mail, which is kept then.
pub(crate) fn send(dialogue: &mut Dialogue) -> Result<(), Error> {
    let signed_in = loop {
        match sign_in(dialogue)? {
            Verdict::Refused(reason) => dialogue.refused(&reason)?,
            verdict => break verdict,
        }
    };
    let draft = match Draft::parse_dialogue(&read_mail(&mut dialogue.input)?) {
        Ok(draft) => draft,
        Err(reason) => {
            output::line("Incorrect format")?;
            return output::line(&reason.to_string());
        }
    };
    // A server without AUTH is not told the password.
    let credentials = (signed_in == Verdict::Accepted).then(|| dialogue.credentials.clone());
    let receipt = deliver(&dialogue.smtp, credentials, &composed(&draft), Some(&dialogue.drafts))?;
    output::line(&receipt.reply.to_string())
}

/// Asks the SMTP server, and where that has no AUTH the POP3 server.
fn sign_in(dialogue: &Dialogue) -> Result<Verdict, Error> {
    let verdict = submit::check(&dialogue.smtp, &dialogue.credentials)?;
    if verdict != Verdict::NoAuth {
        return Ok(verdict);
    }
    match Maildrop::open(&dialogue.pop3, &dialogue.credentials)? {
        Ok(maildrop) => maildrop.quit()?.map(|_| Verdict::NoAuth).map_err(Error::from),
        Err(refusal) if refusal.knows_account() => Ok(Verdict::NoAuth),
        Err(refusal) => Ok(Verdict::Refused(refusal.words)),
    }
}

/// The lines up to a lone dot. On a terminal the three fields have prompts, and their names may be typed or left out;
/// a pipe brings the text as it is. The end of the input ends it too, and then it has no dot.
fn read_mail(input: &mut Input) -> Result<String, Error> {
    let mut text = String::new();
    let mut fields =
        ["From", "To", "Subject"].into_iter().filter(|_| input.is_terminal()).collect::<Vec<_>>();
    fields.reverse();
    if !input.is_terminal() {
        output::line("From, To, Subject, then the text, and a line with a single dot:")?;
    }
    loop {
        let field = fields.pop();
        let prompt = field.map_or_else(String::new, |name| format!("{name}: "));
        let line = match input.line(&prompt) {
            Err(Error::InputEnded) => return Ok(text),
            line => line?,
        };
        match field {
            Some(name) if line != "." && !names(&line, name) => write!(text, "{name}: {line}"),
            _ => write!(text, "{line}"),
        }
        .and_then(|()| writeln!(text))
        .expect("a String grows as needed");
        if line == "." {
            return Ok(text);
        }
        if field == Some("Subject") {
            output::line("Text, and a line with a single dot:")?;
        }
    }
}

/// Whether the line says itself which field it is.
fn names(line: &str, field: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case(field))
}

/// The draft as a message, dated now.
pub(crate) fn composed(draft: &Draft) -> Mail {
    // Both hashes are seeded by the operating system, and the second differs from the first.
    let random = || u128::from(RandomState::new().hash_one(Utc::now().timestamp_nanos_opt()));
    let id = MessageId::unique(random() << 64 | random(), &draft.from.host);
    Mail {
        reverse_path: ReversePath::Address(draft.from.clone()),
        recipients: draft.recipients().into_iter().cloned().collect(),
        message: compose::compose(draft, &Local::now().fixed_offset(), &id),
    }
}

/// Hands a mail over. It is kept in `drafts`, if given, until the server has it, so that not even Ctrl-C loses it; an
/// error says where it is.
///
/// # Errors
/// It was not sent to anybody.
pub(crate) fn deliver(
    smtp: &Server,
    credentials: Option<Credentials>,
    mail: &Mail,
    drafts: Option<&Path>,
) -> Result<Receipt, Error> {
    let kept = drafts.map(|folder| drafts::keep(folder, &mail.message));
    let user = credentials.as_ref().map(|credentials| credentials.authentication.clone());
    match (submit::submit(smtp, credentials, mail), kept) {
        (Ok(receipt), kept) => {
            if let Some(Ok(path)) = kept {
                // The mail is sent, and a draft too many does no harm.
                let _ = std::fs::remove_file(path);
            }
            Ok(receipt)
        }
        (Err(error), None) => Err(error),
        (Err(error), Some(Ok(path))) => {
            let path = quoted(&path.to_string_lossy());
            let flags = flags(smtp, user.as_deref(), mail);
            Err(Error::Failed(format!(
                "{error}\nThe draft is kept; send it with: mail-client send --raw {path}{flags}"
            )))
        }
        (Err(error), Some(Err(reason))) => {
            let text = String::from_utf8_lossy(&mail.message);
            Err(Error::Failed(format!(
                "{error}\nThe draft cannot be kept ({reason}), so here it is:\n{text}"
            )))
        }
    }
}

/// The flags that hand a mail once more to the same server, as the same user.
fn flags(smtp: &Server, user: Option<&str>, mail: &Mail) -> String {
    let user = user.map(|user| ("user", user.to_owned()));
    let from = match &mail.reverse_path {
        ReversePath::Address(from) => Some(("from", from.to_string())),
        ReversePath::Null => None,
    };
    let to = mail.recipients.iter().map(|to| ("to", to.to_string()));
    let tls = ("tls", smtp.tls.to_string());
    let all = [("smtp", smtp.address.clone()), tls].into_iter().chain(user).chain(from).chain(to);
    all.map(|(flag, value)| format!(" --{flag} {}", quoted(&value))).collect()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Who wrote a message, by its From field.
pub(crate) fn sender(message: &[u8]) -> Option<Address> {
    mail_core::message::view::Summary::parse(message).from.first()?.mailbox()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_may_be_typed_with_its_name() {
        assert!(names("From: ag@iit.edu", "From") && names("subject :x", "Subject"));
        assert!(!names("ag@iit.edu", "From") && !names("Re: x", "Subject") && !names("", "To"));
    }
}
