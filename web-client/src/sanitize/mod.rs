//! HTML of messages, made safe to show and to quote.

mod colours;
mod html;
mod images;
mod quote;
mod style;

pub(crate) use html::{RemoteImages, SanitizedHtml, sanitize_fragment, sanitize_html};
pub(crate) use quote::quote_html;
