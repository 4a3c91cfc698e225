//! `mail-client passwd`: changes the account's password over the HTTP side of the page's listener, since neither SMTP nor POP3 can.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use mail_core::sasl::Credentials;
use mail_core::secret::Secret;
use serde_json::json;

use crate::connection::Server;
use crate::error::Error;
use crate::http;
use crate::input::{self, Input};
use crate::output;
use crate::password::first_line_of;

const PATH: &str = "/account/password";
/// Source of the new password.
#[derive(Debug, clap::Args)]
pub(crate) struct NewPassword {
    /// Read the new password from the first line of FILE [default: the next line of standard input, or a prompt]
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

impl NewPassword {
    fn read(&self) -> Result<Secret<String>, Error> {
        if let Some(path) = &self.new_password_file {
            return first_line_of(path, "--new-password-file");
        }
        if !std::io::stdin().is_terminal() {
            return match input::plain_line() {
                Err(Error::InputEnded) => Err(Error::Usage(
                    "no new password; write it on the second line of standard input, or pass it with --new-password-file"
                        .to_owned(),
                )),
                line => Ok(Secret::new(line?)),
            };
        }
        let mut input = Input::new()?;
        let first = input.secret("New password: ")?;
        if first.expose() != input.secret("Repeat the new password: ")?.expose() {
            return Err(Error::Usage("the two new passwords differ; nothing was changed".to_owned()));
        }
        Ok(first)
    }
}

/// Changes the password.
///
/// # Errors
/// The server refuses the change, or cannot be reached; the password is then unchanged, unless the connection was lost.
pub(crate) fn run(web: &Server, credentials: &Credentials, new: &NewPassword) -> Result<(), Error> {
    let new = new.read()?;
    let body = json!({
        "user": credentials.authentication_id,
        "password": credentials.password.expose(),
        "new_password": new.expose(),
    });
    let response = http::post(web, PATH, &body)?;
    let text = response.reason();
    match response.status {
        204 => output::line(&format!("changed the password of {}", credentials.authentication_id)),
        300..=399 => Err(Error::Failed(format!("{web} accepts TLS only; pass --tls implicit"))),
        404 | 405 => Err(Error::Failed(format!(
            "{web} cannot change passwords; name the page's listener of `pennypost serve` with --web"
        ))),
        status if text.is_empty() => Err(Error::Failed(format!("not changed: {web} answered {status}"))),
        _ => Err(Error::Failed(format!("not changed: {text}"))),
    }
}
