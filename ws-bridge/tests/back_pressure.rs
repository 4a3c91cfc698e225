//! A slow side holds back a fast one, and the bridge's memory stays flat meanwhile; a connection at rest gives its pipe back.
//!
//! This file has one test: it measures the memory of its process, and counts its pipes.

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use support::{connected, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// What the sender would send if nobody held it back.
const OFFERED: usize = 1 << 30;
/// What the kernel's socket buffers of both connections may swallow, with room to spare.
const KERNEL_MAX: usize = 64 << 20;
/// How much this process may grow: the buffers of one connection, with room to spare.
const GROWTH_MAX: usize = 16 << 20;
/// A sender that gets nothing through for so long is held back.
const STUCK: Duration = Duration::from_secs(5);

fn resident_octets() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this test reads Linux's /proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS is there");
    line.split_whitespace().nth(1).and_then(|word| word.parse::<usize>().ok()).expect("a number of KiB") << 10
}

fn pipes() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").expect("this test reads Linux's /proc").flatten();
    files
        .filter(|file| {
            std::fs::read_link(file.path())
                .is_ok_and(|name| name.as_os_str().as_encoded_bytes().starts_with(b"pipe:"))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_back_a_fast_sender_in_flat_memory() {
    let (_running, mut socket, mut upstream) = connected().await;
    let block = vec![b'x'; 64 << 10];
    let (before, pipes_before) = (resident_octets(), pipes());

    // The target sends, the browser does not read.
    let mut sent = 0;
    while sent < OFFERED {
        match timeout(STUCK, upstream.write(&block)).await {
            Ok(written) => sent += written.expect("the bridge lives"),
            Err(_) => break,
        }
    }
    assert!(sent < KERNEL_MAX, "{sent} octets went into a connection that nobody reads");
    let growth = resident_octets().saturating_sub(before);
    assert!(growth < GROWTH_MAX, "it grew by {growth} octets");
    // All of it is there when the browser reads.
    let (mut received, mut piped) = (0, false);
    while received < sent {
        if let Message::Binary(octets) = soon(socket.next()).await.expect("not closed").expect("no error") {
            received += octets.len();
        }
        piped |= pipes() > pipes_before;
    }
    assert_eq!(received, sent);
    // What waited behind a full buffer is much.
    assert!(piped, "a large amount goes through a pipe");
    soon(async {
        while pipes() > pipes_before {
            tokio::task::yield_now().await;
        }
    })
    .await;

    // The browser sends, the target does not read.
    let mut sent = 0;
    while sent < OFFERED {
        match timeout(STUCK, socket.send(Message::Binary(block.clone().into()))).await {
            Ok(outcome) => outcome.expect("the bridge lives"),
            Err(_) => break,
        }
        sent += block.len();
    }
    assert!(sent < KERNEL_MAX, "{sent} octets went into a connection that nobody reads");
    let growth = resident_octets().saturating_sub(before);
    assert!(growth < GROWTH_MAX, "it grew by {growth} octets");
    let mut rest = vec![0; 64 << 10];
    let mut received = 0;
    while received < sent {
        received += soon(upstream.read(&mut rest)).await.expect("the bridge lives");
    }
}
