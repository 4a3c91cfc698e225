//! Atomic replacement of a text file of the data directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::directory::DirectoryError;

/// Replaces a file by the text that `change` returns, under a lock: writes and syncs a new file, renames it, and syncs the
/// directory. `change` reads the file.
///
/// # Errors
/// As `change`, or the file cannot be written. The file is unchanged then, unless only the directory could not be synced.
pub(crate) fn rewrite_file<R>(
    path: &Path,
    change: impl FnOnce() -> Result<(String, R), DirectoryError>,
) -> Result<R, DirectoryError> {
    // The directory is locked, because a lock file could not be removed safely after a failure.
    let directory = open_directory(path)?;
    directory.lock().map_err(|error| failed(path, &error))?;
    rewrite_locked(path, change)
}

/// As [`rewrite_file`], within the `change` of another file in the same directory, which holds the lock.
pub(crate) fn rewrite_locked<R>(
    path: &Path,
    change: impl FnOnce() -> Result<(String, R), DirectoryError>,
) -> Result<R, DirectoryError> {
    let (text, result) = change()?;
    let directory = open_directory(path)?;
    let replaced = replace(path, text.as_bytes()).and_then(|()| directory.sync_all());
    replaced.map_err(|error| failed(path, &error))?;
    Ok(result)
}

fn open_directory(path: &Path) -> Result<File, DirectoryError> {
    let directory = path.parent().expect("a file has a directory");
    File::open(directory).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> DirectoryError {
    DirectoryError::Failed(format!("cannot rewrite {}: {error}", path.display()))
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().expect("the caller names a file").to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    let _ = fs::remove_file(&new);
    let renamed = write_new(&new, path, text).and_then(|()| fs::rename(&new, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&new);
    }
    renamed
}

/// Writes and syncs a file with the permissions of `path`.
fn write_new(new: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    if let Ok(meta) = fs::metadata(path) {
        file.set_permissions(meta.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()
}
