//! Idle connections.

use std::io::Read;
use std::net::SocketAddr;

use crate::connection::{Blocking, Connection, Result};
use crate::login::LINE_BUFFER_OCTETS;
use crate::{Account, print_line};

/// Holds SMTP connections after EHLO.
pub(crate) async fn smtp(address: SocketAddr, connections: usize) -> Result<String> {
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = Connection::<Blocking>::connect(address, LINE_BUFFER_OCTETS).await?;
        connection.completion().await?;
        connection.send(b"EHLO load.peers.test\r\n").await?;
        connection.completion().await?;
        held.push(connection.into_stream());
    }
    Ok(hold(held))
}

/// Holds POP3 sessions, each logged in to a different account.
pub(crate) async fn pop3(account: &Account, connections: usize) -> Result<String> {
    let mut held = Vec::with_capacity(connections);
    for number in 1..=connections {
        held.push(account.numbered(number).log_in::<Blocking>(LINE_BUFFER_OCTETS).await?.into_stream());
    }
    Ok(hold(held))
}

/// Holds the connections until standard input ends.
fn hold<T>(held: Vec<T>) -> String {
    print_line("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    format!("held {}", held.len())
}
