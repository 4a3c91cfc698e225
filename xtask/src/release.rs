//! `cargo xtask release`: one file that is a whole mail system, built with what it needs and no more.

use crate::page;
use crate::shell::{self, Result, cargo, say, target};

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
    say(&format!(
        "\n{} is all that it takes: copy it to where it is to run.",
        target()?.join("release/pennypost").display()
    ));
    Ok(())
}
