//! The progress of long transfers, on standard error and only where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// From this many octets on, a message is worth a bar.
const LONG_OCTETS: u64 = 256 * 1024;
/// From this many messages on, a list is.
const LONG_COUNT: u64 = 200;

/// A bar for the octets of one message.
pub(crate) fn octets(total: u64, what: &'static str) -> ProgressBar {
    bar(total, LONG_OCTETS, what, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
}

/// A bar for the messages of a list.
pub(crate) fn messages(total: u64, what: &'static str) -> ProgressBar {
    bar(total, LONG_COUNT, what, "{msg} {wide_bar} {pos}/{len}")
}

fn bar(total: u64, long: u64, what: &'static str, template: &str) -> ProgressBar {
    if total < long {
        return ProgressBar::hidden();
    }
    // Standard error is where indicatif draws, and it draws nothing where that is no terminal.
    let style = ProgressStyle::with_template(template).expect("the templates above are well-formed");
    ProgressBar::new(total).with_style(style).with_message(what)
}
