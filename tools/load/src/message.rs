//! One message that is larger than what smtp-source can send fast enough.

use std::net::SocketAddr;
use std::time::Instant;

use crate::session::LINES_OCTETS;
use crate::wire::{Blocking, Result, Wire};

const LINE: &[u8] = b"It is a straight line; no layer of it reaches back up to where it came from.\r\n";

/// Seconds from the connection to the answer to the final dot.
pub(crate) async fn send(address: SocketAddr, recipient: &str, octets: usize) -> Result<f64> {
    let mut message = b"From: <sender@peers.test>\r\nSubject: Large\r\n\r\n".to_vec();
    while message.len() < octets {
        message.extend_from_slice(LINE);
    }
    message.extend_from_slice(b".\r\n");
    let recipient = format!("RCPT TO:<{recipient}>\r\n");

    let begin = Instant::now();
    let mut wire = Wire::<Blocking>::connect(address, LINES_OCTETS).await?;
    wire.completion().await?;
    for command in ["EHLO load.peers.test\r\n", "MAIL FROM:<sender@peers.test>\r\n", &recipient] {
        wire.send(command.as_bytes()).await?;
        wire.completion().await?;
    }
    wire.send(b"DATA\r\n").await?;
    wire.intermediate().await?;
    wire.send(&message).await?;
    wire.completion().await?;
    let seconds = begin.elapsed().as_secs_f64();
    wire.send(b"QUIT\r\n").await?;
    wire.completion().await?;
    wire.closed().await?;
    Ok(seconds)
}
