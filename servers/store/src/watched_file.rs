//! A file that an administrator edits by hand: read again when it has changed, off the async threads.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tracing::error;

/// A parsed file, as last read.
#[derive(Debug)]
pub(crate) struct WatchedFile<T> {
    path: PathBuf,
    last: RwLock<Arc<Version<T>>>,
    /// Held while the file is read again, so that it is read once for all waiting sessions.
    reading: Mutex<()>,
}

#[derive(Debug)]
struct Version<T> {
    fingerprint: Fingerprint,
    content: Arc<T>,
}

/// Inode, length and ctime of the file; all zero if it does not exist.
type Fingerprint = (u64, u64, i64, i64);

impl<T: Send + Sync + 'static> WatchedFile<T> {
    /// Reads the file with `read`.
    ///
    /// # Errors
    /// As `read`.
    pub(crate) fn open(path: PathBuf, read: impl FnOnce(&Path) -> Result<T, String>) -> Result<Self, String> {
        // Taken before the read, so that a change in between is noticed later.
        let fingerprint = fingerprint(&path);
        let content = Arc::new(read(&path)?);
        let last = RwLock::new(Arc::new(Version { fingerprint, content }));
        Ok(Self { path, last, reading: Mutex::new(()) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file as last read.
    pub(crate) fn last(&self) -> Arc<T> {
        Arc::clone(&self.version().content)
    }

    /// The file now. If `read`, which gets the previous content, fails, that content stays in force: an editor may rename
    /// or truncate the file before it writes.
    pub(crate) async fn current(
        &self,
        read: impl FnOnce(&Path, &T) -> Result<T, String> + Send + 'static,
    ) -> Arc<T> {
        let seen = fingerprint(&self.path);
        if let Some(content) = self.unchanged(seen) {
            return content;
        }
        let _reading = self.reading.lock().await;
        if let Some(content) = self.unchanged(seen) {
            return content;
        }
        let (path, previous) = (self.path.clone(), self.last());
        let read = spawn_blocking(move || match read(&path, &previous) {
            Ok(content) => Arc::new(content),
            Err(reason) => {
                error!("{reason}; the previous version stays in force");
                previous
            }
        });
        let content = read.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let version = Version { fingerprint: seen, content: Arc::clone(&content) };
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(version);
        content
    }

    fn unchanged(&self, seen: Fingerprint) -> Option<Arc<T>> {
        let version = self.version();
        (version.fingerprint == seen).then(|| Arc::clone(&version.content))
    }

    fn version(&self) -> Arc<Version<T>> {
        Arc::clone(&self.last.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn fingerprint(path: &Path) -> Fingerprint {
    fs::metadata(path)
        .map(|meta| (meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec()))
        .unwrap_or_default()
}
