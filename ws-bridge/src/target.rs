//! Connections to targets.

use std::io;
use std::net::SocketAddr;

use net::local::Connector;
use net::proxy::{Client, write_header};
use net::stream::Transport;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::close::CloseReason;
use crate::limits::CONNECT_TIMEOUT;

/// Target of `/ws/<name>`.
#[derive(Debug, Clone)]
pub enum Target {
    Tcp(config::Target),
    /// A mail server of this process.
    InProcess(Connector),
}

/// A browser's connection. Every request has it as an extension.
#[derive(Debug, Clone, Copy)]
pub struct Browser {
    pub client: Client,
    /// The local address that the browser connected to.
    pub(crate) destination: SocketAddr,
}

impl Browser {
    /// The scheme of the request's URL.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.client.secure { "https" } else { "http" }
    }
}

impl From<config::Target> for Target {
    fn from(target: config::Target) -> Self {
        Self::Tcp(target)
    }
}

impl Target {
    /// The TCP address, if the target has one.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(target) => Some(target.address),
            Self::InProcess(_) => None,
        }
    }

    /// Connects on behalf of a browser. A TCP target that expects a PROXY header receives one.
    ///
    /// # Errors
    /// The target refuses the connection or does not answer within [`CONNECT_TIMEOUT`].
    pub(crate) async fn connect(
        &self,
        browser: &Browser,
    ) -> Result<Box<dyn Transport>, (CloseReason, io::Error)> {
        match timeout(CONNECT_TIMEOUT, self.open(browser)).await {
            Ok(connected) => connected.map_err(|error| (CloseReason::TargetUnreachable, error)),
            Err(_) => Err((CloseReason::ConnectTimeout, io::ErrorKind::TimedOut.into())),
        }
    }

    async fn open(&self, Browser { client, destination }: &Browser) -> io::Result<Box<dyn Transport>> {
        match self {
            Self::Tcp(target) => {
                let mut stream = TcpStream::connect(target.address).await?;
                stream.set_nodelay(true)?;
                if target.proxy {
                    write_header(&mut stream, client, *destination).await?;
                }
                Ok(Box::new(stream))
            }
            Self::InProcess(connector) => Ok(Box::new(connector.connect(*client).await?)),
        }
    }
}
