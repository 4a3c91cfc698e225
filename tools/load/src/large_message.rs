//! Sends one message that is too large for smtp-source to send fast enough.

use std::net::SocketAddr;
use std::time::Instant;

use crate::connection::{Blocking, Connection, Result};
use crate::login::LINE_BUFFER_OCTETS;

const LINE: &[u8] = b"The quick brown fox jumps over the lazy dog. The quick brown fox jumps over.\r\n";

/// Seconds from connecting to the reply to the final dot.
pub(crate) async fn send(address: SocketAddr, recipient: &str, octets: usize) -> Result<f64> {
    let mut message = b"From: <sender@peers.test>\r\nSubject: Large\r\n\r\n".to_vec();
    while message.len() < octets {
        message.extend_from_slice(LINE);
    }
    message.extend_from_slice(b".\r\n");
    let recipient = format!("RCPT TO:<{recipient}>\r\n");

    let begin = Instant::now();
    let mut connection = Connection::<Blocking>::connect(address, LINE_BUFFER_OCTETS).await?;
    connection.completion().await?;
    for command in ["EHLO load.peers.test\r\n", "MAIL FROM:<sender@peers.test>\r\n", &recipient] {
        connection.send(command.as_bytes()).await?;
        connection.completion().await?;
    }
    connection.send(b"DATA\r\n").await?;
    connection.intermediate().await?;
    connection.send(&message).await?;
    connection.completion().await?;
    let seconds = begin.elapsed().as_secs_f64();
    connection.send(b"QUIT\r\n").await?;
    connection.completion().await?;
    connection.closed().await?;
    Ok(seconds)
}
