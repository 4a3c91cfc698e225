//! Shared by the commands of `cargo xtask` and by `tools/bench`.

pub mod page;
pub mod setup;
pub mod shell;
