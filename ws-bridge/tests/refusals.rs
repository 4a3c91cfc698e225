//! What the bridge refuses, before the upgrade and after it, and what a page learns when a target fails.

mod support;

use std::time::Duration;

use bytes::Bytes;
use config::Target;
use futures_util::{SinkExt, StreamExt};
use support::{
    Port, Running, close_code, closed, connected, echo, listen, read_to_end, receive, send, soon,
    stop_the_clock,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, interval};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const GOOD: &str = "GET /ws/target HTTP/1.1\r\nHost: ADDRESS\r\nOrigin: http://ADDRESS\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

#[tokio::test]
async fn a_request_that_may_not_pass_is_refused_before_the_upgrade() {
    let running = Running::start(echo().await);
    for (from, to, status) in [
        ("Origin: http://ADDRESS\r\n", "Origin: http://evil.example\r\n", 403),
        ("Origin: http://ADDRESS\r\n", "Origin: null\r\n", 403),
        ("Origin: http://ADDRESS\r\n", "", 403),
        ("Host: ADDRESS", "Host: evil.example", 403),
        ("Host: ADDRESS\r\n", "", 403),
        ("/ws/target", "/ws/127.0.0.1:25", 404),
        ("/ws/target", "/ws/target/more", 404),
        ("/ws/target", "/ws/", 404),
        ("GET", "POST", 405),
        ("Upgrade: websocket\r\n", "", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 400),
        ("\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", 400),
    ] {
        assert!(GOOD.contains(from));
        let answer = running.request(&GOOD.replacen(from, to, 1)).await;
        assert_eq!(answer.status(), status, "{from} -> {to}: {} {}", answer.head, answer.text());
    }
}

#[tokio::test]
async fn an_origin_that_is_listed_may_connect() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.origins.push("http://127.0.0.1:8081".to_owned()));
    let head = GOOD.replace("Origin: http://ADDRESS", "Origin: http://127.0.0.1:8081");
    assert_eq!(running.status(&format!("{head}\r\nConnection: Upgrade")).await, 101);
}

#[tokio::test]
async fn more_connections_than_the_limit_get_503_until_one_ends() {
    let target = Target { address: echo().await, proxy: false };
    for adjust in [
        |web: &mut config::Web| web.limits.connections = 2,
        |web: &mut config::Web| web.limits.connections_per_address = 2,
    ] {
        let running = Running::with(target.clone(), adjust);
        let mut one = running.connect().await;
        let _two = running.connect().await;
        let head = format!("{GOOD}\r\nConnection: Upgrade");
        assert_eq!(running.status(&head).await, 503);
        one.close(None).await.expect("sent");
        while soon(one.next()).await.is_some() {}
        // The place is free a moment after the connection's end.
        soon(async { while running.status(&head).await == 503 {} }).await;
    }
}

#[tokio::test]
async fn a_text_frame_closes_with_1003_and_ends_the_target_s_stream() {
    let (_running, mut socket, mut upstream) = connected().await;
    send(&mut socket, &b"before"[..]).await;
    socket.send(Message::text("text")).await.expect("sent");
    assert_eq!(close_code(&mut socket).await, 1003);
    assert_eq!(read_to_end(&mut upstream).await, b"before");
}

#[tokio::test]
async fn a_message_over_the_limit_closes_with_1013() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.limits.frame_size = "1000".parse().expect("a size"));
    let mut socket = running.connect().await;
    send(&mut socket, vec![7; 1_000]).await;
    assert_eq!(receive(&mut socket, 1_000).await, vec![7; 1_000]);
    socket.send(Message::Binary(vec![7; 1_001].into())).await.expect("sent");
    let (_, code, reason) = closed(&mut socket).await;
    assert_eq!((code, reason.contains("1000")), (1013, true), "{reason}");

    let mut socket = running.connect().await;
    for (kind, is_final) in [(Data::Binary, false), (Data::Continue, true)] {
        let frame = Frame::message(vec![7; 600], OpCode::Data(kind), is_final);
        socket.send(Message::Frame(frame)).await.expect("sent");
    }
    assert_eq!(close_code(&mut socket).await, 1013);
}

#[tokio::test]
async fn a_frame_far_over_the_limit_does_not_bury_the_close() {
    let running = Running::start(echo().await);
    let (mut sink, mut stream) = running.connect().await.split();
    // The bridge takes no more of it than it must; whether it all goes out is not the question.
    let sender = tokio::spawn(async move {
        let _ = sink.send(Message::Binary(vec![7; 16 << 20].into())).await;
    });
    let Message::Close(Some(frame)) = soon(stream.next()).await.expect("an answer").expect("no reset") else {
        panic!("no Close")
    };
    assert_eq!(u16::from(frame.code), 1013);
    soon(sender).await.expect("no panic");
}

