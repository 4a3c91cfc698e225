//! Signals whose default action would end a server without a reason.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Keeps SIGHUP and SIGXFSZ from ending the process; both stay harmless for its lifetime. A write over the file size limit
/// (`ulimit -f`) then fails with EFBIG. Needs a tokio runtime.
///
/// # Errors
/// The handler cannot be installed.
pub fn ignore_fatal() -> io::Result<()> {
    for ignored in [Signal::HUP, Signal::XFSZ] {
        // tokio never removes its handler, even after this receiver is dropped.
        drop(signal(SignalKind::from_raw(ignored.as_raw()))?);
    }
    Ok(())
}
