//! Recipients whose local part triggers a fault, at any domain:
//!
//! | local part | effect |
//! |---|---|
//! | `rcpt-452` | RCPT gets the reply 452 (any code from 400 to 599) |
//! | `data-550` | the end of the message gets the reply 550; the message is not stored |
//! | `slow-3s` | the reply to RCPT is delayed by three seconds (at most ten minutes) |
//! | `drop` | the connection is closed at RCPT |

use std::time::Duration;

use config::{Action, Fault, SmtpCommand};
use mail_core::smtp::reply::{EnhancedCode, Reply};

use crate::options::parse_duration;

const DELAY_MAX: Duration = Duration::from_mins(10);

/// The fault at RCPT of this address.
pub(crate) fn rcpt_fault(address: &str) -> Option<Fault<SmtpCommand>> {
    let local = local_part(address)?;
    if local == "drop" {
        return Some(fault(SmtpCommand::Rcpt, Action::Disconnect, None));
    }
    if let Some(delay) = local.strip_prefix("slow-") {
        let delay = parse_duration(delay).filter(|delay| *delay <= DELAY_MAX)?;
        return Some(fault(SmtpCommand::Rcpt, Action::Proceed, Some(delay)));
    }
    let reply = requested_reply(local.strip_prefix("rcpt-")?, "rcpt")?;
    Some(fault(SmtpCommand::Rcpt, Action::Reject(reply), None))
}

/// The fault at the end of a message to this address.
pub(crate) fn message_fault(address: &str) -> Option<Fault<SmtpCommand>> {
    let reply = requested_reply(local_part(address)?.strip_prefix("data-")?, "data")?;
    Some(fault(SmtpCommand::Message, Action::Reject(reply), None))
}

fn local_part(address: &str) -> Option<String> {
    address.rsplit_once('@').map(|(local, _)| local.to_ascii_lowercase())
}

fn requested_reply(code: &str, word: &str) -> Option<Reply> {
    let code = code.parse().ok().filter(|code| (400..=599).contains(code))?;
    let enhanced = EnhancedCode::new(if code < 500 { 4 } else { 5 }, 0, 0);
    Some(Reply::new(code, enhanced, format!("requested by the recipient {word}-{code}")))
}

const fn fault(command: SmtpCommand, action: Action<Reply>, delay: Option<Duration>) -> Fault<SmtpCommand> {
    Fault { command, identity: None, delay, action, stored: false, times: None, sampling: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_part_asks_for_a_fault() {
        for (address, described) in [
            ("rcpt-452@a.example", "RCPT: 452 4.0.0 requested by the recipient rcpt-452"),
            ("RCPT-550@a.example", "RCPT: 550 5.0.0 requested by the recipient rcpt-550"),
            ("slow-3s@a.example", "RCPT: carried out, after 3s"),
            ("slow-50ms@a.example", "RCPT: carried out, after 50ms"),
            ("drop@a.example", "RCPT: connection dropped"),
        ] {
            assert_eq!(rcpt_fault(address).map(|fault| fault.to_string()).as_deref(), Some(described));
            assert_eq!(message_fault(address), None, "{address}");
        }
        let described = message_fault("data-451@a.example").map(|fault| fault.to_string());
        assert_eq!(described.as_deref(), Some("MESSAGE: 451 4.0.0 requested by the recipient data-451"));
    }

    #[test]
    fn other_addresses_ask_for_none() {
        for address in [
            "rcpt-250@a.example",
            "rcpt-600@a.example",
            "rcpt-@a",
            "slow-11m@a",
            "slow-3@a",
            "dropped@a",
            "a@drop",
            "data@a",
            "drop",
        ] {
            assert_eq!((rcpt_fault(address), message_fault(address)), (None, None), "{address}");
        }
    }
}
