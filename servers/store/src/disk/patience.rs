//! Reads that refuse to wait for the disk, for a thread that others wait for.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// How this thread reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Waits,
    Refuses,
    /// It had to.
    Refused,
}

thread_local! {
    static PATIENCE: Cell<Patience> = const { Cell::new(Patience::Waits) };
}

/// Waits again when it is dropped, so after a panic too.
struct Refusing;

impl Drop for Refusing {
    fn drop(&mut self) {
        PATIENCE.set(Patience::Waits);
    }
}

/// Does the work, in which a read of what the system has not in memory fails; `None` when there was one.
pub(super) fn without_waiting<T>(work: impl FnOnce() -> T) -> Option<T> {
    let refusing = Refusing;
    PATIENCE.set(Patience::Refuses);
    let done = work();
    let is_refused = PATIENCE.get() == Patience::Refused;
    drop(refusing);
    (!is_refused).then_some(done)
}

/// Reads as this thread does just now.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    if PATIENCE.get() == Patience::Waits {
        return file.read_at(buffer, offset);
    }
    let refused = |errno| matches!(errno, Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS);
    match preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
        Err(errno) if refused(errno) => {
            PATIENCE.set(Patience::Refused);
            Err(io::ErrorKind::WouldBlock.into())
        }
        read => Ok(read?),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_in_memory_is_read_and_nothing_else() {
        let mut cached = tempfile::tempfile_in(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        cached.write_all(b"0123456789").unwrap();
        // No read of it is ever one that surely need not wait.
        let unsure = File::open("/proc/self/status").unwrap();
        let mut buffer = [0; 4];
        let mut read = |file| read_at(file, &mut buffer, 1).unwrap_or(0);
        assert_eq!(without_waiting(|| read(&cached)), Some(4));
        assert_eq!(without_waiting(|| read(&unsure) + read(&cached)), None);
        assert_eq!(read(&unsure), 4, "without the word it waits");
        assert_eq!(without_waiting(|| read(&cached)), Some(4));
    }

    #[test]
    fn a_panic_leaves_the_thread_as_it_was() {
        let panicked = std::panic::catch_unwind(|| without_waiting(|| panic!("a defect")));
        assert!(panicked.is_err() && PATIENCE.get() == Patience::Waits);
    }
}
