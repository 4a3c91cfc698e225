//! Option 2, Send Mail: logs in, reads the mail as one text, validates it, and delivers it.

use std::fmt::Write as _;

use mail_core::message::draft::Draft;

use super::context::Context;
use crate::delivery;
use crate::error::Error;
use crate::input::Input;
use crate::maildrop::Maildrop;
use crate::output;
use crate::submission::{self, LoginResult};

/// Runs the option once.
///
/// # Errors
/// A server is unreachable or refuses the mail, which is then saved as a draft.
pub(super) fn run(context: &mut Context) -> Result<(), Error> {
    let login = loop {
        match check_login(context)? {
            LoginResult::Refused(reason) => context.replace_credentials(&reason)?,
            result => break result,
        }
    };
    let draft = match Draft::parse_dialogue(&read_mail(&mut context.input)?) {
        Ok(draft) => draft,
        Err(reason) => {
            output::line("Incorrect format")?;
            return output::line(&reason.to_string());
        }
    };
    // A server without AUTH does not get the password.
    let credentials = (login == LoginResult::Accepted).then(|| context.credentials.clone());
    let message = delivery::compose(&draft);
    let receipt = delivery::deliver(&context.smtp, credentials, &message, Some(&context.drafts))?;
    output::line(&receipt.reply.to_string())
}

/// Checks the credentials with the SMTP server, or with the POP3 server if the SMTP server does not offer AUTH.
fn check_login(context: &Context) -> Result<LoginResult, Error> {
    let result = submission::check_login(&context.smtp, &context.credentials)?;
    if result != LoginResult::AuthUnavailable {
        return Ok(result);
    }
    match Maildrop::open(&context.pop3, &context.credentials)? {
        Ok(maildrop) => maildrop.quit()?.map(|_| LoginResult::AuthUnavailable).map_err(Error::from),
        Err(refusal) if refusal.confirms_credentials() => Ok(LoginResult::AuthUnavailable),
        Err(refusal) => Ok(LoginResult::Refused(refusal.text)),
    }
}

/// Reads lines up to a single dot or the end of input. A terminal prompts for the three fields, and their names may be
/// typed or omitted. The text of a pipe is unchanged.
fn read_mail(input: &mut Input) -> Result<String, Error> {
    let mut text = String::new();
    let mut fields = Vec::new();
    if input.is_terminal() {
        fields.extend(["Subject", "To", "From"]);
    } else {
        output::line("Enter From, To and Subject, then the text; end with a line with a single dot:")?;
    }
    loop {
        let field = fields.pop();
        let prompt = field.map_or_else(String::new, |name| format!("{name}: "));
        let line = match input.line(&prompt) {
            Err(Error::InputEnded) => return Ok(text),
            line => line?,
        };
        match field {
            Some(name) if line != "." && !has_field_name(&line, name) => write!(text, "{name}: {line}"),
            _ => write!(text, "{line}"),
        }
        .and_then(|()| writeln!(text))
        .expect("writing to a String cannot fail");
        if line == "." {
            return Ok(text);
        }
        if field == Some("Subject") {
            output::line("Enter the text; end with a line with a single dot:")?;
        }
    }
}

/// Whether the line starts with the name of the field.
fn has_field_name(line: &str, field: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_field_name_ignores_case_and_space() {
        assert!(has_field_name("From: ag@iit.edu", "From") && has_field_name("subject :x", "Subject"));
        for (line, field) in [("ag@iit.edu", "From"), ("Re: x", "Subject"), ("", "To")] {
            assert!(!has_field_name(line, field), "{line:?}");
        }
    }
}
