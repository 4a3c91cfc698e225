//! Large amounts, which go to the browser around the WebSocket's own buffers: nothing gets between their octets.

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use support::{Noise, closed, connected, read_to_end, send, soon, stop_the_clock};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

/// More than what is copied in one piece.
const LARGE: usize = 64 << 10;
/// A sender that gets nothing through for so long is held back.
const STUCK: Duration = Duration::from_secs(5);

/// Sends until the browser's end of the connection is full; gives what was sent.
async fn fill(upstream: &mut TcpStream) -> Vec<u8> {
    let noise = Noise(11).octets(1_000_003).repeat(64);
    let mut sent = 0;
    while let Ok(written) = timeout(STUCK, upstream.write(&noise[sent..])).await {
        sent += written.expect("the bridge lives");
        assert!(sent < noise.len(), "nobody reads, and yet it takes all");
    }
    noise[..sent].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_between_large_frames() {
    let (_running, socket, mut upstream) = connected().await;
    let words = Noise(7).octets(32 << 20);
    let said = words.clone();
    let speaker = tokio::spawn(async move {
        upstream.write_all(&said).await.expect("the bridge reads");
        upstream
    });
    let (mut sink, mut stream) = socket.split();
    let (mut received, mut pongs, mut largest) = (Vec::new(), 0, 0);
    while received.len() < words.len() || pongs == 0 {
        match soon(stream.next()).await.expect("not closed").expect("whole frames") {
            Message::Binary(octets) => {
                largest = largest.max(octets.len());
                received.extend(octets);
                soon(sink.send(Message::Ping(b"here".as_slice().into()))).await.expect("the bridge reads");
            }
            Message::Pong(word) => {
                assert_eq!(&word[..], b"here");
                pongs += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(received == words, "the octets differ");
    assert!(largest > LARGE, "the largest frame had {largest} octets: all were copied");
    drop(soon(speaker).await.expect("no panic"));
}

#[tokio::test]
async fn a_close_waits_for_the_end_of_a_large_frame() {
    let (_running, mut socket, mut upstream) = connected().await;
    let sent = fill(&mut upstream).await;
    // It does not wait for ever.
    let _clock = stop_the_clock();
    socket.send(Message::text("text")).await.expect("sent");
    let (received, code, reason) = closed(&mut socket).await;
    assert_eq!(code, 1003, "{reason}");
    assert!(received.len() > LARGE && sent.starts_with(&received), "{} octets", received.len());
}

#[tokio::test]
async fn a_tab_that_is_closed_within_a_large_frame_ends_the_target_s_stream_at_once() {
    let (_running, mut socket, mut upstream) = connected().await;
    fill(&mut upstream).await;
    let _clock = stop_the_clock();
    let start = Instant::now();
    send(&mut socket, &b"QUIT\r\n"[..]).await;
    drop(socket);
    assert_eq!(read_to_end(&mut upstream).await, b"QUIT\r\n");
    assert_eq!(start.elapsed(), Duration::ZERO, "a browser that is gone is waited for");
}
