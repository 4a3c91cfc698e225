//! Ports of 127.0.0.1 that stay reserved while no server listens on them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

/// Held while a process is spawned or a port is reserved. A child inherits open sockets between `fork` and `exec`, so it
/// could otherwise keep a listener open that is used to reserve a port.
static FORK_LOCK: Mutex<()> = Mutex::new(());

/// Spawns a process while no port is being reserved.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let _guard = FORK_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// A port that the system does not assign to anyone else, because an open connection uses it. A server that binds it by
/// number can listen, stop and listen again; in between, connections are refused.
#[derive(Debug)]
pub struct ReservedPort {
    accepted: TcpStream,
    _connected: TcpStream,
}

impl ReservedPort {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it acquires a resource")]
    pub fn new() -> Self {
        let _guard = FORK_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let connected =
            TcpStream::connect(listener.local_addr().expect("a bound socket")).expect("it listens");
        let (accepted, _) = listener.accept().expect("a pending connection");
        Self { accepted, _connected: connected }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.accepted.local_addr().expect("a connected socket")
    }
}
