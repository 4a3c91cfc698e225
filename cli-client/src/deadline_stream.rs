//! A TCP stream with a deadline for reads.
//!
//! A socket's read timeout restarts with every byte. A deadline also ends TLS handshakes and TLS records whose bytes arrive one
//! by one.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct DeadlineStream {
    pub(crate) socket: TcpStream,
    /// Reads after the deadline fail with [`io::ErrorKind::TimedOut`].
    pub(crate) deadline: Option<Instant>,
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(timeout)?;
        self.socket.read(buffer)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
