//! `cargo xtask bench`: runs `tools/bench`.

use std::ffi::OsString;

use xtask::shell::{self, Result, cargo};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Options of the benchmarks; see `cargo xtask bench --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result {
    shell::run(cargo().args(["run", "--quiet", "-p", "bench", "--"]).args(&options.arguments))
}
