//! What the bridge carries: every byte, in order, both ways, up to the end.

mod support;

use config::Target;
use futures_util::{SinkExt, StreamExt};
use mail_core::proxy::{FIXED_HEADER_OCTETS, Header, payload_octets};
use sha2::{Digest, Sha256};
use support::{
    Noise, Running, close_code, closed, connected, echo, listen, read_to_end, receive, send, soon,
    stop_the_clock,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_come_back_as_they_were_sent_however_they_are_cut() {
    let running = Running::start(echo().await);
    for seed in 1..=8 {
        let mut noise = Noise(seed);
        let sent = noise.octets(1 << 20);
        let (mut sink, mut stream) = running.connect().await.split();
        let pieces = sent.clone();
        let sender = tokio::spawn(async move {
            let mut rest = &pieces[..];
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(noise.length(100_000).min(rest.len()));
                // A frame may be empty, and a message may come in several.
                soon(sink.send(Message::Binary(piece.to_vec().into()))).await.expect("the bridge reads");
                if noise.next().is_multiple_of(16) {
                    soon(sink.send(Message::Binary(Vec::new().into()))).await.expect("the bridge reads");
                    soon(sink.send(Message::Ping(b"here".as_slice().into())))
                        .await
                        .expect("the bridge reads");
                }
                rest = more;
            }
            sink
        });
        let mut received = Vec::new();
        while received.len() < sent.len() {
            match soon(stream.next()).await.expect("not closed").expect("no error") {
                Message::Binary(more) => received.extend(more),
                Message::Pong(word) => assert_eq!(&word[..], b"here"),
                other => panic!("{other:?}"),
            }
        }
        assert!(received == sent, "seed {seed}: the bytes differ");
        drop(soon(sender).await.expect("all was sent"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_keeps_its_hash() {
    const BLOCKS: u64 = 8 << 10;
    let running = Running::start(echo().await);
    let (mut sink, mut stream) = running.connect().await.split();
    let sender = tokio::spawn(async move {
        let (mut noise, mut hash) = (Noise(42), Sha256::new());
        let mut block = noise.octets(128 << 10);
        for number in 0..BLOCKS {
            block[..8].copy_from_slice(&u64::to_le_bytes(number));
            hash.update(&block);
            soon(sink.send(Message::Binary(block.clone().into()))).await.expect("the bridge reads");
        }
        (sink, hash.finalize())
    });
    let (mut octets, mut hash) = (0, Sha256::new());
    while octets < BLOCKS * (128 << 10) {
        if let Message::Binary(more) = soon(stream.next()).await.expect("not closed").expect("no error") {
            octets += more.len() as u64;
            hash.update(&more);
        }
    }
    let (_sink, sent) = soon(sender).await.expect("all was sent");
    assert_eq!(hash.finalize(), sent);
}

#[tokio::test]
async fn the_target_s_last_words_come_before_the_close() {
    let (_running, mut socket, mut upstream) = connected().await;
    let words = Noise(3).octets(300_000);
    let said = words.clone();
    let speaker = tokio::spawn(async move {
        upstream.write_all(&said).await.expect("the bridge reads");
        upstream.shutdown().await.expect("shut down");
        upstream
    });
    let (received, code, reason) = closed(&mut socket).await;
    assert!(received == words, "{} of {} octets", received.len(), words.len());
    assert_eq!(code, 1000, "{reason}");
    assert_eq!(read_to_end(&mut soon(speaker).await.expect("no panic")).await, b"");
}

#[tokio::test]
async fn what_was_sent_before_the_browser_answered_reaches_the_target() {
    let (_running, mut socket, mut upstream) = connected().await;
    // A browser that is slow to answer is given up.
    let _clock = stop_the_clock();
    upstream.shutdown().await.expect("shut down");
    // The Close may be under way, but nobody has read it yet.
    send(&mut socket, &b"DELE 1\r\n"[..]).await;
    send(&mut socket, &b"QUIT\r\n"[..]).await;
    assert_eq!(close_code(&mut socket).await, 1000);
    assert_eq!(read_to_end(&mut upstream).await, b"DELE 1\r\nQUIT\r\n");
}

#[tokio::test]
async fn what_was_sent_before_a_close_reaches_the_target() {
    let (_running, mut socket, mut upstream) = connected().await;
    let words = Noise(5).octets(3 << 20);
    let reader = tokio::spawn(async move { read_to_end(&mut upstream).await });
    for piece in words.chunks(100_000) {
        send(&mut socket, piece.to_vec()).await;
    }
    socket.close(None).await.expect("sent");
    assert!(soon(reader).await.expect("an orderly end") == words);
    while soon(socket.next()).await.is_some_and(|message| message.is_ok()) {}
}

#[tokio::test]
async fn a_tab_that_is_closed_in_mid_send_is_an_end_of_stream() {
    let (_running, mut socket, mut upstream) = connected().await;
    // More is under way to the browser: it must not turn the end into a reset.
    upstream.write_all(&[b'x'; 1_000]).await.expect("the bridge reads");
    send(&mut socket, &b"DATA\r\nSubject: half a mes"[..]).await;
    let mut got = [0; 25];
    soon(upstream.read_exact(&mut got)).await.expect("the first part arrives");
    // The head of a frame of 200 octets, and two of them.
    socket.get_mut().write_all(b"\x82\xfe\x00\xc8\0\0\0\0sa").await.expect("sent");
    drop(socket);
    assert_eq!(read_to_end(&mut upstream).await, b"");
}

#[tokio::test]
async fn a_target_that_takes_no_more_may_still_speak() {
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
async fn a_stop_closes_what_is_quiet_with_1001() {
    let (running, mut socket, mut upstream) = connected().await;
    running.stop.send_replace(true);
    assert_eq!(close_code(&mut socket).await, 1001);
    assert_eq!(read_to_end(&mut upstream).await, b"");
    drop(upstream);
    soon(running.served).await.expect("it stops");
    assert!(tokio::net::TcpStream::connect(running.address).await.is_err(), "it listens no more");
}

#[tokio::test]
async fn a_stop_lets_a_message_on_its_way_pass() {
    let (running, mut socket, mut upstream) = connected().await;
    // A connection that is quiet is closed.
    let _clock = stop_the_clock();
    running.stop.send_replace(true);
    // The bridge has stopped listening: it knows.
    soon(async { while tokio::net::TcpStream::connect(running.address).await.is_ok() {} }).await;
    send(&mut socket, &b"the rest\r\n.\r\n"[..]).await;
    let mut got = [0; 13];
    soon(upstream.read_exact(&mut got)).await.expect("it arrives");
    upstream.write_all(b"250 OK\r\n").await.expect("the bridge reads");
    drop(upstream);
    let (received, code, _) = closed(&mut socket).await;
    assert_eq!((&received[..], code), (&b"250 OK\r\n"[..], 1000));
    soon(running.served).await.expect("it stops");
}

#[tokio::test]
async fn the_target_learns_whose_connection_it_is() {
    let (listener, address) = listen().await;
    let running = Running::with(Target { address, proxy: true }, |_| {});
    let mut socket = running.connect().await;
    send(&mut socket, &b"EHLO"[..]).await;
    let (mut upstream, _) = soon(listener.accept()).await.expect("the bridge connects");
    let mut fixed = [0; FIXED_HEADER_OCTETS];
    soon(upstream.read_exact(&mut fixed)).await.expect("a header comes first");
    let mut rest = vec![0; payload_octets(&fixed).expect("a header")];
    soon(upstream.read_exact(&mut rest)).await.expect("the header is whole");
    let source = socket.get_ref().local_addr().expect("connected");
    let expected = Header::Proxied { source, destination: running.address, secure: false };
    assert_eq!(Header::decode(&fixed, &rest), Ok(expected));
    let mut word = [0; 4];
    soon(upstream.read_exact(&mut word)).await.expect("the bytes follow");
    assert_eq!(&word, b"EHLO");
}
