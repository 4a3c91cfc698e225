//! A port that is kept for somebody.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// A port of 127.0.0.1 that nobody is given by chance as long as this lives, as a connection has it. Who asks for it by its
/// number can listen there, and can do so again after an end; until then whoever connects is refused.
#[derive(Debug)]
pub struct Port {
    far: TcpStream,
    _near: TcpStream,
}

impl Port {
    #[must_use]
    pub fn hold() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (far, _) = listener.accept().expect("somebody has connected");
        Self { far, _near: near }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.far.local_addr().expect("it is connected")
    }
}