#[tokio::test]
async fn an_unmasked_frame_closes_with_1002() {
    let (_running, mut socket, mut upstream) = connected().await;
    // RFC 6455 section 5.1: a server closes the connection upon it.
    socket.get_mut().write_all(b"\x82\x01x").await.expect("sent");
    assert_eq!(close_code(&mut socket).await, 1002);
    assert_eq!(read_to_end(&mut upstream).await, b"");
}

#[tokio::test]
async fn a_target_that_refuses_closes_with_1011() {
    let nobody = Port::hold();
    let running = Running::start(nobody.address());
    let mut socket = running.connect().await;
    let (octets, code, reason) = closed(&mut socket).await;
    assert_eq!((octets.len(), code), (0, 1011));
    assert!(reason.contains("cannot be reached"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_before_it_accepts_closes_with_1011() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    // One connection may wait to be accepted, and does: the system leaves the next one without an answer.
    let listener = socket.listen(0).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let _waiting = TcpStream::connect(address).await.expect("room for one");
    let running = Running::start(address);
    let mut socket = running.connect().await;
    let start = Instant::now();
    let (_, code, reason) = closed(&mut socket).await;
    assert_eq!(code, 1011);
    assert!(reason.contains("does not answer"), "{reason}");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn frames_that_carry_nothing_close_with_1008_when_there_are_too_many() {
    const MANY: usize = 10_000;
    for nothing in [Message::Ping(Bytes::new()), Message::Pong(Bytes::new()), Message::Binary(Bytes::new())] {
        let (_running, mut socket, mut upstream) = connected().await;
        for _ in 0..2 {
            for _ in 0..MANY {
                soon(socket.feed(nothing.clone())).await.expect("the bridge reads");
            }
            // Something in between makes them good.
            send(&mut socket, &b"NOOP\r\n"[..]).await;
        }
        let mut word = [0; 12];
        soon(upstream.read_exact(&mut word)).await.expect("it arrives");
        for _ in 0..=MANY {
            soon(socket.feed(nothing.clone())).await.expect("the bridge reads");
        }
        soon(socket.flush()).await.expect("the bridge reads");
        let (_, code, reason) = closed(&mut socket).await;
        assert_eq!(code, 1008, "{reason}");
    }
}

#[tokio::test]
async fn frames_that_carry_nothing_keep_no_connection_open() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.limits.idle_seconds = 1);
    let (mut sink, mut stream) = running.connect().await.split();
    let beats = async {
        let mut tick = interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            let _ = sink.send(Message::Binary(Bytes::new())).await;
        }
    };
    let last = tokio::select! {
        last = soon(stream.next()) => last,
        () = beats => None,
    };
    let Some(Ok(Message::Close(Some(frame)))) = last else { panic!("{last:?}") };
    assert_eq!(u16::from(frame.code), 1013);
}

#[tokio::test]
async fn a_target_that_dies_in_mid_message_closes_with_1011_behind_what_it_said() {
    let (_running, mut socket, mut upstream) = connected().await;
    upstream.write_all(b"+OK 120 octets\r\nFrom: ").await.expect("the bridge reads");
    assert_eq!(receive(&mut socket, 22).await, b"+OK 120 octets\r\nFrom: ");
    // Without lingering, a close is a reset.
    upstream.set_zero_linger().expect("set");
    drop(upstream);
    assert_eq!(close_code(&mut socket).await, 1011);
}

#[tokio::test]
async fn a_target_that_hangs_closes_with_1013_after_the_idle_time() {
    let (listener, address) = listen().await;
    let target = Target { address, proxy: false };
    let running = Running::with(target, |web| web.limits.idle_seconds = 1);
    // The idle time begins when the target has heard something.
    let clock = stop_the_clock();
    let mut socket = running.connect().await;
    let (mut upstream, _) = soon(listener.accept()).await.expect("the bridge connects");
    send(&mut socket, &b"EHLO iit.edu\r\n"[..]).await;
    let mut hello = [0; 14];
    soon(upstream.read_exact(&mut hello)).await.expect("it arrives");
    assert_eq!(&hello, b"EHLO iit.edu\r\n");
    drop(clock);
    let (_, code, reason) = closed(&mut socket).await;
    assert_eq!(code, 1013);
    assert!(reason.contains("1 second"), "{reason}");
    assert_eq!(read_to_end(&mut upstream).await, b"");
}

#[tokio::test]
async fn silence_is_filled_with_pings() {
    let (listener, address) = listen().await;
    let target = Target { address, proxy: false };
    let running = Running::with(target, |web| web.limits.ping_seconds = 1);
    let mut socket = running.connect().await;
    let _upstream = soon(listener.accept()).await.expect("the bridge connects");
    for _ in 0..2 {
        assert!(matches!(soon(socket.next()).await, Some(Ok(Message::Ping(_)))));
    }
}
