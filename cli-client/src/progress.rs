//! Progress bars of long transfers, on standard error and only if it is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Shorter messages have no bar.
const MESSAGE_BYTES_MIN: u64 = 256 * 1024;
/// Shorter lists have no bar.
const LIST_COUNT_MIN: u64 = 200;

/// Bar for the bytes of one message.
pub(crate) fn bytes(total: u64, label: &'static str) -> ProgressBar {
    bar(total, MESSAGE_BYTES_MIN, label, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
}

/// Bar for the messages of a list.
pub(crate) fn messages(total: u64, label: &'static str) -> ProgressBar {
    bar(total, LIST_COUNT_MIN, label, "{msg} {wide_bar} {pos}/{len}")
}

fn bar(total: u64, min: u64, label: &'static str, template: &str) -> ProgressBar {
    if total < min {
        return ProgressBar::hidden();
    }
    // indicatif draws on standard error, and nothing if it is not a terminal.
    let style = ProgressStyle::with_template(template).expect("the templates above are well-formed");
    ProgressBar::new(total).with_style(style).with_message(label)
}
