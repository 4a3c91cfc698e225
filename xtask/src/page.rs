//! The browser client's page: built by Trunk, when it is older than what it is made of.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::setup;
use crate::shell::{self, Result, command, root, say};

/// What the page is made of.
const SOURCES: &[&str] =
    &["index.html", "Trunk.toml", "Cargo.toml", "Cargo.lock", "web-client", "mail-core/src"];

/// What `trunk serve` writes into its page, which is in the same place: large, slow, and waiting for changes.
const LIVE_RELOAD: &str = ".well-known/trunk/ws";

/// Builds the page unless it is newer than its sources.
pub(crate) fn refresh() -> Result {
    let index = root().join("dist/index.html");
    let is_for_work = fs::read_to_string(&index).is_ok_and(|html| html.contains(LIVE_RELOAD));
    let changed = SOURCES.iter().filter_map(|source| newest(&root().join(source))).max();
    if !is_for_work && newest(&index) >= changed {
        return Ok(());
    }
    setup::for_page()?;
    say("Building the page; the first time takes some minutes.");
    shell::run(&mut build())
}

pub(crate) fn build() -> Command {
    let mut trunk = command("trunk");
    // Trunk takes `true` and `false` here, and stops at the customary `NO_COLOR=1`.
    trunk.args(["build", "--release"]).env_remove("NO_COLOR");
    trunk
}

/// When a file, or any file in a folder, was last changed.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        return fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max();
    }
    path.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_there() {
        for source in SOURCES {
            assert!(newest(&root().join(source)).is_some(), "{source}");
        }
        assert_eq!(newest(Path::new("no-such-file")), None);
    }
}
