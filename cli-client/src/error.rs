//! Errors as sentences for the user, and their exit codes.

use std::io;
use std::process::ExitCode;

use crate::connection::ConnectionError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line, the configuration or a file named there is invalid. No server was contacted.
    #[error("{0}")]
    Usage(String),
    /// A server refused the request, or a local operation failed.
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    /// End of standard input, which means Quit at every prompt.
    #[error("standard input has ended")]
    InputEnded,
    /// Ctrl-C at a prompt.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// 0 for normal ends, 1 for failures, 2 for usage errors, 130 after Ctrl-C.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::InputEnded => ExitCode::SUCCESS,
            _ if self.is_broken_pipe() => ExitCode::SUCCESS,
            Self::Failed(_) | Self::Connection(_) | Self::Output(_) | Self::Input(_) => ExitCode::FAILURE,
            Self::Usage(_) => ExitCode::from(2),
            // 128 + SIGINT, as shells report it.
            Self::Interrupted => ExitCode::from(130),
        }
    }

    /// Whether the error is not printed.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::InputEnded | Self::Interrupted) || self.is_broken_pipe()
    }

    /// The reader of the output has exited, as in `mail-client list | head`.
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
