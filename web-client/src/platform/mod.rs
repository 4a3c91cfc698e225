//! The browser's APIs: everything outside `ui` that calls web-sys.

pub(crate) mod blob_url;
pub(crate) mod charset;
pub(crate) mod clipboard;
pub(crate) mod clock;
pub(crate) mod dom;
pub(crate) mod indexed_db;
pub(crate) mod local_storage;
pub(crate) mod location;
pub(crate) mod notification;
pub(crate) mod socket;
