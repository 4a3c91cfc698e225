//! stub

pub mod disk;
pub mod store;
