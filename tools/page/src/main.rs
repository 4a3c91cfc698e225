//! `page WASM OUTPUT`: builds the browser client's page from `index.html` of the working directory and from the
//! WebAssembly module that Cargo built from `web-client`.
//!
//! The files and their names are those of `trunk build --release`, which `tests/trunk.rs` verifies; in addition, each
//! script, style sheet and module has a Brotli version (`.br`) that the bridge serves. Linking
//! wasm-bindgen-cli-support makes installing `trunk` and `wasm-bindgen-cli` unnecessary, which takes ten minutes.

mod asset;
mod compression;
mod html;

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

use crate::asset::Digest;
use crate::html::Module;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Package and file name prefix of the client.
const CLIENT: &str = "web-client";
/// Holds the new page until it is complete. In the output directory, so that renaming works.
const STAGE: &str = ".stage";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [wasm, output] = &arguments[..] else {
        let _ = writeln!(stderr(), "usage: page WASM OUTPUT");
        return ExitCode::FAILURE;
    };
    match build(Path::new(wasm), Path::new(output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "page: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build(wasm: &Path, output: &Path) -> Result {
    let stage = output.join(STAGE);
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    fs::create_dir_all(&stage)?;
    let module = bind(wasm, &stage)?;
    let source = fs::read_to_string("index.html").map_err(|error| format!("index.html: {error}"))?;
    fs::write(stage.join("index.html"), html::render(&source, &stage, &module)?)?;
    compression::compress(&stage)?;
    publish(&stage, output)
}

/// Generates the JavaScript bindings. The file names contain a hash of Cargo's output.
fn bind(wasm: &Path, stage: &Path) -> Result<Module> {
    let bytes = fs::read(wasm).map_err(|error| format!("{}: {error}", wasm.display()))?;
    let name = format!("{CLIENT}-{:x}", seahash::hash(&bytes));
    let mut bindgen = Bindgen::new();
    bindgen.web(true)?.omit_default_module_path(false).typescript(false);
    bindgen.input_path(wasm).out_name(CLIENT).generate(stage)?;
    let (script, wasm) = (format!("{name}.js"), format!("{name}_bg.wasm"));
    fs::rename(stage.join(format!("{CLIENT}.js")), stage.join(&script))?;
    fs::rename(stage.join(format!("{CLIENT}_bg.wasm")), stage.join(&wasm))?;
    let digest = |name: String| {
        let digest = Digest::of(&fs::read(stage.join(&name))?);
        Ok::<_, std::io::Error>((name, digest))
    };
    let snippets = files(&stage.join("snippets"))?;
    let snippets = snippets.iter().map(|file| digest(relative(file, stage)));
    Ok(Module {
        script: digest(script)?,
        wasm: digest(wasm)?,
        snippets: snippets.collect::<std::io::Result<_>>()?,
    })
}

/// Replaces the content of the output directory.
fn publish(stage: &Path, output: &Path) -> Result {
    for entry in fs::read_dir(output)? {
        let path = entry?.path();
        if path == stage {
            continue;
        }
        if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    for entry in fs::read_dir(stage)? {
        let entry = entry?;
        fs::rename(entry.path(), output.join(entry.file_name()))?;
    }
    Ok(fs::remove_dir(stage)?)
}

/// All files below a folder, sorted; none if the folder does not exist.
fn files(folder: &Path) -> std::io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    if folder.exists() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                found.extend(files(&path)?);
            } else {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

fn relative(file: &Path, folder: &Path) -> String {
    file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned()
}
