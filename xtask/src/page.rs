//! The browser client's page in `dist/`, built by `tools/page` when its sources have changed.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::SystemTime;

use crate::setup;
use crate::shell::{self, Result, cargo, command, print, profile_dir, target_dir, workspace_root};

const SOURCES: &[&str] =
    &["index.html", "Cargo.toml", "Cargo.lock", "web-client", "mail-core/src", "tools/page/src"];

/// Installs DOMPurify if it is missing or if its version is not the one in package.json.
const DOMPURIFY: &str = "npm ls >/dev/null 2>&1 || npm ci --ignore-scripts --no-audit --no-fund";

/// Builds the page if it is missing or outdated.
///
/// # Errors
/// A program is missing or fails.
pub fn refresh() -> Result {
    if is_current(&workspace_root().join("dist")) { Ok(()) } else { build(&["-p", "page"]) }
}

/// Builds the page if it is missing or outdated, and other packages with the given arguments of `cargo build`.
///
/// # Errors
/// A program is missing or fails.
pub fn refresh_with(packages: &[&str]) -> Result {
    if is_current(&workspace_root().join("dist")) {
        return shell::run(cargo().arg("build").args(packages));
    }
    print("Building the page and the servers; the first build takes a few minutes.");
    build(&[&["-p", "page", "--bin", "page"], packages].concat())
}

/// Builds the page. `packages` are the arguments of `cargo build` that build `tools/page` and possibly other packages.
/// That build, the client's and the installation of DOMPurify run in parallel, because the client's link-time
/// optimisation and apt-get use only one core each.
///
/// # Errors
/// A program is missing or fails.
pub fn build(packages: &[&str]) -> Result {
    setup::wasm_target()?;
    thread::scope(|scope| {
        let dompurify = scope.spawn(install_dompurify);
        let client = scope.spawn(|| shell::run(cargo().args(CLIENT)));
        let packages = shell::run(cargo().arg("build").args(packages));
        [dompurify, client]
            .map(|thread| thread.join().expect("running a command does not panic"))
            .into_iter()
            .collect::<Result>()?;
        packages
    })?;
    let module = target_dir()?.join("wasm32-unknown-unknown/wasm-release/web-client.wasm");
    let page = profile_dir()?.join("page");
    shell::run(command(&page.to_string_lossy()).arg(module).arg("dist"))
}

fn install_dompurify() -> Result {
    setup::npm()?;
    shell::run(command("sh").args(["-c", DOMPURIFY]).current_dir(workspace_root().join("web-client")))
}

/// Quiet, because its output would mix with that of the other build.
const CLIENT: [&str; 8] = [
    "build",
    "--quiet",
    "-p",
    "web-client",
    "--target",
    "wasm32-unknown-unknown",
    "--profile",
    "wasm-release",
];

/// Whether `tools/page` built the page after the last change. Trunk writes to the same folder, but not the compressed files.
fn is_current(folder: &Path) -> bool {
    let is_complete = fs::read_dir(folder).is_ok_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".wasm.br")))
    });
    let changed = SOURCES.iter().filter_map(|source| last_change(&workspace_root().join(source))).max();
    is_complete && last_change(&folder.join("index.html")) >= changed
}

/// Latest modification time of a file, or of the files below a folder.
fn last_change(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        return fs::read_dir(path).ok()?.flatten().filter_map(|entry| last_change(&entry.path())).max();
    }
    path.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_exists() {
        for source in SOURCES {
            assert!(last_change(&workspace_root().join(source)).is_some(), "{source}");
        }
        assert_eq!(last_change(Path::new("no-such-file")), None);
    }

    #[test]
    fn page_is_current_if_complete_and_newer_than_its_sources() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        assert!(!is_current(folder.path()), "empty");
        fs::write(folder.path().join("index.html"), "").expect("written");
        assert!(!is_current(folder.path()), "built by Trunk");
        fs::write(folder.path().join("a_bg.wasm.br"), "").expect("written");
        assert!(is_current(folder.path()));
        let index = fs::File::options().write(true).open(folder.path().join("index.html")).expect("opened");
        index.set_modified(SystemTime::UNIX_EPOCH).expect("changed");
        assert!(!is_current(folder.path()), "outdated");
    }
}
