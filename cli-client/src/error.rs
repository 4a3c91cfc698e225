//! What can go wrong, each as a sentence for the person at the terminal, and the exit code that says it to a script.

use std::io;
use std::process::ExitCode;

use crate::link::LinkError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line, the configuration or a file named there is wrong; nothing has been tried.
    #[error("{0}")]
    Usage(String),
    /// A server said no, or something here failed on the way.
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    /// Standard input is at its end, which means Quit wherever it comes.
    #[error("standard input has ended")]
    InputEnded,
    /// Ctrl-C at a prompt.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// 0 for what is no failure, 1 for a refusal or a failure, 2 for a mistake on the command line, 130 after Ctrl-C.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::InputEnded => ExitCode::SUCCESS,
            _ if self.is_broken_pipe() => ExitCode::SUCCESS,
            Self::Failed(_) | Self::Link(_) | Self::Output(_) | Self::Input(_) => ExitCode::FAILURE,
            Self::Usage(_) => ExitCode::from(2),
            // What a shell reports for a program that SIGINT ended.
            Self::Interrupted => ExitCode::from(130),
        }
    }

    /// Whether there is nothing to be said about it.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self, Self::InputEnded | Self::Interrupted) || self.is_broken_pipe()
    }

    /// Whoever read the output has seen enough, as in `mail-client list | head`.
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
