//! State shared by the options of the dialogue.

use std::path::PathBuf;

use mail_core::sasl::Credentials;

use crate::connection::Server;
use crate::error::Error;
use crate::input::Input;
use crate::output;

pub(super) struct Context {
    pub(super) smtp: Server,
    pub(super) pop3: Server,
    /// Directory for mail that could not be sent.
    pub(super) drafts: PathBuf,
    pub(super) input: Input,
    pub(super) credentials: Credentials,
}

impl Context {
    /// Prompts for the password, and for the user name unless given.
    pub(super) fn new(
        smtp: Server,
        pop3: Server,
        drafts: PathBuf,
        user: Option<String>,
    ) -> Result<Self, Error> {
        let mut input = Input::new()?;
        let credentials = ask_credentials(&mut input, user)?;
        Ok(Self { smtp, pop3, drafts, input, credentials })
    }

    /// Prints the reason of the refusal, and prompts for other credentials.
    ///
    /// # Errors
    /// End of input.
    pub(super) fn replace_credentials(&mut self, reason: &str) -> Result<(), Error> {
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
