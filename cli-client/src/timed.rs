//! A socket whose reads end at a moment, and not so long after the last octet: what a server sends too little of at a time,
//! in a handshake or within a TLS record, comes to an end as well.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Timed {
    pub(crate) socket: TcpStream,
    pub(crate) until: Option<Instant>,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(left)?;
        self.socket.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.socket.write(octets)
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
    use crate::tls::{Fingerprint, HandshakeError, Trust};

    #[test]
    fn octets_that_drop_in_one_by_one_do_not_prolong_a_handshake() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("somebody comes");
            // A handshake record of 16 KiB that takes minutes, if the other side stays.
            let mut sent = peer.write_all(&[22, 3, 3, 64, 0]);
            while sent.is_ok() {
                thread::sleep(Duration::from_millis(10));
                sent = peer.write_all(&[0]);
            }
        });
        let socket = TcpStream::connect(address).expect("it listens");
        let timed = Timed { socket, until: Some(Instant::now() + Duration::from_millis(300)) };
        let fingerprint = "00".repeat(32).parse::<Fingerprint>().expect("32 octets");
        let trust = Trust { ca: None, fingerprint: Some(fingerprint), known: "none".into() };
        let error = trust.handshake(timed, &address.to_string()).expect_err("its time ends first");
        assert!(matches!(&error, HandshakeError::Failed(why) if why == "it takes too long"), "{error:?}");
        server.join().expect("it ends with its peer");
    }
}
