//! A disk in memory that a test can fill up, let fail, and cut off at every byte: what was not synced then survives,
//! or doesn't, or half of it does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Open, Status};

/// What a power cut leaves of the changes that were not synced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Survival {
    Nothing,
    Everything,
    /// Some sectors and some names, by this seed.
    Some(u64),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names since the last sync of their directory.
    name_changes: Vec<NameChange>,
    locked: BTreeSet<PathBuf>,
    /// How many octets and operations of change there have been.
    changes: u64,
    /// When the power goes, in changes.
    power_cut_at: Option<u64>,
    /// What all files together may hold.
    capacity: Option<u64>,
    /// How many syncs from now fail.
    failing_syncs: u32,
    syncs: u64,
    /// How often the power has gone.
    epoch: u64,
}

#[derive(Debug, Default, Clone)]
struct File {
    content: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
    /// How often it was changed, for its status.
    changed: u64,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLength(usize),
}

#[derive(Debug, Clone)]
enum NameChange {
    Made(PathBuf, usize),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn changes(&self) -> u64 {
        self.state().changes
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    pub(crate) fn cut_power_after(&self, changes: u64) {
        let mut state = self.state();
        state.power_cut_at = Some(state.changes + changes);
    }

    pub(crate) fn set_free(&self, octets: Option<u64>) {
        let mut state = self.state();
        let used: u64 = state.files.iter().map(|file| file.content.len() as u64).sum();
        state.capacity = octets.map(|octets| used + octets);
    }

    pub(crate) fn fail_syncs(&self, count: u32) {
        self.state().failing_syncs = count;
    }

    /// A file's content now.
    pub(crate) fn content(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let file = *state.names.get(Path::new(path))?;
        Some(state.files[file].content.clone())
    }

    /// Puts a durable file there.
    pub(crate) fn put(&self, path: &str, content: &[u8]) {
        let mut state = self.state();
        let file = state.files.len();
        state.files.push(File {
            content: content.into(),
            durable: content.into(),
            changes: Vec::new(),
            changed: 0,
        });
        state.names.insert(path.into(), file);
        state.durable_names.insert(path.into(), file);
    }

    /// The disk as it is after its processes died.
    pub(crate) fn after_death(&self) -> Self {
        let state = State { locked: BTreeSet::new(), power_cut_at: None, ..self.state().clone() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The disk after a power cut, or a copy of it as it is durable.
    pub(crate) fn after_power_cut(&self, survival: Survival) -> Self {
        let state = self.state();
        let mut seed = if let Survival::Some(seed) = survival { seed } else { 0 };
        let mut survives = || match survival {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::Some(_) => {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                seed >> 63 == 1
            }
        };
        let after = Self::default();
        let mut new = after.state();
        new.epoch = state.epoch + 1;
        new.durable_names = state.durable_names.clone();
        for change in state.name_changes.iter().take_while(|_| survives()) {
            change.apply(&mut new.durable_names);
        }
        new.names = new.durable_names.clone();
        for file in &state.files {
            let mut content = file.durable.clone();
            for change in &file.changes {
                match change {
                    Change::SetLength(length) => {
                        if survives() {
                            content.resize(*length, 0);
                        }
                    }
                    Change::Write(offset, data) => {
                        for (index, sector) in data.chunks(64).enumerate() {
                            if survives() {
                                write(&mut content, offset + index * 64, sector);
                            }
                        }
                    }
                }
            }
            // Its time may be older than its content; nobody learns from it what was lost.
            let changed = file.changed;
            new.files.push(File { durable: content.clone(), content, changes: Vec::new(), changed });
        }
        drop(new);
        after
    }
}

impl State {
    fn status(&self, file: usize) -> Status {
        let File { content, changed, .. } = &self.files[file];
        Status { identity: file as u64, length: content.len() as u64, changed: *changed }
    }

    /// Counts a change of so many octets; answers how many of them happen before the power goes.
    fn change(&mut self, octets: u64) -> io::Result<u64> {
        let left = self.power_cut_at.map_or(octets, |at| at.saturating_sub(self.changes).min(octets));
        self.changes += left;
        if octets > 0 && left == 0 { Err(io::Error::other("the power is gone")) } else { Ok(left) }
    }

    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        self.change(1)?;
        change.apply(&mut self.names);
        self.name_changes.push(change);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.change(1)?;
        self.syncs += 1;
        if self.failing_syncs > 0 {
            self.failing_syncs -= 1;
            return Err(io::Error::other("the disk does not answer"));
        }
        Ok(())
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
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
        }
    }

    fn is_in(&self, directory: &Path) -> bool {
        match self {
            Self::Made(path, _) | Self::Renamed(_, path) | Self::Removed(path) => {
                path.parent() == Some(directory)
            }
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn open(&self, path: &Path, open: Open) -> io::Result<SimFile> {
        let mut state = self.state();
        let file = match (state.names.get(path), open) {
            (Some(_), Open::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(file), _) => *file,
            (None, Open::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (None, _) => {
                let file = state.files.len();
                state.change_name(NameChange::Made(path.into(), file))?;
                state.files.push(File::default());
                file
            }
        };
        Ok(SimFile { disk: self.clone(), file })
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<SimLock>> {
        let free = self.state().locked.insert(path.into());
        Ok(free.then(|| SimLock { disk: self.clone(), path: path.into() }))
    }

    fn status(&self, path: &Path) -> io::Result<Status> {
        let state = self.state();
        let file = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.status(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().change_name(NameChange::Renamed(from.into(), to.into()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Removed(path.into()))
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.sync()?;
        let (durable, rest) =
            std::mem::take(&mut state.name_changes).into_iter().partition(|change| change.is_in(path));
        state.name_changes = rest;
        let durable: Vec<NameChange> = durable;
        durable.iter().for_each(|change| change.apply(&mut state.durable_names));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        let in_it = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(in_it.filter_map(|name| name.file_name()).map(PathBuf::from).collect())
    }

    fn open_files_max(&self) -> usize {
        4
    }

    fn is_out_of_descriptors(_error: &io::Error) -> bool {
        false
    }

    fn epoch(&self) -> Option<String> {
        Some(self.state().epoch.to_string())
    }
}

#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let content = &state.files[self.file].content;
        let rest = &content[content.len().min(offset as usize)..];
        // Short reads, so that nobody relies on long ones.
        let length = rest.len().min(buffer.len()).min(100_000);
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let used: u64 = state.files.iter().map(|file| file.content.len() as u64).sum();
        let grows = (offset + data.len() as u64).saturating_sub(state.files[self.file].content.len() as u64);
        let room = state.capacity.map_or(grows, |capacity| capacity.saturating_sub(used).min(grows));
        let fits = data.len() as u64 - (grows - room);
        let done = state.change(fits)? as usize;
        let file = &mut state.files[self.file];
        file.changed += 1;
        write(&mut file.content, offset as usize, &data[..done]);
        file.changes.push(Change::Write(offset as usize, data[..done].into()));
        match done {
            _ if done == data.len() => Ok(()),
            _ if done as u64 == fits => Err(io::ErrorKind::StorageFull.into()),
            _ => Err(io::Error::other("the power is gone")),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change(1)?;
        let file = &mut state.files[self.file];
        file.changed += 1;
        file.content.resize(length as usize, 0);
        file.changes.push(Change::SetLength(length as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let synced = state.sync();
        let file = &mut state.files[self.file];
        let changes = std::mem::take(&mut file.changes);
        // After a failure the kernel takes the pages for clean, and they never reach the disk.
        synced?;
        for change in changes {
            match change {
                Change::SetLength(length) => file.durable.resize(length, 0),
                Change::Write(offset, data) => write(&mut file.durable, offset, &data),
            }
        }
        Ok(())
    }

    fn status(&self) -> io::Result<Status> {
        Ok(self.disk.state().status(self.file))
    }
}

#[derive(Debug)]
pub(crate) struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.path);
    }
}
