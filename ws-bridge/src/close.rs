//! Why a bridged connection ends, as the close code and reason that the page reads (RFC 6455 section 7.4).

use std::fmt;
use std::time::Duration;

use tracing::{debug, info};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// The target has ended the stream.
    End,
    /// The bridge is stopping.
    Away,
    /// The browser broke the WebSocket protocol.
    Protocol,
    /// The bytes of a stream are binary.
    Text,
    /// Text, or the reason of a Close, that is not UTF-8.
    Utf8,
    /// Frames without octets, one behind the other.
    Empty,
    Unreachable,
    Unanswered,
    Broken,
    /// A frame, or a message of several, over the limit.
    FrameSize(usize),
    Idle(Duration),
}

impl Close {
    /// What a Close frame carries.
    pub(crate) fn words(self) -> Vec<u8> {
        [&self.code().to_be_bytes()[..], self.to_string().as_bytes()].concat()
    }

    /// Tells the log: what ends as it should in a low voice, a limit or a fault so that it is heard.
    pub(crate) fn log(self) {
        match self {
            Self::End | Self::Away => debug!(close = %self, "closing"),
            _ => info!(close = %self, code = self.code(), "closing"),
        }
    }

    /// Each reason's code, and its name for who counts them.
    pub(crate) const REASONS: [(u16, &'static str); 11] = [
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

    /// Its place among the reasons.
    pub(crate) const fn reason(self) -> usize {
        match self {
            Self::End => 0,
            Self::Away => 1,
            Self::Protocol => 2,
            Self::Text => 3,
            Self::Utf8 => 4,
            Self::Empty => 5,
            Self::Unreachable => 6,
            Self::Unanswered => 7,
            Self::Broken => 8,
            Self::FrameSize(_) => 9,
            Self::Idle(_) => 10,
        }
    }

    const fn code(self) -> u16 {
        Self::REASONS[self.reason()].0
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the mail server has ended the connection"),
            Self::Away => f.write_str("the bridge is stopping; connect again in a while"),
            Self::Protocol => f.write_str("this is not the WebSocket protocol"),
            Self::Text => f.write_str("only binary frames are carried"),
            Self::Utf8 => f.write_str("text has to be UTF-8"),
            Self::Empty => f.write_str("too many frames that carry nothing"),
            Self::Unreachable => f.write_str("the mail server cannot be reached"),
            Self::Unanswered => f.write_str("the mail server does not answer"),
            Self::Broken => f.write_str("the connection to the mail server broke"),
            Self::FrameSize(octets) => write!(f, "a frame may have {octets} octets at most"),
            Self::Idle(time) => write!(f, "nothing was sent for {} seconds", time.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::CONTROL_OCTETS_MAX;

    #[test]
    fn every_reason_fits_into_a_control_frame() {
        for close in [
            Close::End,
            Close::Away,
            Close::Protocol,
            Close::Text,
            Close::Utf8,
            Close::Empty,
            Close::Unreachable,
            Close::Unanswered,
            Close::Broken,
            Close::FrameSize(usize::MAX),
            Close::Idle(Duration::MAX),
        ] {
            assert!(close.words().len() <= CONTROL_OCTETS_MAX, "{close}");
        }
    }
}
