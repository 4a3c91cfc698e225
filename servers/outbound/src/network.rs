//! The network and the wall clock of the delivery agent. The simulation replaces them.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use chrono::{DateTime, Utc};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Opens connections to other hosts, and tells the time.
pub trait Network: Debug + Send + Sync + 'static {
    fn connect(&self, address: SocketAddr) -> Connecting<'_>;

    /// The time of log lines and reports. Unlike the clock of timeouts, it can be set.
    fn utc(&self) -> DateTime<Utc>;
}

/// A connection that is being opened.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send + 'a>>;

/// An open connection.
pub trait Connection: AsyncRead + AsyncWrite + Debug + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Debug + Unpin + Send + Sync> Connection for T {}

/// TCP, and the clock of the system.
#[derive(Debug)]
pub(crate) struct SystemNetwork;

impl Network for SystemNetwork {
    fn connect(&self, address: SocketAddr) -> Connecting<'_> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // Each small command waits for its reply.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }

    fn utc(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
