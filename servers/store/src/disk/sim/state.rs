//! State of the simulated disk: page cache, durable content, names, locks and faults.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Status;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) files: Vec<File>,
    pub(super) names: BTreeMap<PathBuf, usize>,
    pub(super) durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that are not durable yet.
    pub(super) name_changes: Vec<NameChange>,
    /// Directories except the root, and the durable ones of them.
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) durable_directories: BTreeSet<PathBuf>,
    /// Held locks: the process, and the number of the lock.
    pub(super) locked: BTreeMap<PathBuf, (usize, u64)>,
    pub(super) locks: u64,
    /// By process: changes left until it is killed.
    pub(super) lives: Vec<Option<u64>>,
    /// Changed octets and changing operations so far.
    pub(super) changes: u64,
    /// The number of changes at which the power fails.
    pub(super) power_cut_at: Option<u64>,
    /// Capacity of all files together.
    pub(super) capacity: Option<u64>,
    /// Number of next syncs that fail.
    pub(super) failing_syncs: u32,
    pub(super) syncs: u64,
    /// Number of power failures.
    pub(super) boot_id: u64,
    /// Changes do not advance the ctime.
    pub(super) clock_stopped: bool,
    /// Octets read so far.
    pub(super) read: u64,
    /// Syncs succeed without effect.
    pub(super) lying: bool,
}

#[derive(Debug, Default, Clone)]
pub(super) struct File {
    pub(super) content: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) changes: Vec<Change>,
    /// Number of changes, used as ctime.
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

    /// Fails if the process is dead. Reads still succeed, because a dead process cannot pass on what it read.
    pub(super) fn live(&self, process: usize) -> io::Result<()> {
        if self.is_without_power() {
            Err(io::Error::other("the power has failed"))
        } else if self.is_dead(process) {
            Err(io::Error::other("the process was killed"))
        } else {
            Ok(())
        }
    }

    /// Releases the locks of a dead process.
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

    /// Counts a change of this many octets. Returns how many of them happen before the power fails or the process is killed.
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
            return Err(io::Error::other("input/output error"));
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

/// The parent directories of a path, without the root.
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
