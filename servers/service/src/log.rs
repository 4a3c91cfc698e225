//! Addresses in log lines: escaped, and of bounded length and number.

use std::fmt::Display;

use mail_core::message::printable::Excerpt;
use mail_store::{Destination, Envelope};

/// Recipients that a log line names.
const RECIPIENTS_MAX: usize = 10;

/// A path, or another text of a client.
pub(crate) fn path(path: &impl Display) -> String {
    Excerpt(&path.to_string()).to_string()
}

/// Sender and recipients.
pub(crate) fn addresses(envelope: &Envelope) -> (String, String) {
    let recipients = envelope.recipients.iter().map(Destination::address);
    (path(&envelope.reverse_path), list(recipients.map(|address| format!("<{address}>"))))
}

/// The first few of some recipients, and the number of the others.
pub(crate) fn list(recipients: impl ExactSizeIterator<Item = String>) -> String {
    let others = recipients.len().saturating_sub(RECIPIENTS_MAX);
    let listed =
        recipients.take(RECIPIENTS_MAX).map(|recipient| path(&recipient)).collect::<Vec<_>>().join(",");
    if others > 0 { format!("{listed} and {others} more") } else { listed }
}

/// The path that follows `verb` in a command line, valid or not.
pub(crate) fn path_argument(line: &str, verb: &str) -> Option<String> {
    let (start, argument) = line.split_at_checked(verb.len())?;
    let path = argument.trim_start().split(' ').next()?;
    start.eq_ignore_ascii_case(verb).then(|| Excerpt(path).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_names_ten_recipients_and_counts_the_others() {
        let names = |count: usize| list((0..count).map(|number| number.to_string()));
        assert_eq!((names(0), names(10)), (String::new(), "0,1,2,3,4,5,6,7,8,9".to_owned()));
        assert_eq!(names(1_000), "0,1,2,3,4,5,6,7,8,9 and 990 more");
    }

    #[test]
    fn path_argument_is_the_text_before_the_parameters() {
        let path = |line| path_argument(line, "MAIL FROM:");
        assert_eq!(path("mail from: <a@b>  SIZE=1").as_deref(), Some("<a@b>"));
        assert_eq!(path("MAIL FROM:").as_deref(), Some(""));
        assert_eq!(path("RCPT TO:<a@b>"), None);
        assert_eq!(path("MAIL FRO\u{e9}"), None);
        assert_eq!(
            path(&format!("MAIL FROM:{}", "\x1b".repeat(999))).map(|path| path.chars().count()),
            Some(256 * 6 + 1)
        );
    }
}
