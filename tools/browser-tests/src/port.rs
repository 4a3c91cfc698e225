//! A port that is kept for somebody.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

/// A child has all that is open in this process until it has become its program: who listens meanwhile, in order to hold a port,
/// would go on listening there.
static FORKS: Mutex<()> = Mutex::new(());

/// Starts a program while nobody takes a port.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let _alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

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
        let _alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
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
