//! Many short concurrent sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Account;
use crate::connection::Result;
use crate::login::LINE_BUFFER_OCTETS;

/// Seconds for all sessions. With more accounts than `concurrency`, no account has two sessions at the same time.
pub(crate) async fn run(
    account: &Account,
    sessions: usize,
    accounts: usize,
    concurrency: usize,
) -> Result<f64> {
    let accounts: Arc<[Account]> = (1..=accounts).map(|number| account.numbered(number)).collect();
    let started = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let mut workers: JoinSet<Result<()>> = JoinSet::new();
    for _ in 0..concurrency {
        let (accounts, started) = (Arc::clone(&accounts), Arc::clone(&started));
        workers.spawn(async move {
            loop {
                let index = started.fetch_add(1, Ordering::Relaxed);
                if index >= sessions {
                    return Ok(());
                }
                let mut connection =
                    accounts[index % accounts.len()].log_in::<TcpStream>(LINE_BUFFER_OCTETS).await?;
                connection.stat().await?;
                connection.quit().await?;
            }
        });
    }
    while let Some(outcome) = workers.join_next().await {
        outcome.expect("a worker does not panic and is not aborted")?;
    }
    Ok(begin.elapsed().as_secs_f64())
}
