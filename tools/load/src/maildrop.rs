//! Sessions with a large maildrop.

use std::io::Write;
use std::time::Instant;

use memchr::memmem::Finder;

use crate::Account;
use crate::connection::{Blocking, Result};
use crate::login::LINE_BUFFER_OCTETS;

/// Several messages of usual size fit into one read.
const MESSAGE_BUFFER_OCTETS: usize = 256 << 10;

#[derive(Debug, PartialEq)]
pub(crate) struct Fetched {
    pub(crate) seconds: f64,
    pub(crate) messages: usize,
    pub(crate) octets: u64,
}

/// Seconds from connecting to the reply to STAT, and the number of messages.
pub(crate) async fn open(account: &Account) -> Result<(f64, usize)> {
    let begin = Instant::now();
    let mut connection = account.log_in::<Blocking>(LINE_BUFFER_OCTETS).await?;
    let messages = connection.stat().await?;
    let seconds = begin.elapsed().as_secs_f64();
    connection.quit().await?;
    Ok((seconds, messages))
}

/// Seconds from the first DELE to the reply to QUIT.
pub(crate) async fn remove(account: &Account, count: usize) -> Result<f64> {
    let mut connection = account.log_in::<Blocking>(LINE_BUFFER_OCTETS).await?;
    let begin = Instant::now();
    for number in 1..=count {
        connection.send(format!("DELE {number}\r\n").as_bytes()).await?;
        connection.ok().await?;
    }
    connection.send(b"QUIT\r\n").await?;
    connection.ok().await?;
    let seconds = begin.elapsed().as_secs_f64();
    connection.closed().await?;
    Ok(seconds)
}

/// Fetches the messages in order, with up to `ahead` commands in flight.
pub(crate) async fn fetch(account: &Account, ahead: usize, limit: Option<usize>) -> Result<Fetched> {
    let terminator = Finder::new(b"\r\n.\r\n");
    let mut connection = account.log_in::<Blocking>(MESSAGE_BUFFER_OCTETS).await?;
    let messages = connection.stat().await?.min(limit.unwrap_or(usize::MAX));
    let (mut requested, mut octets, mut commands) = (0, 0, Vec::new());
    let begin = Instant::now();
    for received in 0..messages {
        // Refills the window in one write when half of it is used.
        if requested - received <= ahead / 2 {
            commands.clear();
            while requested < messages && requested - received < ahead {
                requested += 1;
                write!(commands, "RETR {requested}\r\n").expect("writing to a vector succeeds");
            }
            if !commands.is_empty() {
                connection.send(&commands).await?;
            }
        }
        connection.ok().await?;
        octets += connection.body(&terminator).await?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    connection.quit().await?;
    Ok(Fetched { seconds, messages, octets })
}
