//! Failures of attempts.

use std::fmt::Display;

/// The reason an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) is_permanent: bool,
    /// An enhanced status code and a sentence, or the remote host and its reply.
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn permanent(status: &str, text: impl Display) -> Self {
        Self { is_permanent: true, text: format!("{status} {text}") }
    }

    pub(crate) fn temporary(status: &str, text: impl Display) -> Self {
        Self { is_permanent: false, text: format!("{status} {text}") }
    }

    /// For a message with REQUIRETLS: a host without verified TLS is a permanent failure (RFC 8689 section 4.2.1).
    pub(crate) fn final_without_tls(self) -> Self {
        match self.text.strip_prefix("4.7.4 ").or(self.text.strip_prefix("4.7.5 ")) {
            Some(text) => Self::permanent("5.7.30", text),
            None => self,
        }
    }
}
