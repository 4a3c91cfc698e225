//! What the simulated disk holds, and what a change of it costs: the page cache, what is durable, names, locks and lives.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Status;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) files: Vec<File>,
    pub(super) names: BTreeMap<PathBuf, usize>,
    pub(super) durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names since the last sync of their directory.
    pub(super) name_changes: Vec<NameChange>,
    /// Directories besides the root, and those of them whose names are durable.
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) durable_directories: BTreeSet<PathBuf>,
    /// Who holds a lock: the process, and the number of the lock.
    pub(super) locked: BTreeMap<PathBuf, (usize, u64)>,
    pub(super) locks: u64,
    /// By process: after how many more changes it dies, if it does.
    pub(super) lives: Vec<Option<u64>>,
    /// How many octets and operations of change there have been.
    pub(super) changes: u64,
    /// When the power goes, in changes.
    pub(super) power_cut_at: Option<u64>,
    /// What all files together may hold.
    pub(super) capacity: Option<u64>,
    /// How many syncs from now fail.
    pub(super) failing_syncs: u32,
    pub(super) syncs: u64,
    /// How often the power has gone.
    pub(super) epoch: u64,
    /// Changes of files get no new time.
    pub(super) clock_stopped: bool,
    /// Octets that were read.
    pub(super) read: u64,
    /// Syncs are answered and do nothing.
    pub(super) lying: bool,
}

#[derive(Debug, Default, Clone)]
pub(super) struct File {
    pub(super) content: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) changes: Vec<Change>,
    /// How often it was changed, for its status.
    pub(super) changed: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write(usize, Vec<u8>),
    SetLength(usize),
}

#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Made(PathBuf, usize),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
    MadeDirectory(PathBuf),
}

impl State {
    pub(super) fn status(&self, file: usize) -> Status {
        let File { content, changed, .. } = &self.files[file];
        Status { identity: file as u64, length: content.len() as u64, changed: *changed }
    }

    pub(super) fn is_without_power(&self) -> bool {
        self.power_cut_at.is_some_and(|at| self.changes >= at)
    }

    pub(super) fn is_dead(&self, process: usize) -> bool {
        self.is_without_power() || self.lives.get(process).copied().flatten() == Some(0)
    }

    /// Fails when the process is dead. Reading goes on, as nobody learns any more what was read.
    pub(super) fn live(&self, process: usize) -> io::Result<()> {
        if self.is_without_power() {
            Err(io::Error::other("the power is gone"))
        } else if self.is_dead(process) {
            Err(io::Error::other("the process was killed"))
        } else {
            Ok(())
        }
    }

    /// Gives back the locks of a process that is dead.
    pub(super) fn bury(&mut self, process: usize) {
        if self.lives.get(process).copied().flatten() == Some(0) {
            self.locked.retain(|_, (owner, _)| *owner != process);
        }
    }

    pub(super) fn check_parents(&self, path: &Path) -> io::Result<()> {
        let there = parents(path).all(|parent| self.directories.contains(parent));
        there.then_some(()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn used(&self) -> u64 {
        self.files.iter().map(|file| file.content.len() as u64).sum()
    }

    /// Counts a change of so many octets; answers how many of them happen before the power goes or the process dies.
    pub(super) fn change(&mut self, process: usize, octets: u64) -> io::Result<u64> {
        self.live(process)?;
        let mut done = self.power_cut_at.map_or(octets, |at| octets.min(at - self.changes));
        if let Some(Some(left)) = self.lives.get_mut(process) {
            done = done.min(*left);
            *left -= done;
        }
        self.changes += done;
        self.bury(process);
        Ok(done)
    }

    pub(super) fn change_name(&mut self, process: usize, change: NameChange) -> io::Result<()> {
        self.change(process, 1)?;
        change.apply(&mut self.names, &mut self.directories);
        self.name_changes.push(change);
        Ok(())
    }

    pub(super) fn sync(&mut self, process: usize) -> io::Result<()> {
        self.change(process, 1)?;
        self.syncs += 1;
        if self.failing_syncs > 0 {
            self.failing_syncs -= 1;
            return Err(io::Error::other("the disk does not answer"));
        }
        Ok(())
    }
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut BTreeMap<PathBuf, usize>, directories: &mut BTreeSet<PathBuf>) {
        match self {
            Self::Made(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Renamed(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Removed(path) => {
                names.remove(path);
            }
            Self::MadeDirectory(path) => {
                directories.insert(path.clone());
            }
        }
    }

    pub(super) fn is_in(&self, directory: &Path) -> bool {
        match self {
            Self::Made(path, _)
            | Self::Renamed(_, path)
            | Self::Removed(path)
            | Self::MadeDirectory(path) => path.parent() == Some(directory),
        }
    }
}

/// The directories that a path is in, but for the root.
pub(super) fn parents(path: &Path) -> impl Iterator<Item = &Path> {
    path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty())
}

pub(super) fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}
