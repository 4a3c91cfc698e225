//! One session with a large maildrop.

use std::io::Write;
use std::time::Instant;

use memchr::memmem::Finder;

use crate::Account;
use crate::session::LINES_OCTETS;
use crate::wire::{Blocking, Result};

/// Several messages of the usual size in one read.
const MESSAGES_OCTETS: usize = 256 << 10;

#[derive(Debug, PartialEq)]
pub(crate) struct Fetched {
    pub(crate) seconds: f64,
    pub(crate) messages: usize,
    pub(crate) octets: u64,
}

/// Seconds from the connection to the answer to STAT, and the number of messages.
pub(crate) async fn open(account: &Account) -> Result<(f64, usize)> {
    let begin = Instant::now();
    let mut wire = account.sign_in::<Blocking>(LINES_OCTETS).await?;
    let messages = wire.stat().await?;
    let seconds = begin.elapsed().as_secs_f64();
    wire.quit().await?;
    Ok((seconds, messages))
}

/// Seconds from the first DELE to the answer to QUIT: until the messages are gone.
pub(crate) async fn remove(account: &Account, count: usize) -> Result<f64> {
    let mut wire = account.sign_in::<Blocking>(LINES_OCTETS).await?;
    let begin = Instant::now();
    for number in 1..=count {
        wire.send(format!("DELE {number}\r\n").as_bytes()).await?;
        wire.ok().await?;
    }
    wire.send(b"QUIT\r\n").await?;
    wire.ok().await?;
    let seconds = begin.elapsed().as_secs_f64();
    wire.closed().await?;
    Ok(seconds)
}

/// Fetches the messages in order, with up to `ahead` commands on their way.
pub(crate) async fn fetch(account: &Account, ahead: usize, limit: Option<usize>) -> Result<Fetched> {
    let terminator = Finder::new(b"\r\n.\r\n");
    let mut wire = account.sign_in::<Blocking>(MESSAGES_OCTETS).await?;
    let messages = wire.stat().await?.min(limit.unwrap_or(usize::MAX));
    let (mut asked, mut octets, mut commands) = (0, 0, Vec::new());
    let begin = Instant::now();
    for taken in 0..messages {
        // Half of the window is asked for again when half of it has come, in one write.
        if asked - taken <= ahead / 2 {
            commands.clear();
            while asked < messages && asked - taken < ahead {
                asked += 1;
                write!(commands, "RETR {asked}\r\n").expect("a vector takes everything");
            }
            if !commands.is_empty() {
                wire.send(&commands).await?;
            }
        }
        wire.ok().await?;
        octets += wire.body(&terminator).await?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    wire.quit().await?;
    Ok(Fetched { seconds, messages, octets })
}
