//! Where the built things lie. What is missing is a failure that says how to get it.

use std::env;
use std::path::{Path, PathBuf};

/// `pennypost`, built beside the test that runs.
pub(crate) fn pennypost() -> PathBuf {
    let program = programs().join(format!("pennypost{}", env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "{} is not built: run `cargo build --workspace` first", program.display());
    program
}

/// The built page.
pub(crate) fn page() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let folder = root.expect("this crate is two folders below the workspace's root").join("dist");
    assert!(
        folder.join("index.html").is_file(),
        "there is no page in {}: run `trunk build --release` first",
        folder.display()
    );
    folder
}

/// A program on the PATH that `cargo xtask setup` installs.
pub(crate) fn installed(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed: run `cargo xtask setup` first"))
}

/// The source of axe-core, the accessibility checker.
pub(crate) fn axe() -> String {
    let file = target().join("npm/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask setup` first", file.display()))
}

/// Where the tests leave their screenshots.
#[must_use]
pub fn pictures() -> PathBuf {
    let folder = target().join("screenshots");
    std::fs::create_dir_all(&folder).expect("a folder can be made in the target directory");
    folder
}

/// The folder of the profile's programs; tests and benches run from `deps` in it.
fn programs() -> PathBuf {
    let here = env::current_exe().expect("a running program knows where it lies");
    here.ancestors().nth(2).expect("Cargo keeps tests two folders deep").to_owned()
}

/// Cargo's target directory, wherever the configuration has put it.
fn target() -> PathBuf {
    programs().parent().expect("a profile's folder is in the target directory").to_owned()
}
