//! Waiting awake: who fetches one message after the other, from near by, asks for the next sooner than a thread has fallen
//! asleep and is awake again, which takes tens of microseconds where the processor has nothing else to do.
//!
//! It never waits longer than [`VIGIL_MAX`], only behind a message, one thread of the process at a time, and not again
//! for a while when nothing came. Peers that are farther away than that are waited for as ever.

use std::hint::spin_loop;
use std::io;
use std::sync::{LazyLock, Mutex};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Longer than a client on the same host needs to wake up, read a message and ask for the next.
const VIGIL_MAX: Duration = Duration::from_micros(60);
/// So many messages go out without a vigil when one was in vain: it then costs each about two microseconds.
const PAUSE: u8 = 32;
/// So many vigils in a row, and others that this thread serves get their turn.
const ROW: u8 = 16;
/// A flight of RETR commands. What is longer is read as ever.
const OCTETS_MAX: usize = 512;

/// Held by the thread that waits awake.
static AWAKE: Mutex<()> = Mutex::new(());
/// On a single processor the peer cannot do anything meanwhile.
static MAY_WAIT: LazyLock<bool> =
    LazyLock::new(|| available_parallelism().is_ok_and(|threads| threads.get() > 1));

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    is_due: bool,
    pause: u8,
    row: u8,
}

impl Vigil {
    /// A message goes out: the next may be asked for at once.
    pub(super) fn expect(&mut self) {
        self.is_due = *MAY_WAIT;
    }

    /// Whether others have to have their turn before the next.
    pub(super) const fn is_long(&mut self) -> bool {
        let is_long = self.row >= ROW;
        if is_long {
            self.row = 0;
        }
        is_long
    }

    /// Waits for what `read` gives, and hands it to `take`; whether something came. `read` must not wait.
    pub(super) fn keep(
        &mut self,
        read: impl FnMut(&mut [u8]) -> io::Result<usize>,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        self.keep_as(&AWAKE, Instant::now, read, take)
    }

    fn keep_as(
        &mut self,
        awake: &Mutex<()>,
        mut now: impl FnMut() -> Instant,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        if !std::mem::take(&mut self.is_due) {
            return false;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        let Ok(_awake) = awake.try_lock() else { return false };
        let (begin, mut octets) = (now(), [0; OCTETS_MAX]);
        loop {
            match read(&mut octets) {
                Ok(length @ 1..) => {
                    take(&octets[..length]);
                    self.row += 1;
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && now() - begin < VIGIL_MAX => {
                    spin_loop();
                }
                // Nothing came, or the end or an error, of which the ordinary wait hears as well.
                _ => {
                    (self.pause, self.row) = (PAUSE, 0);
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_octets: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn command(octets: &mut [u8]) -> io::Result<usize> {
        octets[..6].copy_from_slice(b"RETR 2");
        Ok(6)
    }

    /// Whether something came behind a message, and how often it was looked for: it is there at the third time. Every look
    /// at the clock finds it a microsecond further, however long this thread is kept from its core.
    fn kept(vigil: &mut Vigil, awake: &Mutex<()>, read: fn(&mut [u8]) -> io::Result<usize>) -> (bool, usize) {
        vigil.is_due = true;
        let mut looks = 0;
        let look = |octets: &mut [u8]| {
            looks += 1;
            if looks < 3 { nothing(octets) } else { read(octets) }
        };
        let came = vigil.keep_as(awake, clock(), look, |octets| assert_eq!(octets, b"RETR 2"));
        (came, looks)
    }

    fn clock() -> impl FnMut() -> Instant {
        let mut time = Instant::now();
        move || {
            time += Duration::from_micros(1);
            time
        }
    }

    #[test]
    fn who_is_quick_is_waited_for_and_others_have_their_turn() {
        let (mut vigil, awake) = (Vigil::default(), Mutex::new(()));
        for _ in 0..ROW {
            assert!(!vigil.is_long());
            assert_eq!(kept(&mut vigil, &awake, command), (true, 3));
            assert!(!vigil.keep_as(&awake, clock(), command, |_| ()), "once behind a message");
        }
        assert!(vigil.is_long() && !vigil.is_long());
    }

    #[test]
    fn who_is_late_is_not_waited_for_again_at_once() {
        let unable = |_: &mut [u8]| Err(io::ErrorKind::Unsupported.into());
        for (late, looks_expected) in [(nothing as fn(&mut [u8]) -> _, 60), (|_| Ok(0), 3), (unable, 3)] {
            let (mut vigil, awake) = (Vigil::default(), Mutex::new(()));
            assert_eq!(kept(&mut vigil, &awake, late), (false, looks_expected));
            for _ in 0..PAUSE {
                assert_eq!(kept(&mut vigil, &awake, command), (false, 0));
            }
            assert_eq!(kept(&mut vigil, &awake, command), (true, 3));
        }
    }

    #[test]
    fn one_thread_waits_at_a_time() {
        let (mut vigil, awake) = (Vigil::default(), Mutex::new(()));
        let somebody = awake.lock().unwrap();
        assert_eq!(kept(&mut vigil, &awake, command), (false, 0));
        drop(somebody);
        assert_eq!(kept(&mut vigil, &awake, command), (true, 3));
    }
}
