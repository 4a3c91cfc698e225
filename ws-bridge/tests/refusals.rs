//! Refused requests, rejected frames, limits, and failures of a target.

mod support;

use std::time::Duration;

use bytes::Bytes;
use config::Target;
use futures::{SinkExt, StreamExt};
use support::{
    ReservedPort, Running, close_code, closed, connected, echo, listen, pause_clock, read_to_end, receive,
    send, with_timeout,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, interval};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const VALID: &str = "GET /ws/target HTTP/1.1\r\nHost: ADDRESS\r\nOrigin: http://ADDRESS\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

#[tokio::test]
async fn invalid_request_is_refused_before_the_upgrade() {
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
        ("GET", "PUT", 405),
        ("Upgrade: websocket\r\n", "", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 400),
        ("\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", 400),
    ] {
        assert!(VALID.contains(from));
        let response = running.request(&VALID.replacen(from, to, 1)).await;
        assert_eq!(response.status(), status, "{from} -> {to}: {} {}", response.head, response.text());
    }
}

#[tokio::test]
async fn configured_origin_is_upgraded() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.origins.push("http://127.0.0.1:8081".to_owned()));
    let head = VALID.replace("Origin: http://ADDRESS", "Origin: http://127.0.0.1:8081");
    assert_eq!(running.status(&format!("{head}\r\nConnection: Upgrade")).await, 101);
}

#[tokio::test]
async fn upgrade_over_the_limit_gets_503_until_a_connection_closes() {
    let target = Target { address: echo().await, proxy: false };
    for configure in [
        |web: &mut config::Web| web.limits.connections = 2,
        |web: &mut config::Web| web.limits.connections_per_address = 2,
    ] {
        let running = Running::with(target.clone(), configure);
        let mut one = running.connect().await;
        let _two = running.connect().await;
        let head = format!("{VALID}\r\nConnection: Upgrade");
        assert_eq!(running.status(&head).await, 503);
        one.close(None).await.expect("sent");
        while with_timeout(one.next()).await.is_some() {}
        // The permit is released shortly after the connection closes.
        with_timeout(async { while running.status(&head).await == 503 {} }).await;
    }
}

/// A browser hides the response to a failed upgrade from the page, which then sends this.
#[tokio::test]
async fn post_is_answered_with_the_reason_of_a_refused_upgrade() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.limits.connections_per_address = 1);
    let post = "POST /ws/target HTTP/1.1\r\nHost: ADDRESS\r\nOrigin: http://ADDRESS\r\nContent-Length: 0";
    assert_eq!(running.status(post).await, 204);
    for (from, to, status, reason) in [
        (
            "Origin: http://ADDRESS",
            "Origin: http://evil.example",
            403,
            "origin `http://evil.example` is not allowed",
        ),
        ("Host: ADDRESS", "Host: evil.example", 403, "unknown host `evil.example`"),
        ("/ws/target", "/ws/other", 404, "unknown target `other`"),
    ] {
        let response = running.request(&post.replacen(from, to, 1)).await;
        assert_eq!(response.status(), status, "{from} -> {to}");
        assert!(response.text().starts_with(reason), "{}", response.text());
    }
    let long = "x".repeat(2_000);
    let response = running.request(&post.replacen("/ws/target", &format!("/ws/{long}"), 1)).await;
    assert_eq!(response.text(), format!("unknown target `{}\u{2026}`\n", &long[..256]));
    let _only = running.connect().await;
    let response = running.request(post).await;
    assert_eq!((response.status(), response.text().trim()), (503, "too many connections; try again later"));
}

#[tokio::test]
async fn text_frame_closes_with_1003_and_ends_the_target_stream() {
    let (_running, mut socket, mut upstream) = connected().await;
    send(&mut socket, &b"before"[..]).await;
    socket.send(Message::text("text")).await.expect("sent");
    assert_eq!(close_code(&mut socket).await, 1003);
    assert_eq!(read_to_end(&mut upstream).await, b"before");
}

