//! Reasons for which the bridge closes a WebSocket, with their close codes (RFC 6455 section 7.4).

use std::fmt;
use std::time::Duration;

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tracing::{debug, info};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The target closed its connection.
    TargetClosed,
    Shutdown,
    /// The browser violated RFC 6455.
    Protocol,
    TextFrame,
    /// A text message or a close reason is not UTF-8.
    InvalidUtf8,
    /// Too many consecutive frames without stream data.
    EmptyFrames,
    TargetUnreachable,
    ConnectTimeout,
    TargetFailed,
    /// A message is larger than this number of bytes.
    MessageTooLarge(usize),
    Idle(Duration),
}

impl CloseReason {
    /// Close code and metric label of each reason.
    pub(crate) const CODES_AND_LABELS: [(u16, &'static str); 11] = [
        (1000, "end"),
        (1001, "stopping"),
        (1002, "protocol"),
        (1003, "text"),
        (1007, "utf8"),
        (1008, "empty_frames"),
        (1011, "unreachable"),
        (1011, "unanswered"),
        (1011, "broken"),
        (1013, "frame_size"),
        (1013, "idle"),
    ];

    /// Index into [`Self::CODES_AND_LABELS`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::TargetClosed => 0,
            Self::Shutdown => 1,
            Self::Protocol => 2,
            Self::TextFrame => 3,
            Self::InvalidUtf8 => 4,
            Self::EmptyFrames => 5,
            Self::TargetUnreachable => 6,
            Self::ConnectTimeout => 7,
            Self::TargetFailed => 8,
            Self::MessageTooLarge(_) => 9,
            Self::Idle(_) => 10,
        }
    }

    pub(crate) const fn code(self) -> u16 {
        Self::CODES_AND_LABELS[self.index()].0
    }

    pub(crate) fn frame(self) -> CloseFrame {
        CloseFrame { code: self.code().into(), reason: self.to_string().into() }
    }

    /// Logs normal ends at debug level, limits and failures at info level.
    pub(crate) fn log(self) {
        match self {
            Self::TargetClosed | Self::Shutdown => debug!(reason = %self, "closing WebSocket"),
            _ => info!(reason = %self, code = self.code(), "closing WebSocket"),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TargetClosed => f.write_str("the mail server closed the connection"),
            Self::Shutdown => f.write_str("the bridge is shutting down; connect again later"),
            Self::Protocol => f.write_str("WebSocket protocol error"),
            Self::TextFrame => f.write_str("text frames are not supported; send binary frames"),
            Self::InvalidUtf8 => f.write_str("invalid UTF-8"),
            Self::EmptyFrames => f.write_str("too many frames without data"),
            Self::TargetUnreachable => f.write_str("the mail server cannot be reached"),
            Self::ConnectTimeout => f.write_str("the mail server does not answer"),
            Self::TargetFailed => f.write_str("the connection to the mail server failed"),
            Self::MessageTooLarge(bytes_max) => write!(f, "a message may have at most {bytes_max} bytes"),
            Self::Idle(timeout) => write!(f, "no data was sent for {} seconds", timeout.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 section 5.5: 125 bytes, two of which are the code.
    const REASON_BYTES_MAX: usize = 123;

    #[test]
    fn close_reasons_fit_into_a_control_frame() {
        for reason in [
            CloseReason::TargetClosed,
            CloseReason::Shutdown,
            CloseReason::Protocol,
            CloseReason::TextFrame,
            CloseReason::InvalidUtf8,
            CloseReason::EmptyFrames,
            CloseReason::TargetUnreachable,
            CloseReason::ConnectTimeout,
            CloseReason::TargetFailed,
            CloseReason::MessageTooLarge(usize::MAX),
            CloseReason::Idle(Duration::MAX),
        ] {
            assert!(reason.to_string().len() <= REASON_BYTES_MAX, "{reason}");
        }
    }
}
