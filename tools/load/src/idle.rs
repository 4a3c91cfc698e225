//! Connections that are opened and then left alone.

use std::io::Read;
use std::net::SocketAddr;

use crate::session::LINES_OCTETS;
use crate::wire::{Blocking, Result, Wire};
use crate::{Account, say};

/// After EHLO.
pub(crate) async fn smtp(address: SocketAddr, connections: usize) -> Result<String> {
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut wire = Wire::<Blocking>::connect(address, LINES_OCTETS).await?;
        wire.completion().await?;
        wire.send(b"EHLO load.peers.test\r\n").await?;
        wire.completion().await?;
        held.push(wire.into_stream());
    }
    Ok(hold(held))
}

/// Signed in, each to an account of its own.
pub(crate) async fn pop3(account: &Account, connections: usize) -> Result<String> {
    let mut held = Vec::with_capacity(connections);
    for number in 1..=connections {
        held.push(account.numbered(number).sign_in::<Blocking>(LINES_OCTETS).await?.into_stream());
    }
    Ok(hold(held))
}

/// Until standard input ends.
fn hold<T>(held: Vec<T>) -> String {
    say("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    format!("held {}", held.len())
}
