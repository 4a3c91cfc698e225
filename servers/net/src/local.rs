//! Connections between two services of one process, over Unix socket pairs.
//!
//! The web bridge connects to the mail servers this way in the all-in-one process. The client's address and transport
//! security travel beside the socket, so no PROXY header is involved and no other process can connect.

use std::io;

use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::accept::Acceptor;
use crate::proxy::Client;

/// Connections that may wait to be accepted.
const BACKLOG: usize = 1024;

/// Opens connections to the [`LocalListener`] that it was made with.
#[derive(Debug, Clone)]
pub struct Connector {
    connections: mpsc::Sender<(UnixStream, Client)>,
}

/// The accepting side of a [`Connector`].
#[derive(Debug)]
pub struct LocalListener {
    connections: mpsc::Receiver<(UnixStream, Client)>,
}

/// A listener and the connector to it.
#[must_use]
pub fn channel() -> (Connector, LocalListener) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (Connector { connections: sender }, LocalListener { connections: receiver })
}

impl Connector {
    /// Opens a connection on behalf of `client`. Waits while the backlog is full.
    ///
    /// # Errors
    /// `ConnectionRefused` when the listener is closed; any error of socketpair(2), such as too many open files.
    pub async fn connect(&self, client: Client) -> io::Result<UnixStream> {
        let (near, far) = UnixStream::pair()?;
        let sent = self.connections.send((far, client)).await;
        sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(near)
    }
}

impl Acceptor for LocalListener {
    type Connection = (UnixStream, Client);

    async fn accept(&mut self) -> Self::Connection {
        match self.connections.recv().await {
            Some(connection) => connection,
            // Every connector is gone, so no connection can arrive any more.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn client() -> Client {
        Client { address: "192.0.2.7:50000".parse().expect("an address"), secure: true, encryption: None }
    }

    #[tokio::test]
    async fn accepted_connection_carries_client_and_octets() {
        let (connector, mut listener) = channel();
        let mut near = connector.connect(client()).await.expect("connected");
        let (mut far, accepted) = listener.accept().await;
        assert_eq!(accepted, client());
        near.write_all(b"EHLO iit.edu\r\n").await.expect("written");
        drop(near);
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.expect("read");
        assert_eq!(received, b"EHLO iit.edu\r\n");
    }

    #[tokio::test]
    async fn connect_after_the_listener_closed_is_refused() {
        let (connector, listener) = channel();
        drop(listener);
        let error = connector.connect(client()).await.expect_err("closed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
