//! Keeps a mail that could not be sent, so that nobody has to write it again.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::Utc;

/// Where drafts are kept when nobody says otherwise: with the person's other data, or else in the current folder.
pub(crate) fn default_folder() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(PathBuf::new, |data| data.join("pennypost/drafts"))
}

/// Writes the message to a new file, readable for nobody else, and names it. Where the folder cannot be written, the
/// current one and the one for temporary files are tried.
///
/// # Errors
/// None of them can be written.
pub(crate) fn keep(folder: &Path, message: &[u8]) -> io::Result<PathBuf> {
    write_new(folder, message)
        .or_else(|_| write_new(Path::new(""), message))
        .or_else(|_| write_new(&std::env::temp_dir(), message))
}

fn write_new(folder: &Path, message: &[u8]) -> io::Result<PathBuf> {
    if !folder.as_os_str().is_empty() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let time = Utc::now().format("%Y-%m-%d-%H%M%S");
    let mut number = 1;
    loop {
        let path = folder.join(format!("draft-{time}-{number}.eml"));
        match options.open(&path) {
            Ok(mut file) => {
                file.write_all(message)?;
                file.sync_all()?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_draft_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let drafts = folder.path().join("a/b");
        let paths = [b"one", b"two"].map(|text| (keep(&drafts, text).unwrap(), text));
        for (path, text) in &paths {
            assert!(path.starts_with(&drafts));
            assert_eq!(std::fs::read(path).unwrap(), *text);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_is_no_reason_to_lose_a_draft() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let path = keep(&file.join("drafts"), b"text").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        std::fs::remove_file(path).unwrap();
    }
}
