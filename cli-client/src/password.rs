//! Where the scriptable face has its password from: a file, a command, standard input, or a person; never an argument,
//! which every user of the machine could read.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mail_core::secret::Secret;

use crate::error::Error;
use crate::input::{self, Input};

/// The flags. Only the first line of what they bring is the password.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct PasswordSource {
    /// Read the password from the first line of FILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Run CMD in a shell and read the password from the first line that it prints
    #[arg(long, value_name = "CMD")]
    password_command: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordSource {
    /// The password; asked for where nothing names it and somebody is there.
    ///
    /// # Errors
    /// It cannot be had.
    pub(crate) fn read(&self) -> Result<Secret<String>, Error> {
        if let Some(path) = &self.password_file {
            let text = std::fs::read(path).map_err(|error| {
                Error::Usage(format!("cannot read the password from {}: {error}", path.display()))
            })?;
            return first_line(&text);
        }
        if let Some(command) = &self.password_command {
            return first_line(&run(command)?);
        }
        if self.password_stdin {
            return match input::plain_line() {
                Err(Error::InputEnded) => first_line(b""),
                line => first_line(line?.as_bytes()),
            };
        }
        if io::stdin().is_terminal() {
            return Input::new()?.secret("Password: ");
        }
        Err(Error::Usage(
            "say where the password is with --password-file, --password-command or --password-stdin"
                .to_owned(),
        ))
    }
}

fn first_line(text: &[u8]) -> Result<Secret<String>, Error> {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match str::from_utf8(line) {
        Ok("") => Err(Error::Usage("the first line, where the password should be, is empty".to_owned())),
        Ok(password) => Ok(Secret::new(password.to_owned())),
        Err(_) => Err(Error::Usage("the password is not UTF-8 text".to_owned())),
    }
}

/// What the command prints. It does not get standard input, which may hold a mail.
fn run(command: &str) -> Result<Vec<u8>, Error> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let output = Command::new(shell)
        .args([flag, command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Error::Usage(format!("cannot run the password command with {shell}: {error}")))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::Usage(format!("the password command failed ({})", output.status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_is_the_password() {
        for text in ["secret", "secret\n", "secret\r\nmore\n"] {
            assert_eq!(first_line(text.as_bytes()).unwrap().expose(), "secret");
        }
        for text in [&b""[..], b"\nsecret", b"\xff\n"] {
            assert!(matches!(first_line(text), Err(Error::Usage(_))));
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_command_prints_it_or_says_why_not() {
        assert_eq!(run("echo secret; cat").unwrap(), b"secret\n");
        let error = run("exit 3").unwrap_err().to_string();
        assert!(error.contains('3'), "{error}");
    }
}
