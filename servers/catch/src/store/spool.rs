//! A message being received: in memory, or in a temporary file if it is large.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::message::Analysis;

/// Maximum size of a message in memory, in octets.
const MEMORY_OCTETS_MAX: usize = 256 << 10;

/// Its file is deleted unless the store publishes it.
#[derive(Debug)]
pub(crate) struct Spool {
    directory: PathBuf,
    /// The octets that are not in the file yet.
    buffer: Vec<u8>,
    file: Option<(PathBuf, File)>,
}

impl Spool {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), buffer: Vec::new(), file: None }
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(octets);
        if self.buffer.len() > MEMORY_OCTETS_MAX { self.flush() } else { Ok(()) }
    }

    /// Octets of memory.
    pub(crate) fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// Moves the message to the file.
    pub(crate) fn release_memory(&mut self) -> io::Result<()> {
        self.flush()?;
        self.buffer = Vec::new();
        Ok(())
    }

    /// Writes to the page cache, since nothing is synced.
    fn flush(&mut self) -> io::Result<()> {
        let (_, file) = match &mut self.file {
            Some(file) => file,
            None => {
                let path = self.directory.join(format!("{}.part", ulid::Ulid::generate()));
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                self.file.insert((path, file))
            }
        };
        file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Analyses the complete message. A large one is read into memory on a blocking thread.
    pub(crate) async fn analyse(&mut self) -> io::Result<Analysis> {
        if self.file.is_none() {
            return Ok(Analysis::of(&self.buffer));
        }
        self.flush()?;
        let path = self.file.as_ref().map(|(path, _)| path.clone()).unwrap_or_default();
        let read = tokio::task::spawn_blocking(move || fs::read(path).map(|octets| Analysis::of(&octets)));
        read.await.map_err(io::Error::other)?
    }

    /// Takes the octets, if all of them are in memory.
    pub(super) fn take_octets(&mut self) -> Option<Vec<u8>> {
        self.file.is_none().then(|| std::mem::take(&mut self.buffer))
    }

    /// Renames the file.
    pub(super) fn move_to(&mut self, path: &Path) -> io::Result<()> {
        self.flush()?;
        let (from, _) = self.file.take().expect("it was flushed to the file");
        fs::rename(&from, path).inspect_err(|_| drop(fs::remove_file(&from)))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.file {
            let _ = fs::remove_file(path);
        }
    }
}
