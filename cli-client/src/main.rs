//! `mail-client`: the terminal mail client. It has a dialogue for users and commands for scripts.
//!
//! | module | contents |
//! |---|---|
//! | `arguments`, `password` | command line |
//! | `dialogue` | the dialogue and its options |
//! | `script`, `passwd`, `queue` | the commands |
//! | `maildrop`, `submission` | a POP3 session, an SMTP session |
//! | `delivery`, `drafts` | composing, submitting, saving what could not be sent |
//! | `connection`, `deadline_stream` | blocking driver of mail-core's state machines |
//! | `http` | requests to the page's listener |
//! | `tls`, `fingerprint` | certificate trust |
//! | `input`, `output`, `progress` | terminal and pipes |
//! | `platform` | charsets and HTML |
//! | `error` | error messages and exit codes |
//!
//! Formats and protocols are implemented in mail-core. The servers' `net` crate drives machines with tokio; this client blocks.

mod arguments;
mod connection;
mod deadline_stream;
mod delivery;
mod dialogue;
mod drafts;
mod error;
mod fingerprint;
mod http;
mod input;
mod maildrop;
mod output;
mod passwd;
mod password;
mod platform;
mod progress;
mod queue;
mod script;
mod submission;
mod tls;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::Arguments;

fn main() -> ExitCode {
    let Arguments { common, command } = Arguments::parse();
    let result = match &command {
        Some(command) => script::run(command, &common),
        None => {
            common.servers().and_then(|(smtp, pop3)| dialogue::run(smtp, pop3, common.drafts(), common.user))
        }
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    if !error.is_silent() {
        let text = error.to_string();
        let text = mail_core::message::printable::printable(&text);
        // If standard error is closed, the exit code remains.
        let _ = writeln!(std::io::stderr(), "mail-client: {text}");
    }
    error.exit_code()
}
