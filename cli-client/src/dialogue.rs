//! The guide's dialogue: credentials, then three options, on a terminal or through a pipe.
//!
//! The end of standard input means Quit wherever it comes. Ctrl-C leaves at once, and no mail is removed by it.

use std::path::PathBuf;

use mail_core::sasl::Credentials;

use crate::error::Error;
use crate::input::Input;
use crate::link::{LinkError, Server};
use crate::tls::Stranger;
use crate::{manage, output, send};

/// What the options share.
pub(crate) struct Dialogue {
    pub(crate) smtp: Server,
    pub(crate) pop3: Server,
    /// Where mail that cannot be sent is kept.
    pub(crate) drafts: PathBuf,
    pub(crate) input: Input,
    pub(crate) credentials: Credentials,
}

/// The whole dialogue, from the username to QUIT.
///
/// # Errors
/// [`Error::InputEnded`], which is how a pipe quits, or the terminal fails.
pub(crate) fn run(smtp: Server, pop3: Server, drafts: PathBuf, user: Option<String>) -> Result<(), Error> {
    let mut input = Input::new()?;
    let credentials = ask_credentials(&mut input, user)?;
    let mut dialogue = Dialogue { smtp, pop3, drafts, input, credentials };
    loop {
        output::text("\n1. Manage Mail\n2. Send Mail\n3. Quit")?;
        let choice = dialogue.input.ask("Option: ")?;
        match choice.to_lowercase().as_str() {
            "1" | "manage mail" | "manage" => {
                if let Some(maildrop) = dialogue.option(manage::manage)? {
                    return manage::quit(maildrop);
                }
            }
            "2" | "send mail" | "send" => {
                dialogue.option(send::send)?;
            }
            "3" | "quit" => return Ok(()),
            _ => output::line("Choose 1, 2 or 3.")?,
        }
    }
}

impl Dialogue {
    /// Runs an option; again, once the person has said that a server's certificate is the right one. `None` when it has failed,
    /// which the person knows then.
    fn option<T>(&mut self, run: impl Fn(&mut Self) -> Result<T, Error>) -> Result<Option<T>, Error> {
        loop {
            match run(self) {
                Err(Error::Link(LinkError::Untrusted { server, stranger }))
                    if self.input.is_terminal()
                        && server.trust.fingerprint.is_none()
                        && !stranger.has_changed =>
                {
                    if !self.meets(&server, &stranger)? {
                        return Ok(None);
                    }
                }
                result => return told(result),
            }
        }
    }

    /// Whether the person believes a certificate that nobody vouches for.
    fn meets(&mut self, server: &Server, stranger: &Stranger) -> Result<bool, Error> {
        output::text(&format!(
            "Nobody vouches for the certificate of {server} ({}).\nIts SHA-256 fingerprint is {}\n\
             Compare it with what the server's log says.",
            stranger.reason, stranger.fingerprint
        ))?;
        let answer = self.input.ask("Is it the right one, from now on? (yes/no): ")?;
        if !answer.eq_ignore_ascii_case("yes") {
            output::line("No password was sent.")?;
            return Ok(false);
        }
        let kept = server.trust.remember(stranger);
        kept.map_err(|error| {
            Error::Failed(format!("cannot keep it in {}: {error}", server.trust.known.display()))
        })?;
        Ok(true)
    }

    /// Asks for the credentials again, after these were refused.
    ///
    /// # Errors
    /// There is no more input.
    pub(crate) fn refused(&mut self, reason: &str) -> Result<(), Error> {
        output::line(reason)?;
        self.credentials = ask_credentials(&mut self.input, None)?;
        Ok(())
    }
}

fn ask_credentials(input: &mut Input, user: Option<String>) -> Result<Credentials, Error> {
    let user = user.map_or_else(|| input.ask("Username: "), Ok)?;
    let password = input.secret("Password: ")?;
    Ok(Credentials::new(user, password.expose()))
}

/// Tells what has failed, after which the three options come again. Other errors end the dialogue.
fn told<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ (Error::Failed(_) | Error::Link(_) | Error::Usage(_))) => {
            output::text(&error.to_string())?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
