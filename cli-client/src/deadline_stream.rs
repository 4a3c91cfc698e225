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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::tls::{HandshakeError, TrustPolicy};

    #[test]
    fn handshake_with_single_bytes_times_out_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("the client connects");
            // The header of a 16 KiB handshake record, then one byte at a time.
            let mut sent = peer.write_all(&[22, 3, 3, 64, 0]);
            while sent.is_ok() {
                thread::sleep(Duration::from_millis(10));
                sent = peer.write_all(&[0]);
            }
        });
        let socket = TcpStream::connect(address).expect("the server listens");
        let stream = DeadlineStream { socket, deadline: Some(Instant::now() + Duration::from_millis(300)) };
        let fingerprint = "00".repeat(32).parse().expect("32 bytes");
        let trust =
            TrustPolicy { ca: None, fingerprint: Some(fingerprint), known_certificates: "none".into() };
        let error = trust.handshake(stream, &address.to_string()).expect_err("the deadline passes");
        assert!(
            matches!(&error, HandshakeError::Failed(reason) if reason == "handshake timed out"),
            "{error:?}"
        );
        server.join().expect("the server stops when the client disconnects");
    }
}
