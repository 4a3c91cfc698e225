//! Brotli versions of the page's files. Quality 11 takes seconds, too long for compression during a request.

use std::fs;
use std::io;
use std::path::Path;

use brotli::enc::BrotliEncoderParams;

/// Writes a `.br` file beside each style sheet, script and module below the folder.
pub(crate) fn compress(folder: &Path) -> io::Result<()> {
    let parameters = BrotliEncoderParams { quality: 11, ..BrotliEncoderParams::default() };
    for path in crate::files(folder)? {
        if path.extension().is_some_and(|extension| ["css", "js", "wasm"].iter().any(|one| extension == *one))
        {
            let mut compressed = Vec::new();
            brotli::BrotliCompress(&mut &fs::read(&path)?[..], &mut compressed, &parameters)?;
            let mut name = path.into_os_string();
            name.push(".br");
            fs::write(name, compressed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_sheets_scripts_and_modules_are_compressed_in_all_folders() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let content = "a { color: red; }\n".repeat(1_000);
        fs::create_dir(folder.path().join("snippets")).expect("created");
        for name in ["index.html", "style.css", "snippets/inline.js", "client_bg.wasm"] {
            fs::write(folder.path().join(name), &content).expect("written");
        }
        compress(folder.path()).expect("written");
        for name in ["style.css", "snippets/inline.js", "client_bg.wasm"] {
            let compressed = fs::read(folder.path().join(format!("{name}.br"))).expect("it exists");
            assert!(compressed.len() < 100, "{name}: {} bytes", compressed.len());
            let mut decompressed = Vec::new();
            brotli::BrotliDecompress(&mut &compressed[..], &mut decompressed).expect("valid Brotli data");
            assert_eq!(decompressed, content.as_bytes(), "{name}");
        }
        assert!(!folder.path().join("index.html.br").exists(), "index.html is served uncompressed");
    }
}
