//! The browser's APIs: everything outside `ui` that calls web-sys.

pub(crate) mod account_api;
pub(crate) mod blob_url;
pub(crate) mod broadcast;
pub(crate) mod charset;
pub(crate) mod clipboard;
pub(crate) mod clock;
pub(crate) mod crypto;
pub(crate) mod dom;
pub(crate) mod download;
pub(crate) mod html_text;
pub(crate) mod indexed_db;
pub(crate) mod js;
pub(crate) mod location;
pub(crate) mod notification;
pub(crate) mod persistence;
mod refusal;
pub(crate) mod rich_dom;
pub(crate) mod service_worker;
pub(crate) mod socket;
pub(crate) mod text;
pub(crate) mod web_socket;
pub(crate) mod web_storage;

/// The conversions of the browser for the parser of mail-core.
pub(crate) const PLATFORM: mail_core::message::platform::Platform = mail_core::message::platform::Platform {
    decode_charset: charset::decode,
    html_to_text: html_text::html_to_text,
};
