//! `cargo xtask release`: one file that is a whole mail system, built with what it needs and no more.

use xtask::page;
use xtask::shell::{self, Result, cargo, print, target_dir};

pub(crate) fn run() -> Result {
    page::refresh()?;
    shell::run(cargo().args([
        "build",
        "--release",
        "-p",
        "servers",
        "--bin",
        "pennypost",
        "--features",
        "embed",
    ]))?;
    print(&format!(
        "\n{} is all that it takes: copy it to where it is to run.",
        target_dir()?.join("release/pennypost").display()
    ));
    Ok(())
}
