//! Control frames and disconnects while large amounts of data are sent to the browser.

mod support;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use support::{Random, closed, connected, pause_clock, read_to_end, send, with_timeout};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

/// Size of the largest frame that the bridge sends.
const FRAME_BYTES_MAX: usize = 64 << 10;
/// A sender without progress for this time is blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(5);

/// Sends until all buffers up to the browser are full; returns what was sent.
async fn fill(upstream: &mut TcpStream) -> Vec<u8> {
    let data = Random(11).bytes(1_000_003).repeat(64);
    let mut sent = 0;
    while let Ok(written) = timeout(BLOCKED_AFTER, upstream.write(&data[sent..])).await {
        sent += written.expect("the connection is open");
        assert!(sent < data.len(), "the sender is not blocked");
    }
    data[..sent].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_is_answered_between_data_frames() {
    let (_running, socket, mut upstream) = connected().await;
    let data = Random(7).bytes(32 << 20);
    let copy = data.clone();
    let sender = tokio::spawn(async move {
        upstream.write_all(&copy).await.expect("the bridge reads");
        upstream
    });
    let (mut sink, mut stream) = socket.split();
    let (mut received, mut pongs) = (Vec::new(), 0);
    while received.len() < data.len() || pongs == 0 {
        match with_timeout(stream.next()).await.expect("not closed").expect("whole frames") {
            Message::Binary(payload) => {
                received.extend(payload);
                with_timeout(sink.send(Message::Ping(b"here".as_slice().into())))
                    .await
                    .expect("the bridge reads");
            }
            Message::Pong(payload) => {
                assert_eq!(&payload[..], b"here");
                pongs += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(received == data, "the data differs");
    drop(with_timeout(sender).await.expect("no panic"));
}

#[tokio::test]
async fn close_is_sent_after_the_pending_data_frame() {
    let (_running, mut socket, mut upstream) = connected().await;
    let sent = fill(&mut upstream).await;
    // The bridge disconnects a slow browser after a timeout.
    let _clock = pause_clock();
    socket.send(Message::text("text")).await.expect("sent");
    let (received, code, reason) = closed(&mut socket).await;
    assert_eq!(code, 1003, "{reason}");
    assert!(received.len() > FRAME_BYTES_MAX && sent.starts_with(&received), "{} bytes", received.len());
}

#[tokio::test]
async fn browser_that_disconnects_in_mid_frame_ends_the_target_stream_at_once() {
    let (_running, mut socket, mut upstream) = connected().await;
    fill(&mut upstream).await;
    let _clock = pause_clock();
    let start = Instant::now();
    send(&mut socket, &b"QUIT\r\n"[..]).await;
    drop(socket);
    assert_eq!(read_to_end(&mut upstream).await, b"QUIT\r\n");
    assert_eq!(start.elapsed(), Duration::ZERO, "the bridge waited for a disconnected browser");
}
