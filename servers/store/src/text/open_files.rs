//! Mailbox files that stay open between deliveries, so that their names are known to be durable.
//!
//! An open file keeps its inode for itself. So long as the mailbox's name leads to that inode, nobody has put another
//! file in its place, and the directories that were synced when it was opened need no further sync: that is the dearest
//! part of a lone delivery.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open files by the mailbox's name, up to a number.
#[derive(Debug)]
pub(super) struct OpenFiles<F> {
    kept: Mutex<Kept<F>>,
    max: usize,
}

#[derive(Debug)]
struct Kept<F> {
    files: HashMap<PathBuf, OpenFile<F>>,
    /// How often a file was asked for.
    clock: u64,
}

#[derive(Debug)]
struct OpenFile<F> {
    file: Arc<F>,
    identity: u64,
    /// The clock when it was asked for last.
    used: u64,
}

impl<F> OpenFiles<F> {
    /// Keeps at most `max` files open.
    pub(super) fn new(max: usize) -> Self {
        Self { kept: Mutex::new(Kept { files: HashMap::new(), clock: 0 }), max }
    }

    /// The open file, if its name still leads to it.
    pub(super) fn find(&self, path: &Path, identity: u64) -> Option<Arc<F>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let clock = kept.clock;
        let found = kept.files.get_mut(path).filter(|open| open.identity == identity)?;
        found.used = clock;
        Some(Arc::clone(&found.file))
    }

    /// Keeps a file open whose name is durable.
    pub(super) fn keep(&self, path: &Path, identity: u64, file: &Arc<F>) {
        let mut kept = self.lock();
        let closed = if kept.files.len() >= self.max { kept.half() } else { Vec::new() };
        let open = OpenFile { file: Arc::clone(file), identity, used: kept.clock };
        let replaced = if self.max == 0 { None } else { kept.files.insert(path.to_owned(), open) };
        drop(kept);
        // Closing may take time: the last to close a removed file gives its room back.
        drop((closed, replaced));
    }

    /// Closes one.
    pub(super) fn forget(&self, path: &Path) {
        let forgotten = self.lock().files.remove(path);
        drop(forgotten);
    }

    /// Closes all; tells whether there was any.
    pub(super) fn clear(&self) -> bool {
        let all = std::mem::take(&mut self.lock().files);
        !all.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Kept<F>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Kept<F> {
    /// Takes out the half that was asked for longest ago: all at once, so that no order has to be kept up between.
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
    fn those_that_were_asked_for_longest_ago_are_closed() {
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
        assert_eq!(files.find(&path(0), 7), None, "its name leads elsewhere");
        files.keep(&path(0), 7, &opened[5]);
        assert_eq!(open(&opened), [4, 5]);
        files.forget(&path(4));
        assert_eq!(open(&opened), [5]);
        assert!(files.clear());
        assert!(!files.clear());
        assert_eq!(open(&opened), [0; 0]);
    }

    #[test]
    fn where_none_may_stay_open_none_does() {
        let (files, file) = (OpenFiles::new(0), Arc::new(()));
        files.keep(Path::new("a"), 1, &file);
        assert_eq!(files.find(Path::new("a"), 1), None);
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
