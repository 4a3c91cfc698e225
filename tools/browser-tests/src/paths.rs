//! Paths of the built program, the page and installed tools. A missing file panics with the command that creates it.

use std::env;
use std::path::{Path, PathBuf};

/// `pennypost` of the same build profile as the test.
pub(crate) fn pennypost() -> PathBuf {
    let program = profile_folder().join(format!("pennypost{}", env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "{} is not built: run `cargo build --workspace` first", program.display());
    program
}

/// The built page.
#[must_use]
pub fn page_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let folder = root.expect("this crate is two folders below the workspace's root").join("dist");
    assert!(
        folder.join("index.html").is_file(),
        "{} contains no page: run `cargo xtask page` first",
        folder.display()
    );
    folder
}

/// A program in PATH that `cargo xtask setup` installs.
pub(crate) fn installed(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed: run `cargo xtask setup` first"))
}

/// Source of axe-core, the accessibility checker.
pub(crate) fn axe() -> String {
    let file = target().join("npm/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask setup` first", file.display()))
}

/// The folder for screenshots; it is created if missing.
#[must_use]
pub fn screenshots_folder() -> PathBuf {
    let folder = target().join("screenshots");
    std::fs::create_dir_all(&folder).expect("the target directory is writable");
    folder
}

/// Cargo's profile folder. Tests and benchmarks run from its subfolder `deps`.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("the path of this process");
    test.ancestors().nth(2).expect("tests are in <profile>/deps").to_owned()
}

/// Cargo's target directory.
fn target() -> PathBuf {
    profile_folder().parent().expect("the profile folder is in the target directory").to_owned()
}
