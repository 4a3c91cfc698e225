//! Back-pressure: a slow reader slows the sender down, and the bridge's memory stays bounded.
//!
//! One test only, because it measures the memory of its process.

mod support;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use support::{connected, with_timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// Bytes that the sender tries to send.
const OFFERED_BYTES: usize = 1 << 30;
/// Upper bound of the kernel's socket buffers of both connections.
const SOCKET_BUFFERS_MAX: usize = 64 << 20;
/// Upper bound of the buffers of one connection.
const GROWTH_MAX: usize = 16 << 20;
/// A sender without progress for this time is blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(5);

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this test reads Linux's /proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS is there");
    line.split_whitespace().nth(1).and_then(|word| word.parse::<usize>().ok()).expect("a number of KiB") << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_reader_blocks_the_sender_in_bounded_memory() {
    let (_running, mut socket, mut upstream) = connected().await;
    let block = vec![b'x'; 64 << 10];
    let before = resident_bytes();

    // The target sends, and the browser does not read.
    let mut sent = 0;
    while sent < OFFERED_BYTES {
        match timeout(BLOCKED_AFTER, upstream.write(&block)).await {
            Ok(written) => sent += written.expect("the connection is open"),
            Err(_) => break,
        }
    }
    assert!(sent < SOCKET_BUFFERS_MAX, "{sent} bytes were accepted although the other side does not read");
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_MAX, "the process grew by {growth} bytes");
    // Everything arrives when the browser reads.
    let mut received = 0;
    while received < sent {
        if let Message::Binary(data) =
            with_timeout(socket.next()).await.expect("not closed").expect("no error")
        {
            received += data.len();
        }
    }
    assert_eq!(received, sent);

    // The browser sends, and the target does not read.
    let mut sent = 0;
    while sent < OFFERED_BYTES {
        match timeout(BLOCKED_AFTER, socket.send(Message::Binary(block.clone().into()))).await {
            Ok(result) => result.expect("the connection is open"),
            Err(_) => break,
        }
        sent += block.len();
    }
    assert!(sent < SOCKET_BUFFERS_MAX, "{sent} bytes were accepted although the other side does not read");
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_MAX, "the process grew by {growth} bytes");
    let mut rest = vec![0; 64 << 10];
    let mut received = 0;
    while received < sent {
        received += with_timeout(upstream.read(&mut rest)).await.expect("the connection is open");
    }
}
