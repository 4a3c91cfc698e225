//! Mailbox files that stay open between deliveries, because their directory entries are known to be durable.
//!
//! The inode of an open file is not reused. While the mailbox's name leads to that inode, the file was not replaced, and the
//! directories that were synced when it was opened need no further sync, which is the most expensive part of a delivery.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open files by path, up to a maximum.
#[derive(Debug)]
pub(super) struct OpenFiles<F> {
    table: Mutex<Table<F>>,
    max: usize,
}

#[derive(Debug)]
struct Table<F> {
    files: HashMap<PathBuf, OpenFile<F>>,
    /// Number of lookups so far.
    clock: u64,
}

#[derive(Debug)]
struct OpenFile<F> {
    file: Arc<F>,
    identity: u64,
    /// The clock at the last lookup.
    used: u64,
}

impl<F> OpenFiles<F> {
    /// Holds at most `max` files.
    pub(super) fn new(max: usize) -> Self {
        Self { table: Mutex::new(Table { files: HashMap::new(), clock: 0 }), max }
    }

    /// The open file, if its path still has this inode.
    pub(super) fn find(&self, path: &Path, identity: u64) -> Option<Arc<F>> {
        let mut table = self.lock();
        table.clock += 1;
        let clock = table.clock;
        let found = table.files.get_mut(path).filter(|open| open.identity == identity)?;
        found.used = clock;
        Some(Arc::clone(&found.file))
    }

    /// Adds a file whose directory entry is durable.
    pub(super) fn keep(&self, path: &Path, identity: u64, file: &Arc<F>) {
        let mut table = self.lock();
        let closed = if table.files.len() >= self.max { table.half() } else { Vec::new() };
        let open = OpenFile { file: Arc::clone(file), identity, used: table.clock };
        let replaced = if self.max == 0 { None } else { table.files.insert(path.to_owned(), open) };
        drop(table);
        // Outside the lock, because closing a deleted file frees its space, which takes time.
        drop((closed, replaced));
    }

    /// Closes a file.
    pub(super) fn forget(&self, path: &Path) {
        let forgotten = self.lock().files.remove(path);
        drop(forgotten);
    }

    /// Closes all files. Returns whether there was any.
    pub(super) fn clear(&self) -> bool {
        let all = std::mem::take(&mut self.lock().files);
        !all.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Table<F>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Table<F> {
    /// Removes the least recently used half. Removing many at once avoids maintaining an order.
    fn half(&mut self) -> Vec<OpenFile<F>> {
        let mut used: Vec<u64> = self.files.values().map(|open| open.used).collect();
        let middle = used.len() / 2;
        if used.is_empty() {
            return Vec::new();
        }
        let (_, median, _) = used.select_nth_unstable(middle);
        let median = *median;
        self.files.extract_if(|_, open| open.used <= median).map(|(_, open)| open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_recently_used_files_are_closed() {
        let files = OpenFiles::new(4);
        let path = |number: u64| PathBuf::from(number.to_string());
        let opened: Vec<Arc<u64>> = (0..6).map(Arc::new).collect();
        for number in 0..4 {
            assert_eq!(files.find(&path(number), number), None);
            files.keep(&path(number), number, &opened[number as usize]);
        }
        assert_eq!(files.find(&path(0), 0), Some(Arc::new(0)));
        files.keep(&path(4), 4, &opened[4]);
        let open = |opened: &[Arc<u64>]| {
            opened.iter().filter(|file| Arc::strong_count(file) == 2).map(|file| **file).collect::<Vec<_>>()
        };
        assert_eq!(open(&opened), [0, 4]);
        assert_eq!(files.find(&path(0), 7), None, "another inode");
        files.keep(&path(0), 7, &opened[5]);
        assert_eq!(open(&opened), [4, 5]);
        files.forget(&path(4));
        assert_eq!(open(&opened), [5]);
        assert!(files.clear());
        assert!(!files.clear());
        assert_eq!(open(&opened), [0; 0]);
    }

    #[test]
    fn maximum_of_zero_holds_no_file() {
        let (files, file) = (OpenFiles::new(0), Arc::new(()));
        files.keep(Path::new("a"), 1, &file);
        assert_eq!(files.find(Path::new("a"), 1), None);
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