#[tokio::test]
async fn message_over_the_limit_closes_with_1013() {
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
async fn close_arrives_although_the_browser_keeps_sending_a_huge_frame() {
    let running = Running::start(echo().await);
    let (mut sink, mut stream) = running.connect().await.split();
    // The bridge discards the frame; sending it may fail.
    let sender = tokio::spawn(async move {
        let _ = sink.send(Message::Binary(vec![7; 16 << 20].into())).await;
    });
    let Message::Close(Some(frame)) = with_timeout(stream.next()).await.expect("a Close").expect("no reset")
    else {
        panic!("no Close")
    };
    assert_eq!(u16::from(frame.code), 1013);
    with_timeout(sender).await.expect("no panic");
}

#[tokio::test]
async fn unmasked_frame_closes_with_1002() {
    let (_running, mut socket, mut upstream) = connected().await;
    // RFC 6455 section 5.1.
    socket.get_mut().write_all(b"\x82\x01x").await.expect("sent");
    assert_eq!(close_code(&mut socket).await, 1002);
    assert_eq!(read_to_end(&mut upstream).await, b"");
}

#[tokio::test]
async fn refused_connection_to_the_target_closes_with_1011() {
    let unused = ReservedPort::new();
    let running = Running::start(unused.address());
    let mut socket = running.connect().await;
    let (data, code, reason) = closed(&mut socket).await;
    assert_eq!((data.len(), code), (0, 1011));
    assert!(reason.contains("cannot be reached"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn connection_timeout_of_the_target_closes_with_1011() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    // The accept queue holds one connection; the system does not answer the next one.
    let listener = socket.listen(0).expect("the socket listens");
    let address = listener.local_addr().expect("the socket is bound");
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
async fn too_many_empty_frames_close_with_1008() {
    const EMPTY_FRAMES_MAX: usize = 10_000;
    for empty in [Message::Ping(Bytes::new()), Message::Pong(Bytes::new()), Message::Binary(Bytes::new())] {
        let (_running, mut socket, mut upstream) = connected().await;
        for _ in 0..2 {
            for _ in 0..EMPTY_FRAMES_MAX {
                with_timeout(socket.feed(empty.clone())).await.expect("the bridge reads");
            }
            // Data resets the count.
            send(&mut socket, &b"NOOP\r\n"[..]).await;
        }
        let mut received = [0; 12];
        with_timeout(upstream.read_exact(&mut received)).await.expect("the data arrives");
        for _ in 0..=EMPTY_FRAMES_MAX {
            with_timeout(socket.feed(empty.clone())).await.expect("the bridge reads");
        }
        with_timeout(socket.flush()).await.expect("the bridge reads");
        let (_, code, reason) = closed(&mut socket).await;
        assert_eq!(code, 1008, "{reason}");
    }
}

#[tokio::test]
async fn empty_frames_do_not_prevent_the_idle_timeout() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.limits.idle_seconds = 1);
    let (mut sink, mut stream) = running.connect().await.split();
    let empty_frames = async {
        let mut tick = interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            let _ = sink.send(Message::Binary(Bytes::new())).await;
        }
    };
    let last = tokio::select! {
        last = with_timeout(stream.next()) => last,
        () = empty_frames => None,
    };
    let Some(Ok(Message::Close(Some(frame)))) = last else { panic!("{last:?}") };
    assert_eq!(u16::from(frame.code), 1013);
}

#[tokio::test]
async fn reset_by_the_target_closes_with_1011_after_its_data() {
    let (_running, mut socket, mut upstream) = connected().await;
    upstream.write_all(b"+OK 120 octets\r\nFrom: ").await.expect("the bridge reads");
    assert_eq!(receive(&mut socket, 22).await, b"+OK 120 octets\r\nFrom: ");
    // With a zero linger time, close sends a reset.
    upstream.set_zero_linger().expect("set");
    drop(upstream);
    assert_eq!(close_code(&mut socket).await, 1011);
}

#[tokio::test]
async fn idle_timeout_closes_with_1013() {
    let (listener, address) = listen().await;
    let target = Target { address, proxy: false };
    let running = Running::with(target, |web| web.limits.idle_seconds = 1);
    // Paused until the data has arrived, so that the idle timeout starts after that.
    let clock = pause_clock();
    let mut socket = running.connect().await;
    let (mut upstream, _) = with_timeout(listener.accept()).await.expect("the bridge connects");
    send(&mut socket, &b"EHLO iit.edu\r\n"[..]).await;
    let mut hello = [0; 14];
    with_timeout(upstream.read_exact(&mut hello)).await.expect("the data arrives");
    assert_eq!(&hello, b"EHLO iit.edu\r\n");
    drop(clock);
    let (_, code, reason) = closed(&mut socket).await;
    assert_eq!(code, 1013);
    assert!(reason.contains("1 second"), "{reason}");
    assert_eq!(read_to_end(&mut upstream).await, b"");
}

#[tokio::test]
async fn pings_are_sent_on_a_silent_connection() {
    let (listener, address) = listen().await;
    let target = Target { address, proxy: false };
    let running = Running::with(target, |web| web.limits.ping_seconds = 1);
    let mut socket = running.connect().await;
    let _upstream = with_timeout(listener.accept()).await.expect("the bridge connects");
    for _ in 0..2 {
        assert!(matches!(with_timeout(socket.next()).await, Some(Ok(Message::Ping(_)))));
    }
}
