//! The page equals the one that `trunk build --release` builds.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

/// File names, relative to the folder, and contents.
type Files = BTreeMap<String, Vec<u8>>;

#[test]
fn page_equals_the_one_built_by_trunk() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace root");
    let program = env::current_exe().expect("the path of this program");
    let target = program.ancestors().nth(3).expect("this program is in target/PROFILE/deps");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (trunk, page) = (folder.path().join("trunk"), folder.path().join("page"));
    // Trunk copies the snippets of earlier builds, too.
    let _ = fs::remove_dir_all(target.join("wasm-bindgen/release"));
    run(Command::new("trunk").args(["build", "--release", "--dist"]).arg(&trunk).current_dir(root));
    let module = target.join("wasm32-unknown-unknown/wasm-release/web-client.wasm");
    run(Command::new(env!("CARGO_BIN_EXE_page")).args([&module, &page]).current_dir(root));

    let (expected, mut actual) = (files(&trunk), files(&page));
    let (compressed, uncompressed): (Files, Files) =
        actual.into_iter().partition(|(name, _)| Path::new(name).extension() == Some(OsStr::new("br")));
    assert!(!compressed.is_empty(), "only this page has compressed files");
    actual = uncompressed;
    assert_eq!(names(&actual), names(&expected));
    assert!(names(&actual).iter().any(|name| name.ends_with("_bg.wasm")), "{:?}", names(&actual));
    for (name, content) in &expected {
        assert!(actual[name] == *content, "{name} differs:\n{}\n{}", text(content), text(&actual[name]));
    }
}

/// Runs a program without the variables that Cargo sets for this test, which would cause rebuilds.
fn run(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        // Trunk 0.21 rejects NO_COLOR=1.
        if name == "NO_COLOR" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let status = command.status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}; run `cargo xtask setup` first"));
    assert!(status.success(), "{command:?}: {status}");
}

fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(folder).expect("the folder exists") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(file, content)| (format!("{name}/{file}"), content)));
        } else {
            found.insert(name, fs::read(&path).expect("a readable file"));
        }
    }
    found
}

fn names(files: &Files) -> Vec<&String> {
    files.keys().collect()
}

/// The beginning of a file, for the failure message.
fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).chars().take(4_000).collect()
}
