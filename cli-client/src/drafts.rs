//! Saves mail that could not be sent.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::Utc;

/// The user's data directory, or else the current directory.
pub(crate) fn default_directory() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(PathBuf::new, |data| data.join("pennypost/drafts"))
}

/// Writes the message to a new file with mode 0600 and returns its path. If `directory` is not writable, falls back to the
/// current directory, then to the directory for temporary files.
///
/// # Errors
/// None of the directories is writable.
pub(crate) fn save(directory: &Path, message: &[u8]) -> io::Result<PathBuf> {
    write_new(directory, message)
        .or_else(|_| write_new(Path::new(""), message))
        .or_else(|_| write_new(&std::env::temp_dir(), message))
}

fn write_new(directory: &Path, message: &[u8]) -> io::Result<PathBuf> {
    if !directory.as_os_str().is_empty() {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let time = Utc::now().format("%Y-%m-%d-%H%M%S");
    let mut number = 1;
    loop {
        let path = directory.join(format!("draft-{time}-{number}.eml"));
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
    fn save_writes_each_draft_to_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let drafts = directory.path().join("a/b");
        let paths = [b"one", b"two"].map(|text| (save(&drafts, text).unwrap(), text));
        for (path, text) in &paths {
            assert!(path.starts_with(&drafts));
            assert_eq!(std::fs::read(path).unwrap(), *text);
        }
    }

    #[test]
    fn save_falls_back_if_the_directory_is_unusable() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let path = save(&file.join("drafts"), b"text").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        std::fs::remove_file(path).unwrap();
    }
}
