//! `cargo xtask release`: the `pennypost` program with the page inside.

use xtask::page;
use xtask::shell::{self, Result, cargo, print, target_dir};

pub(crate) fn run() -> Result {
    page::refresh()?;
    shell::run(cargo().args("build --release -p servers --bin pennypost --features embed".split(' ')))?;
    let program = target_dir()?.join("release/pennypost");
    print(&format!("\nBuilt {}. It needs no other file; copy it to the host.", program.display()));
    Ok(())
}
