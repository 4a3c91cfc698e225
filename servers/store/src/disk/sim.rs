//! A disk in memory with faults: full disk, failing syncs, killed processes, power failure at any byte. After a power failure,
//! unsynced data survives completely, partly or not at all.
//!
//! Several processes can share it ([`SimDisk::process`]). A killed process changes nothing more and loses its locks, but
//! everything it has written is visible to the others, as with a page cache.

use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Open, Status};

mod state;

use state::{Change, File, NameChange, State, parents, write};

/// Unsynced changes that survive a power failure.
#[derive(Debug, Clone, Copy)]
pub enum Survival {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// Some sectors and some names, selected by this seed.
    Some(u64),
}

/// The disk, used by one process. A clone belongs to the same process.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    process: usize,
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same disk, used by a new process.
    #[must_use]
    pub fn process(&self) -> Self {
        let mut state = self.state();
        let process = state.lives.len().max(1);
        state.lives.resize(process + 1, None);
        Self { state: Arc::clone(&self.state), process }
    }

    /// Kills the process after this many more changes.
    pub fn kill_after(&self, changes: u64) {
        let mut state = self.state();
        let process = self.process;
        if state.lives.len() <= process {
            state.lives.resize(process + 1, None);
        }
        state.lives[process] = Some(changes);
        state.bury(process);
    }

    /// Cancels a pending kill.
    pub fn spare(&self) {
        let mut state = self.state();
        if let Some(life) = state.lives.get_mut(self.process).filter(|life| **life != Some(0)) {
            *life = None;
        }
    }

    /// Whether the process was killed or the power failed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().is_dead(self.process)
    }

    /// Changed octets and changing operations so far, of all processes.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Syncs so far, of all processes.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Makes the power fail after this many more changes.
    pub fn cut_power_after(&self, changes: u64) {
        let mut state = self.state();
        state.power_cut_at = Some(state.changes + changes);
    }

    /// Whether the power has failed.
    #[must_use]
    pub fn is_without_power(&self) -> bool {
        self.state().is_without_power()
    }

    /// Sets the free space, or removes the limit.
    pub fn set_free(&self, octets: Option<u64>) {
        let mut state = self.state();
        let used = state.used();
        state.capacity = octets.map(|octets| used + octets);
    }

    /// Makes the next syncs fail.
    pub fn fail_syncs(&self, count: u32) {
        self.state().failing_syncs = count;
    }

    /// Stops or resumes the clock of the ctime. On real disks, many changes can share a ctime.
    pub fn stop_clock(&self, stopped: bool) {
        self.state().clock_stopped = stopped;
    }

    /// Octets read so far.
    #[must_use]
    pub fn octets_read(&self) -> u64 {
        self.state().read
    }

    /// Makes syncs succeed without effect.
    pub fn lie_about_syncs(&self) {
        self.state().lying = true;
    }

    /// Content of a file.
    #[must_use]
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let file = *state.names.get(Path::new(path))?;
        Some(state.files[file].content.clone())
    }

    /// Names of all files.
    #[must_use]
    pub fn names(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Adds a durable file in a durable directory.
    pub fn put(&self, path: &str, content: &[u8]) {
        let mut state = self.state();
        let file = state.files.len();
        state.files.push(File { content: content.into(), durable: content.into(), ..File::default() });
        state.names.insert(path.into(), file);
        state.durable_names.insert(path.into(), file);
        for directory in parents(Path::new(path)) {
            state.directories.insert(directory.into());
            state.durable_directories.insert(directory.into());
        }
    }

    /// A copy of the disk's current content, without faults and locks.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.state();
        let copy = |file: &File| File {
            content: file.content.clone(),
            durable: file.content.clone(),
            changes: Vec::new(),
            changed: file.changed,
        };
        let copy = State {
            files: state.files.iter().map(copy).collect(),
            names: state.names.clone(),
            durable_names: state.names.clone(),
            directories: state.directories.clone(),
            durable_directories: state.directories.clone(),
            boot_id: state.boot_id,
            ..State::default()
        };
        Self { state: Arc::new(Mutex::new(copy)), process: 0 }
    }

    /// The disk after a power failure.
    #[must_use]
    pub fn after_power_cut(&self, survival: Survival) -> Self {
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
        new.boot_id = state.boot_id + 1;
        new.durable_names = state.durable_names.clone();
        new.durable_directories = state.durable_directories.clone();
        for change in state.name_changes.iter().take_while(|_| survives()) {
            let State { durable_names, durable_directories, .. } = &mut *new;
            change.apply(durable_names, durable_directories);
        }
        let State { durable_names, durable_directories, .. } = &mut *new;
        durable_names.retain(|path, _| parents(path).all(|parent| durable_directories.contains(parent)));
        new.names = new.durable_names.clone();
        new.directories = new.durable_directories.clone();
        new.lying = state.lying;
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
            // The ctime may be older than the content, so it does not reveal the loss.
            let changed = file.changed;
            new.files.push(File { durable: content.clone(), content, changes: Vec::new(), changed });
        }
        drop(new);
        after
    }
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
                state.check_parents(path)?;
                let file = state.files.len();
                state.change_name(self.process, NameChange::Made(path.into(), file))?;
                state.files.push(File::default());
                file
            }
        };
        Ok(SimFile { disk: self.clone(), file })
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<SimLock>> {
        let mut state = self.state();
        state.live(self.process)?;
        state.check_parents(path)?;
        state.locks += 1;
        let number = state.locks;
        match state.locked.entry(path.into()) {
            Entry::Occupied(_) => Ok(None),
            Entry::Vacant(free) => {
                free.insert((self.process, number));
                Ok(Some(SimLock { disk: self.clone(), path: path.into(), number }))
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(self.process, NameChange::Renamed(from.into(), to.into()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(self.process, NameChange::Removed(path.into()))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        for directory in parents(&path.join("_")) {
            if !state.directories.contains(directory) {
                state.change_name(self.process, NameChange::MadeDirectory(directory.into()))?;
            }
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.sync(self.process)?;
        if state.lying {
            return Ok(());
        }
        let (durable, rest): (Vec<_>, _) =
            std::mem::take(&mut state.name_changes).into_iter().partition(|change| change.is_in(path));
        state.name_changes = rest;
        let State { durable_names, durable_directories, .. } = &mut *state;
        durable.iter().for_each(|change| change.apply(durable_names, durable_directories));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        let in_it = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(in_it.filter_map(|name| name.file_name()).map(PathBuf::from).collect())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let inside: Vec<PathBuf> = self.names().into_iter().filter(|name| name.starts_with(path)).collect();
        inside.iter().try_for_each(|name| self.remove(name))
    }

    fn open_files_max(&self) -> usize {
        4
    }

    fn is_out_of_descriptors(_error: &io::Error) -> bool {
        false
    }

    fn status(&self, path: &Path) -> io::Result<Status> {
        let state = self.state();
        let file = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.status(file))
    }

    fn boot_id(&self) -> Option<String> {
        Some(self.state().boot_id.to_string())
    }
}

/// An open file.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        let content = &state.files[self.file].content;
        let rest = &content[content.len().min(offset as usize)..];
        // Short reads, so that no caller relies on complete ones.
        let length = rest.len().min(buffer.len()).min(100_000);
        buffer[..length].copy_from_slice(&rest[..length]);
        state.read += length as u64;
        Ok(length)
    }

    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let grows = (offset + data.len() as u64).saturating_sub(state.files[self.file].content.len() as u64);
        let room = state.capacity.map_or(grows, |capacity| capacity.saturating_sub(state.used()).min(grows));
        let fits = (data.len() as u64).saturating_sub(grows - room);
        let done = state.change(self.disk.process, fits)? as usize;
        if done == 0 && !data.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let tick = u64::from(!state.clock_stopped);
        let file = &mut state.files[self.file];
        file.changed += tick;
        write(&mut file.content, offset as usize, &data[..done]);
        file.changes.push(Change::Write(offset as usize, data[..done].into()));
        match done {
            _ if done == data.len() => Ok(()),
            _ if done as u64 == fits => Err(io::ErrorKind::StorageFull.into()),
            _ => Err(io::Error::other("the power failed, or the process was killed, during a write")),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change(self.disk.process, 1)?;
        let tick = u64::from(!state.clock_stopped);
        let file = &mut state.files[self.file];
        file.changed += tick;
        file.content.resize(length as usize, 0);
        file.changes.push(Change::SetLength(length as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let synced = state.sync(self.disk.process);
        if state.is_dead(self.disk.process) && synced.is_err() {
            return synced;
        }
        if state.lying {
            return synced;
        }
        let evicts = state.syncs.is_multiple_of(2);
        let file = &mut state.files[self.file];
        let changes = std::mem::take(&mut file.changes);
        // After a failed sync, Linux marks the pages clean. They never reach the disk, and after eviction the old content returns.
        if synced.is_err() && evicts {
            let length = file.content.len();
            file.content.clone_from(&file.durable);
            file.content.resize(length, 0);
        }
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

/// A held lock.
#[derive(Debug)]
pub struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    number: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        let own = (self.disk.process, self.number);
        // After a process is killed, another one may have the lock.
        if state.locked.get(&self.path) == Some(&own) {
            state.locked.remove(&self.path);
        }
    }
}
