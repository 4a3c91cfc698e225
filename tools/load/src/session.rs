//! Signing in, and what every session does.

use crate::Account;
use crate::wire::{Failure, Result, Stream, Wire};

/// Enough for the replies of one line.
pub(crate) const LINES_OCTETS: usize = 1 << 10;

impl Account {
    /// The account of that number.
    pub(crate) fn numbered(&self, number: usize) -> Self {
        Self { name: self.name.replace('%', &number.to_string()), ..self.clone() }
    }

    /// Connects and signs in.
    pub(crate) async fn sign_in<S: Stream>(&self, buffer_octets: usize) -> Result<Wire<S>> {
        let mut wire = Wire::connect(self.address, buffer_octets).await?;
        wire.ok().await?;
        wire.send(format!("USER {}\r\n", self.name).as_bytes()).await?;
        wire.ok().await?;
        wire.send(format!("PASS {}\r\n", self.password).as_bytes()).await?;
        wire.ok().await?;
        Ok(wire)
    }
}

impl<S: Stream> Wire<S> {
    /// The number of messages.
    pub(crate) async fn stat(&mut self) -> Result<usize> {
        self.send(b"STAT\r\n").await?;
        let line = String::from_utf8_lossy(self.ok().await?).into_owned();
        let count = line.split_whitespace().next().and_then(|count| count.parse().ok());
        count.ok_or(Failure::Refused(line))
    }

    /// To the server's end of the connection, so that it is its port that has to rest, and not one of ours.
    pub(crate) async fn quit(mut self) -> Result<()> {
        self.send(b"QUIT\r\n").await?;
        self.ok().await?;
        self.closed().await
    }
}
