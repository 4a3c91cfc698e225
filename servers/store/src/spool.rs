//! The buffer of a message that is being received: 256 KiB in memory, the rest in an unlinked file.

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::StoreError;
use crate::disk::{Disk, DiskFile, Open, failed, ignore_missing, read_range};
use crate::offload::Offload;

/// Directory for messages that are being received and do not fit into memory.
const TEMPORARY: &str = ".tmp";

/// A message up to this size is not written before its delivery. A larger one has two pieces in memory: one being written, one
/// being received.
const MEMORY_OCTETS_MAX: usize = 256 << 10;

/// Creates files without a directory entry, which disappear with the process.
#[derive(Debug)]
pub struct SpillFiles<D> {
    disk: D,
    next: AtomicU64,
}

impl<D: Disk> SpillFiles<D> {
    /// Creates the directory of the files. Removes files of processes that ended between creating and unlinking one.
    ///
    /// # Errors
    /// The directory cannot be created or read.
    pub fn open(disk: &D) -> Result<Self, StoreError> {
        let temporary = Path::new(TEMPORARY);
        let clean = || -> io::Result<()> {
            disk.create_dir(temporary)?;
            for name in disk.list(temporary)? {
                ignore_missing(disk.remove(&temporary.join(name)))?;
            }
            Ok(())
        };
        clean().map_err(|error| failed("prepare the directory", temporary, error))?;
        Ok(Self { disk: disk.clone(), next: AtomicU64::new(0) })
    }

    /// Creates a file.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(&self) -> Result<D::File, StoreError> {
        let temporary = Path::new(TEMPORARY);
        self.create_unlinked(temporary).map_err(|error| failed("create a file in", temporary, error))
    }

    fn create_unlinked(&self, directory: &Path) -> io::Result<D::File> {
        loop {
            let path = directory.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
            match self.disk.open(&path, Open::New) {
                Ok(file) => {
                    ignore_missing(self.disk.remove(&path))?;
                    return Ok(file);
                }
                // Another process has created it and not yet removed its name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A message being received. Each piece of a large one is written while the next one arrives.
#[derive(Debug)]
pub struct Spool<D: Disk, O: Offload> {
    files: Arc<SpillFiles<D>>,
    offload: O,
    spilled: Option<Spilled<D::File>>,
    writing: Option<Writing<D::File>>,
    memory: Vec<u8>,
}

/// A complete message: first the spilled part, then the part in memory.
#[derive(Debug)]
pub struct Spooled<F> {
    spilled: Option<Spilled<F>>,
    memory: Vec<u8>,
}

#[derive(Debug)]
struct Spilled<F> {
    file: Arc<F>,
    length: u64,
}

/// A piece being written to the file.
struct Writing<F> {
    octets: usize,
    outcome: Pin<Box<dyn Outcome<F>>>,
}

/// Resolves to the file and the empty buffer of the piece.
trait Outcome<F>: Future<Output = io::Result<(Spilled<F>, Vec<u8>)>> + Send {}
impl<F, T: Future<Output = io::Result<(Spilled<F>, Vec<u8>)>> + Send> Outcome<F> for T {}

impl<F> fmt::Debug for Writing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing").field("octets", &self.octets).finish_non_exhaustive()
    }
}

impl<D: Disk, O: Offload> Spool<D, O> {
    pub const fn new(files: Arc<SpillFiles<D>>, offload: O) -> Self {
        Self { files, offload, spilled: None, writing: None, memory: Vec::new() }
    }

    /// The buffer for the next octets.
    pub const fn end(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// Bytes of memory in use.
    pub fn memory(&self) -> usize {
        self.memory.capacity() + self.writing.as_ref().map_or(0, |writing| writing.octets)
    }

    /// Starts to write the buffer if it is too large, after the previous piece.
    pub async fn spill_if_large(&mut self) -> Result<(), StoreError> {
        if self.memory.len() > MEMORY_OCTETS_MAX {
            let empty = self.finish_write().await?;
            self.write(empty);
        }
        Ok(())
    }

    /// Writes the whole buffer.
    pub async fn spill_all(&mut self) -> Result<(), StoreError> {
        self.finish_write().await?;
        if self.memory.is_empty() {
            self.memory = Vec::new();
        } else {
            self.write(Vec::new());
            self.finish_write().await?;
        }
        Ok(())
    }

    /// Completes the message.
    pub async fn finish(mut self) -> Result<Spooled<D::File>, StoreError> {
        self.finish_write().await?;
        Ok(Spooled { spilled: self.spilled, memory: self.memory })
    }

    fn write(&mut self, empty: Vec<u8>) {
        let memory = std::mem::replace(&mut self.memory, empty);
        let (octets, files, spilled) = (memory.capacity(), Arc::clone(&self.files), self.spilled.take());
        let outcome = self.offload.run(move || {
            let Spilled { file, length } = match spilled {
                Some(spilled) => spilled,
                None => Spilled { file: Arc::new(files.create_unlinked(Path::new(TEMPORARY))?), length: 0 },
            };
            file.write_all_at(&memory, length)?;
            Ok((Spilled { file, length: length + memory.len() as u64 }, emptied(memory)))
        });
        self.writing = Some(Writing { octets, outcome: Box::pin(outcome) });
    }

    /// Waits for the current write and returns its buffer for reuse.
    async fn finish_write(&mut self) -> Result<Vec<u8>, StoreError> {
        let Some(writing) = &mut self.writing else { return Ok(Vec::new()) };
        let outcome = writing.outcome.as_mut().await;
        self.writing = None;
        let (spilled, buffer) = outcome.map_err(|error| failed("write to", Path::new(TEMPORARY), error))?;
        self.spilled = Some(spilled);
        Ok(buffer)
    }
}

impl<F: DiskFile> Spooled<F> {
    /// Passes the message to `put`, in pieces.
    pub fn read(&self, mut put: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if let Some(Spilled { file, length }) = &self.spilled {
            read_range(&**file, 0..*length, &mut put)?;
        }
        put(&self.memory)
    }
}

fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer
}
