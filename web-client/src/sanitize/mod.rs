//! Makes the HTML of a message safe to display.

mod colours;
mod html;
mod images;
mod style;

pub(crate) use html::{RemoteImages, SanitizedHtml, sanitize_html};
