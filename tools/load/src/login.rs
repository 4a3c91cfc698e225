//! Login, STAT and QUIT.

use crate::Account;
use crate::connection::{Connection, Error, Result, Stream};

/// Buffer for single-line replies.
pub(crate) const LINE_BUFFER_OCTETS: usize = 1 << 10;

impl Account {
    /// The account with `%` in its name replaced by a number.
    pub(crate) fn numbered(&self, number: usize) -> Self {
        Self { name: self.name.replace('%', &number.to_string()), ..self.clone() }
    }

    /// Connects and logs in.
    pub(crate) async fn log_in<S: Stream>(&self, buffer_octets: usize) -> Result<Connection<S>> {
        let mut connection = Connection::connect(self.address, buffer_octets).await?;
        connection.ok().await?;
        connection.send(format!("USER {}\r\n", self.name).as_bytes()).await?;
        connection.ok().await?;
        connection.send(format!("PASS {}\r\n", self.password).as_bytes()).await?;
        connection.ok().await?;
        Ok(connection)
    }
}

impl<S: Stream> Connection<S> {
    /// The number of messages.
    pub(crate) async fn stat(&mut self) -> Result<usize> {
        self.send(b"STAT\r\n").await?;
        let line = String::from_utf8_lossy(self.ok().await?).into_owned();
        let count = line.split_whitespace().next().and_then(|count| count.parse().ok());
        count.ok_or(Error::Refused(line))
    }

    /// Waits until the server closes, so that TIME_WAIT is on the server's side and does not exhaust local ports.
    pub(crate) async fn quit(mut self) -> Result<()> {
        self.send(b"QUIT\r\n").await?;
        self.ok().await?;
        self.closed().await
    }
}
