//! Many short sessions, several at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Account;
use crate::session::LINES_OCTETS;
use crate::wire::Result;

/// The seconds that all of them took. No account has two sessions at a time as long as there are more than `at_a_time`.
pub(crate) async fn run(
    account: &Account,
    sessions: usize,
    accounts: usize,
    at_a_time: usize,
) -> Result<f64> {
    let accounts: Arc<[Account]> = (1..=accounts).map(|number| account.numbered(number)).collect();
    let begun = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let mut workers: JoinSet<Result<()>> = JoinSet::new();
    for _ in 0..at_a_time {
        let (accounts, begun) = (Arc::clone(&accounts), Arc::clone(&begun));
        workers.spawn(async move {
            loop {
                let turn = begun.fetch_add(1, Ordering::Relaxed);
                if turn >= sessions {
                    return Ok(());
                }
                let mut wire = accounts[turn % accounts.len()].sign_in::<TcpStream>(LINES_OCTETS).await?;
                wire.stat().await?;
                wire.quit().await?;
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("a worker does not panic and is not aborted")?;
    }
    Ok(begin.elapsed().as_secs_f64())
}
