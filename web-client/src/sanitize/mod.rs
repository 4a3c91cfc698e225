//! HTML of messages, made safe to show and to quote.

mod colours;
mod folding;
mod html;
mod images;
mod quote;
mod style;

pub(crate) use html::{
    RemoteImages, SanitizedHtml, TrailingQuotation, sanitize_and_fold, sanitize_fragment, sanitize_html,
};
pub(crate) use quote::quote_html;
