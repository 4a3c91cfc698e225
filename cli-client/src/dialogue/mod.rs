//! The guide's dialogue on a terminal or through a pipe: credentials, then three options.
//!
//! End of input means Quit at every prompt. Ctrl-C exits at once without removing mail.

mod context;
mod manage;
mod send;

use std::path::PathBuf;

use self::context::Context;
use crate::connection::{ConnectionError, Server};
use crate::error::Error;
use crate::output;
use crate::tls::UntrustedCertificate;

/// Runs the dialogue, from the user name to QUIT.
///
/// # Errors
/// [`Error::InputEnded`], which is the normal end of a pipe, or the terminal fails.
pub(crate) fn run(smtp: Server, pop3: Server, drafts: PathBuf, user: Option<String>) -> Result<(), Error> {
    let mut context = Context::new(smtp, pop3, drafts, user)?;
    loop {
        output::text("\n1. Manage Mail\n2. Send Mail\n3. Quit")?;
        let choice = context.input.ask("Option: ")?;
        match choice.to_lowercase().as_str() {
            "1" | "manage mail" | "manage" => {
                if let Some(maildrop) = run_option(&mut context, manage::run)? {
                    return manage::quit(maildrop);
                }
            }
            "2" | "send mail" | "send" => {
                run_option(&mut context, send::run)?;
            }
            "3" | "quit" => return Ok(()),
            _ => output::line("Choose 1, 2 or 3.")?,
        }
    }
}

/// Runs an option, and runs it again after the user accepts an untrusted certificate. `None`: the option failed, and the
/// error was printed.
fn run_option<T>(
    context: &mut Context,
    option: impl Fn(&mut Context) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    loop {
        match option(context) {
            Ok(value) => return Ok(Some(value)),
            Err(Error::Connection(ConnectionError::Untrusted { server, certificate }))
                if context.input.is_terminal()
                    && server.trust.fingerprint.is_none()
                    && !certificate.has_changed =>
            {
                if !ask_trust(context, &server, &certificate)? {
                    return Ok(None);
                }
            }
            Err(error @ (Error::Failed(_) | Error::Connection(_) | Error::Usage(_))) => {
                output::text(&error.to_string())?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Asks the user whether to trust a certificate, and remembers it if so.
fn ask_trust(
    context: &mut Context,
    server: &Server,
    certificate: &UntrustedCertificate,
) -> Result<bool, Error> {
    output::text(&format!(
        "The certificate of {server} is not trusted ({}).\nIts SHA-256 fingerprint is {}\n\
         Compare it with the fingerprint in the server's log.",
        certificate.reason, certificate.fingerprint
    ))?;
    let answer = context.input.ask("Trust this certificate from now on? (yes/no): ")?;
    if !answer.eq_ignore_ascii_case("yes") {
        output::line("No password was sent.")?;
        return Ok(false);
    }
    server.trust.remember(certificate).map_err(|error| {
        let path = server.trust.known_certificates.display();
        Error::Failed(format!("cannot save the fingerprint in {path}: {error}; make the file writable"))
    })?;
    Ok(true)
}
