//! Password source of the script commands: a file, a command, standard input or a prompt. Never a command-line argument, which
//! all users of the host can read.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mail_core::secret::Secret;

use crate::error::Error;
use crate::input::{self, Input};

/// The flags. The password is the first line of the source.
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
    /// Reads the password. Prompts if no flag is set and standard input is a terminal.
    ///
    /// # Errors
    /// The source is unreadable or empty, or there is none.
    pub(crate) fn read(&self) -> Result<Secret<String>, Error> {
        if let Some(path) = &self.password_file {
            return first_line_of(path, "--password-file");
        }
        if let Some(command) = &self.password_command {
            return first_line(&run_command(command)?);
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
            "no password; pass it with --password-file, --password-command or --password-stdin".to_owned(),
        ))
    }
}

/// The password on the first line of a file, which `flag` names.
///
/// # Errors
/// The file is unreadable or empty.
pub(crate) fn first_line_of(path: &Path, flag: &str) -> Result<Secret<String>, Error> {
    let text = std::fs::read(path).map_err(|error| {
        Error::Usage(format!(
            "cannot read the password from {}: {error}; name a readable file with {flag}",
            path.display()
        ))
    })?;
    first_line(&text)
}

fn first_line(text: &[u8]) -> Result<Secret<String>, Error> {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match str::from_utf8(line) {
        Ok("") => Err(Error::Usage(
            "the password is empty; write it on the first line of the password source".to_owned(),
        )),
        Ok(password) => Ok(Secret::new(password.to_owned())),
        Err(_) => Err(Error::Usage("the password is not valid UTF-8; encode it as UTF-8".to_owned())),
    }
}

/// Returns the standard output of the command. Its standard input is empty, because that of the client may contain a mail.
fn run_command(command: &str) -> Result<Vec<u8>, Error> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let output = Command::new(shell)
        .args([flag, command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            Error::Usage(format!(
                "cannot run the password command with {shell}: {error}; check --password-command"
            ))
        })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::Usage(format!(
            "the password command failed ({}); check --password-command",
            output.status
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_is_the_password_and_must_be_text() {
        for text in ["secret", "secret\n", "secret\r\nmore\n"] {
            assert_eq!(first_line(text.as_bytes()).unwrap().expose(), "secret");
        }
        for text in [&b""[..], b"\nsecret", b"\xff\n"] {
            assert!(matches!(first_line(text), Err(Error::Usage(_))));
        }
    }

    #[test]
    #[cfg(unix)]
    fn run_command_returns_output_or_the_exit_status() {
        assert_eq!(run_command("echo secret; cat").unwrap(), b"secret\n");
        let error = run_command("exit 3").unwrap_err().to_string();
        assert!(error.contains('3'), "{error}");
    }
}
