//! The browser client's page: built by Trunk, when it is older than what it is made of.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use brotli::enc::BrotliEncoderParams;

use crate::setup;
use crate::shell::{self, Result, command, print, workspace_root};

/// What the page is made of.
const SOURCES: &[&str] =
    &["index.html", "Trunk.toml", "Cargo.toml", "Cargo.lock", "web-client", "mail-core/src"];

/// What `trunk serve` writes into its page, which is in the same place: large, slow, and waiting for changes.
const LIVE_RELOAD: &str = ".well-known/trunk/ws";

/// Builds the page unless it is newer than its sources, and has it lie there compressed, too.
pub fn refresh() -> Result {
    let index = workspace_root().join("dist/index.html");
    let is_for_work = fs::read_to_string(&index).is_ok_and(|html| html.contains(LIVE_RELOAD));
    let changed = SOURCES.iter().filter_map(|source| newest(&workspace_root().join(source))).max();
    if is_for_work || newest(&index) < changed {
        setup::for_page()?;
        print("Building the page; the first time takes some minutes.");
        shell::run(&mut build())?;
    }
    let folder = workspace_root().join("dist");
    compress(&folder).map_err(|error| format!("cannot compress what is in {}: {error}", folder.display()))
}

/// Puts a `.br` beside each file that is worth it, for the bridge to serve: the best that Brotli can do takes seconds, too long
/// for a request. The build empties the folder, so each that is there is of the file that it lies beside.
fn compress(folder: &Path) -> io::Result<()> {
    let best = BrotliEncoderParams { quality: 11, ..BrotliEncoderParams::default() };
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            compress(&path)?;
        } else if path.extension().is_some_and(|kind| ["css", "js", "wasm"].iter().any(|one| kind == *one)) {
            let mut compressed = path.clone().into_os_string();
            compressed.push(".br");
            if !Path::new(&compressed).exists() {
                // In memory first: who is interrupted here leaves no part of a file.
                let mut octets = Vec::new();
                brotli::BrotliCompress(&mut &fs::read(&path)?[..], &mut octets, &best)?;
                fs::write(compressed, octets)?;
            }
        }
    }
    Ok(())
}

pub fn build() -> Command {
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
    fn scripts_styles_and_programs_are_compressed_in_every_folder() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let content = "a { color: red; }\n".repeat(1_000);
        fs::create_dir(folder.path().join("snippets")).expect("made");
        for name in ["index.html", "style.css", "snippets/inline.js", "client_bg.wasm"] {
            fs::write(folder.path().join(name), &content).expect("written");
        }
        compress(folder.path()).expect("written");
        for name in ["style.css", "snippets/inline.js", "client_bg.wasm"] {
            let compressed = fs::read(folder.path().join(format!("{name}.br"))).expect("it is there");
            assert!(compressed.len() < 100, "{name}: {} octets", compressed.len());
            let mut back = Vec::new();
            brotli::BrotliDecompress(&mut &compressed[..], &mut back).expect("Brotli's format");
            assert_eq!(back, content.as_bytes(), "{name}");
        }
        assert!(!folder.path().join("index.html.br").exists(), "it is served as it is read");
    }

    #[test]
    fn every_source_is_there() {
        for source in SOURCES {
            assert!(newest(&workspace_root().join(source)).is_some(), "{source}");
        }
        assert_eq!(newest(Path::new("no-such-file")), None);
    }
}
