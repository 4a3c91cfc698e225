//! Tests of the storage interfaces of mail-store.
//!
//! [`MemoryStore`] and [`MemoryDirectory`] are a second, small implementation: in memory, with a lease that expires and
//! messages that are not dot-stuffed. `suite` and `directory_suite` are the tests that every implementation passes;
//! [`store_suite!`] and [`directory_suite!`] define a test function for each. [`sample`] has the data of the tests.

pub mod directory_suite;
mod memory_directory;
mod memory_store;
pub mod sample;
pub mod suite;

pub use memory_directory::MemoryDirectory;
pub use memory_store::{MemoryBody, MemoryIncoming, MemoryMaildrop, MemoryStore};
