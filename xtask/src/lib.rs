//! Shared by the commands of `cargo xtask`, by `tools/bench` and by `tools/browser-tests`.

pub mod listening;
pub mod page;
pub mod setup;
pub mod shell;
