//! Makes the HTML of a message safe to display.

mod html;
mod style;

pub(crate) use html::{SanitizedHtml, sanitize_html};
