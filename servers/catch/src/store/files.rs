//! The files of the messages, and the directory that contains them. With a temporary directory, small messages stay in memory.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;
use tracing::warn;

use super::memory::MessagesInMemory;
use super::message::{Analysis, Message, State};
use super::spool::Spool;
use crate::record::Record;

/// Directory of the messages. A temporary one is removed when the value is dropped.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    messages: PathBuf,
    temporary: Option<TempDir>,
    /// Empty unless the directory is temporary.
    memory: Mutex<MessagesInMemory>,
    /// Locked while this process uses the directory.
    _lock: File,
}

impl Files {
    /// # Errors
    /// A sentence: no temporary directory can be created.
    pub(crate) fn temporary() -> Result<Self, String> {
        let directory = tempfile::Builder::new().prefix("pennypost-catch-").tempdir().map_err(|error| {
            format!(
                "cannot create a temporary directory: {error}; set TMPDIR, or name a directory with --data"
            )
        })?;
        let root = directory.path().to_owned();
        Self::open(root, Some(directory))
    }

    /// # Errors
    /// A sentence: the directory cannot be used, or another catcher uses it.
    pub(crate) fn permanent(root: &Path) -> Result<Self, String> {
        Self::open(root.to_owned(), None)
    }

    fn open(root: PathBuf, temporary: Option<TempDir>) -> Result<Self, String> {
        let failed = |error: io::Error| {
            format!("cannot use the directory {}: {error}; name another one with --data", root.display())
        };
        let messages = root.join("messages");
        DirBuilder::new().mode(0o700).recursive(true).create(&messages).map_err(failed)?;
        let lock = File::create(root.join("catch.lock")).map_err(failed)?;
        lock.try_lock().map_err(|_| {
            format!(
                "{} is in use by another catcher; stop it, or name another directory with --data",
                root.display()
            )
        })?;
        Ok(Self { root, messages, temporary, memory: Mutex::default(), _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    const fn is_permanent(&self) -> bool {
        self.temporary.is_none()
    }

    pub(crate) fn message_path(&self, id: &str) -> PathBuf {
        self.messages.join(format!("{id}.eml"))
    }

    /// A new message.
    pub(crate) fn spool(&self) -> Spool {
        Spool::new(&self.messages)
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.messages.join(format!("{id}.json"))
    }

    /// Stores a received message under its id.
    pub(super) fn publish(&self, mut spool: Spool, id: &str) -> io::Result<()> {
        if !self.is_permanent()
            && self.memory().has_room(spool.memory())
            && let Some(octets) = spool.take_octets()
        {
            self.memory().insert(id, octets);
            return Ok(());
        }
        spool.move_to(&self.message_path(id))
    }

    /// The octets of a message; `None` if it was deleted.
    pub(crate) fn read(&self, id: &str) -> Option<Vec<u8>> {
        let octets = self.memory().message(id);
        octets.or_else(|| fs::read(self.message_path(id)).ok())
    }

    pub(crate) fn read_record(&self, id: &str) -> Option<Record> {
        let octets = self.memory().record(id);
        serde_json::from_slice(&octets.or_else(|| fs::read(self.record_path(id)).ok())?).ok()
    }

    /// If the record cannot be written, the message is accepted without it. With `--data`, such a message is deleted at the next start.
    pub(crate) fn write_record(&self, record: &Record) {
        let write = |octets: Vec<u8>| {
            let is_in_memory = self.memory().set_record(&record.id, &octets);
            if is_in_memory { Ok(()) } else { fs::write(self.record_path(&record.id), octets) }
        };
        if let Err(error) = serde_json::to_vec(record).map_err(io::Error::from).and_then(write) {
            warn!(id = record.id, %error, "cannot write the record of a message");
        }
    }

    /// Writes a changed record, if the directory is permanent.
    pub(crate) fn update_record(&self, id: &str, state: &State) {
        if !self.is_permanent() {
            return;
        }
        if let Some(record) = self.read_record(id) {
            self.write_record(&Record { read: state.read, tags: state.tags.clone(), ..record });
        }
    }

    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        if self.memory().remove(id) {
            return Ok(());
        }
        let _ = fs::remove_file(self.record_path(id));
        match fs::remove_file(self.message_path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The messages in the directory, oldest first. Files of messages that were not accepted are deleted.
    pub(crate) fn read_all(&self) -> Vec<Message> {
        self.remove_incomplete();
        let mut ids: Vec<String> = fs::read_dir(&self.messages)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".eml").map(str::to_owned))
            // Skips files that the catcher did not create.
            .filter(|id| ulid::Ulid::from_string(id).is_ok())
            .collect();
        ids.sort_unstable();
        ids.iter()
            .filter_map(|id| {
                let record = self.read_record(id);
                if record.is_none() {
                    warn!(id, "deleting a message without a record");
                    let _ = self.remove(id);
                }
                Some(Message::new(Analysis::of(&self.read(id)?), &record?))
            })
            .collect()
    }

    /// Deletes messages that were being received, and records without a message.
    fn remove_incomplete(&self) {
        for entry in fs::read_dir(&self.messages).into_iter().flatten().flatten() {
            let path = entry.path();
            let id = path.file_stem().and_then(|id| id.to_str()).unwrap_or_default();
            let is_incomplete = match path.extension().and_then(|extension| extension.to_str()) {
                Some("part") => true,
                Some("json") => !self.message_path(id).exists(),
                _ => false,
            };
            // Skips files that the catcher did not create.
            if is_incomplete && ulid::Ulid::from_string(id).is_ok() {
                let _ = fs::remove_file(&path);
            }
        }
    }

    fn memory(&self) -> MutexGuard<'_, MessagesInMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
