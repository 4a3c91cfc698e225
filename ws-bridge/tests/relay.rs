//! The relay: all bytes arrive in order in both directions, up to the end of each stream.

mod support;

use config::Target;
use futures::{SinkExt, StreamExt};
use mail_core::proxy::{FIXED_HEADER_OCTETS, Header, payload_octets};
use sha2::{Digest, Sha256};
use support::{
    Random, Running, close_code, closed, connected, echo, listen, pause_clock, read_to_end, receive, send,
    with_timeout,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn echoed_bytes_arrive_unchanged_whatever_the_frame_sizes() {
    let running = Running::start(echo().await);
    for seed in 1..=8 {
        let mut random = Random(seed);
        let sent = random.bytes(1 << 20);
        let (mut sink, mut stream) = running.connect().await.split();
        let pieces = sent.clone();
        let sender = tokio::spawn(async move {
            let mut rest = &pieces[..];
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(random.length(100_000).min(rest.len()));
                with_timeout(sink.send(Message::Binary(piece.to_vec().into())))
                    .await
                    .expect("the bridge reads");
                if random.next().is_multiple_of(16) {
                    with_timeout(sink.send(Message::Binary(Vec::new().into())))
                        .await
                        .expect("the bridge reads");
                    with_timeout(sink.send(Message::Ping(b"here".as_slice().into())))
                        .await
                        .expect("the bridge reads");
                }
                rest = more;
            }
            sink
        });
        let mut received = Vec::new();
        while received.len() < sent.len() {
            match with_timeout(stream.next()).await.expect("not closed").expect("no error") {
                Message::Binary(data) => received.extend(data),
                Message::Pong(payload) => assert_eq!(&payload[..], b"here"),
                other => panic!("{other:?}"),
            }
        }
        assert!(received == sent, "seed {seed}: the bytes differ");
        drop(with_timeout(sender).await.expect("no panic"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn echoed_gigabyte_keeps_its_hash() {
    const BLOCKS: u64 = 8 << 10;
    let running = Running::start(echo().await);
    let (mut sink, mut stream) = running.connect().await.split();
    let sender = tokio::spawn(async move {
        let (mut random, mut hash) = (Random(42), Sha256::new());
        let mut block = random.bytes(128 << 10);
        for index in 0..BLOCKS {
            block[..8].copy_from_slice(&u64::to_le_bytes(index));
            hash.update(&block);
            with_timeout(sink.send(Message::Binary(block.clone().into()))).await.expect("the bridge reads");
        }
        (sink, hash.finalize())
    });
    let (mut length, mut hash) = (0, Sha256::new());
    while length < BLOCKS * (128 << 10) {
        if let Message::Binary(data) =
            with_timeout(stream.next()).await.expect("not closed").expect("no error")
        {
            length += data.len() as u64;
            hash.update(&data);
        }
    }
    let (_sink, sent) = with_timeout(sender).await.expect("no panic");
    assert_eq!(hash.finalize(), sent);
}

#[tokio::test]
async fn last_data_of_the_target_precedes_the_close() {
    let (_running, mut socket, mut upstream) = connected().await;
    let data = Random(3).bytes(300_000);
    let copy = data.clone();
    let sender = tokio::spawn(async move {
        upstream.write_all(&copy).await.expect("the bridge reads");
        upstream.shutdown().await.expect("shut down");
        upstream
    });
    let (received, code, reason) = closed(&mut socket).await;
    assert!(received == data, "{} of {} bytes", received.len(), data.len());
    assert_eq!(code, 1000, "{reason}");
    assert_eq!(read_to_end(&mut with_timeout(sender).await.expect("no panic")).await, b"");
}

#[tokio::test]
async fn data_sent_before_the_browser_answers_the_close_reaches_the_target() {
    let (_running, mut socket, mut upstream) = connected().await;
    // No timeout ends the close handshake.
    let _clock = pause_clock();
    upstream.shutdown().await.expect("shut down");
    // The client has not read the Close yet.
    send(&mut socket, &b"DELE 1\r\n"[..]).await;
    send(&mut socket, &b"QUIT\r\n"[..]).await;
    assert_eq!(close_code(&mut socket).await, 1000);
    assert_eq!(read_to_end(&mut upstream).await, b"DELE 1\r\nQUIT\r\n");
}

#[tokio::test]
async fn data_sent_before_a_close_reaches_the_target() {
    let (_running, mut socket, mut upstream) = connected().await;
    let data = Random(5).bytes(3 << 20);
    let reader = tokio::spawn(async move { read_to_end(&mut upstream).await });
    for piece in data.chunks(100_000) {
        send(&mut socket, piece.to_vec()).await;
    }
    socket.close(None).await.expect("sent");
    assert!(with_timeout(reader).await.expect("an orderly end") == data);
    while with_timeout(socket.next()).await.is_some_and(|message| message.is_ok()) {}
}

#[tokio::test]
async fn browser_that_disconnects_in_mid_frame_ends_the_target_stream() {
    let (_running, mut socket, mut upstream) = connected().await;
    // Unread data on the browser's side must not turn the end of the stream into a reset.
    upstream.write_all(&[b'x'; 1_000]).await.expect("the bridge reads");
    send(&mut socket, &b"DATA\r\nSubject: half a mes"[..]).await;
    let mut received = [0; 25];
    with_timeout(upstream.read_exact(&mut received)).await.expect("the first part arrives");
    // The header of a frame of 200 bytes, and two of them.
    socket.get_mut().write_all(b"\x82\xfe\x00\xc8\0\0\0\0sa").await.expect("sent");
    drop(socket);
    assert_eq!(read_to_end(&mut upstream).await, b"");
}

#[tokio::test]
async fn target_that_closed_its_read_side_may_still_send() {
    let (_running, mut socket, upstream) = connected().await;
    let mut upstream = upstream.into_std().expect("a socket");
    upstream.set_nonblocking(false).expect("set");
    upstream.shutdown(std::net::Shutdown::Read).expect("shut down");
    for _ in 0..10 {
        send(&mut socket, vec![b'x'; 10_000]).await;
    }
    std::io::Write::write_all(&mut upstream, b"421 too many errors\r\n").expect("the bridge reads");
    assert_eq!(receive(&mut socket, 21).await, b"421 too many errors\r\n");
    drop(upstream);
    assert!([1000, 1011].contains(&close_code(&mut socket).await));
}

#[tokio::test]
async fn shutdown_closes_idle_connections_with_1001() {
    let (running, mut socket, mut upstream) = connected().await;
    running.shutdown.send_replace(true);
    assert_eq!(close_code(&mut socket).await, 1001);
    assert_eq!(read_to_end(&mut upstream).await, b"");
    drop(upstream);
    with_timeout(running.served).await.expect("the bridge stops");
    assert!(tokio::net::TcpStream::connect(running.address).await.is_err(), "the bridge still listens");
}

#[tokio::test]
async fn shutdown_lets_active_connections_finish() {
    let (running, mut socket, mut upstream) = connected().await;
    // No timeout closes the connection as idle.
    let _clock = pause_clock();
    running.shutdown.send_replace(true);
    // Wait until the bridge has seen the shutdown and stopped listening.
    with_timeout(async { while tokio::net::TcpStream::connect(running.address).await.is_ok() {} }).await;
    send(&mut socket, &b"the rest\r\n.\r\n"[..]).await;
    let mut received = [0; 13];
    with_timeout(upstream.read_exact(&mut received)).await.expect("the data arrives");
    upstream.write_all(b"250 OK\r\n").await.expect("the bridge reads");
    drop(upstream);
    let (received, code, _) = closed(&mut socket).await;
    assert_eq!((&received[..], code), (&b"250 OK\r\n"[..], 1000));
    with_timeout(running.served).await.expect("the bridge stops");
}

#[tokio::test]
async fn proxy_header_names_the_browser() {
    let (listener, address) = listen().await;
    let running = Running::with(Target { address, proxy: true }, |_| {});
    let mut socket = running.connect().await;
    send(&mut socket, &b"EHLO"[..]).await;
    let (mut upstream, _) = with_timeout(listener.accept()).await.expect("the bridge connects");
    let mut fixed = [0; FIXED_HEADER_OCTETS];
    with_timeout(upstream.read_exact(&mut fixed)).await.expect("a PROXY header");
    let mut rest = vec![0; payload_octets(&fixed).expect("a header")];
    with_timeout(upstream.read_exact(&mut rest)).await.expect("a complete header");
    let source = socket.get_ref().local_addr().expect("connected");
    let expected = Header::Proxied { source, destination: running.address, secure: false };
    assert_eq!(Header::decode(&fixed, &rest), Ok(expected));
    let mut received = [0; 4];
    with_timeout(upstream.read_exact(&mut received)).await.expect("data follows the header");
    assert_eq!(&received, b"EHLO");
}
