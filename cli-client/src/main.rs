//! `mail-client`: the terminal's mail program, with two faces: the guide's dialogue, and commands for scripts.
//!
//! | module | what it holds |
//! |---|---|
//! | `arguments`, `password` | the command line |
//! | `dialogue`, `manage`, `send` | the dialogue and its options |
//! | `script` | the commands |
//! | `maildrop`, `submit` | one POP3 session, one SMTP submission |
//! | `link`, `tls` | a state machine of mail-core on a TCP connection; whom it believes to be the server |
//! | `input`, `output`, `progress`, `drafts` | the person's side |
//! | `error` | what can go wrong, and the exit code |
//!
//! No rule of a format or a protocol stands here: addresses, drafts, messages and both protocols are mail-core's.

mod arguments;
mod dialogue;
mod drafts;
mod error;
mod input;
mod link;
mod maildrop;
mod manage;
mod output;
mod password;
mod progress;
mod script;
mod send;
mod submit;
mod timed;
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
    if !error.is_quiet() {
        let text = error.to_string();
        let text = mail_core::message::text::printable(&text);
        // There is nobody left to tell that standard error is closed.
        let _ = writeln!(std::io::stderr(), "mail-client: {text}");
    }
    error.exit_code()
}
