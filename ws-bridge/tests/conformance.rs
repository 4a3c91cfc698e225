//! Conformance with RFC 6455: valid frames, and the close codes of invalid ones.
//!
//! The target is an echo server, and the cases follow the Autobahn test suite.

mod support;

use futures::StreamExt;
use support::{Running, Socket, closed, connected, echo, read_to_end, receive, with_timeout};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A masked frame (section 5.2); `first` holds FIN, the reserved bits and the opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(long).expect("the cases are short").to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

async fn write(socket: &mut Socket, bytes: &[u8]) {
    socket.get_mut().write_all(bytes).await.expect("the bridge reads");
}

/// Sends bytes on a new connection; returns the code of the Close.
async fn close_code_after(running: &Running, bytes: &[u8]) -> u16 {
    let mut socket = running.connect().await;
    write(&mut socket, bytes).await;
    closed(&mut socket).await.1
}

#[tokio::test]
async fn protocol_errors_close_with_1002() {
    let running = Running::start(echo().await);
    let long = [b'x'; 126];
    let mut invalid = vec![
        ("a fragmented ping", frame(PING, b"x")),
        ("a ping of 126 bytes", frame(FIN | PING, &long)),
        ("a pong of 126 bytes", frame(FIN | PONG, &long)),
        ("a Close of 126 bytes", frame(FIN | CLOSE, &long)),
        ("a fragmented Close", frame(CLOSE, &[])),
        ("a Close of one byte", frame(FIN | CLOSE, b"\x03")),
        ("a final continuation without a message", frame(FIN | CONTINUATION, b"x")),
        ("a continuation without a message", frame(CONTINUATION, b"x")),
        ("a new message within a fragmented one", [frame(BINARY, b"x"), frame(FIN | BINARY, b"y")].concat()),
        ("a text frame within a fragmented message", [frame(BINARY, b"x"), frame(TEXT, b"y")].concat()),
        ("a frame without a mask", b"\x82\x01x".to_vec()),
        ("a ping without a mask", b"\x89\x00".to_vec()),
    ];
    invalid.extend([0x40, 0x20, 0x10].map(|bit| ("a reserved bit", frame(FIN | bit | BINARY, b"x"))));
    invalid.extend([0x40, 0x20, 0x10].map(|bit| ("a reserved bit in a ping", frame(FIN | bit | PING, b""))));
    invalid.extend((3..8).map(|opcode| ("a reserved opcode", frame(FIN | opcode, b"x"))));
    invalid.extend((11..16).map(|opcode| ("a reserved control opcode", frame(FIN | opcode, b""))));
    for (case, bytes) in invalid {
        assert_eq!(close_code_after(&running, &bytes).await, 1002, "{case}: {bytes:02x?}");
    }
}

#[tokio::test]
async fn invalid_message_is_not_forwarded() {
    let (_running, mut socket, mut upstream) = connected().await;
    write(
        &mut socket,
        &[frame(FIN | BINARY, b"good"), frame(BINARY, b"bad"), frame(FIN | 3, b"worse")].concat(),
    )
    .await;
    assert_eq!(closed(&mut socket).await.1, 1002);
    assert_eq!(read_to_end(&mut upstream).await, b"good");
}

#[tokio::test]
async fn close_is_answered_with_the_same_code() {
    let running = Running::start(echo().await);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        assert_eq!(close_code_after(&running, &close(code, b"")).await, code);
        assert_eq!(close_code_after(&running, &close(code, &[b'x'; 123])).await, code);
        assert_eq!(close_code_after(&running, &close(code, "für heute".as_bytes())).await, code);
    }
    // Section 7.4.1: reserved, or not allowed in a Close frame.
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        assert_eq!(close_code_after(&running, &close(code, b"")).await, 1002, "{code}");
    }
    for reason in [&b"\xff"[..], b"\xce\xba\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        assert_eq!(close_code_after(&running, &close(1000, reason)).await, 1007, "{reason:02x?}");
    }
}

#[tokio::test]
async fn close_without_a_code_is_answered_and_ends_the_target_stream() {
    let (_running, mut socket, mut upstream) = connected().await;
    write(&mut socket, &[frame(FIN | CLOSE, &[]), frame(FIN | BINARY, b"too late")].concat()).await;
    let Some(Ok(Message::Close(None))) = with_timeout(socket.next()).await else { panic!("no Close") };
    assert!(with_timeout(socket.next()).await.is_none());
    assert_eq!(read_to_end(&mut upstream).await, b"");
}

#[tokio::test]
async fn text_closes_with_1003_and_invalid_utf8_with_1007() {
    let running = Running::start(echo().await);
    assert_eq!(close_code_after(&running, &frame(FIN | TEXT, "text".as_bytes())).await, 1003);
    let fragments = [frame(TEXT, "te".as_bytes()), frame(FIN | CONTINUATION, "xt".as_bytes())].concat();
    assert_eq!(close_code_after(&running, &fragments).await, 1003);
    assert_eq!(close_code_after(&running, &frame(FIN | TEXT, b"\xff")).await, 1007);
}

#[tokio::test]
async fn frame_length_over_the_limit_closes_with_1013() {
    let running = Running::start(echo().await);
    for length in [u64::MAX, 1 << 63, 1 << 32, (1 << 20) + 1] {
        let header = [&[FIN | BINARY, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(close_code_after(&running, &header).await, 1013, "{length}");
    }
}

#[tokio::test]
async fn fragmented_message_with_interleaved_control_frames_is_forwarded() {
    let running = Running::start(echo().await);
    let mut socket = running.connect().await;
    let message = [
        frame(BINARY, b"one "),
        frame(FIN | PING, b"ping"),
        frame(CONTINUATION, b""),
        frame(FIN | PONG, b"unsolicited"),
        frame(CONTINUATION, b"two "),
        frame(FIN | CONTINUATION, b"three"),
    ]
    .concat();
    write(&mut socket, &message).await;
    let Some(Ok(Message::Pong(payload))) = with_timeout(socket.next()).await else {
        panic!("the first message is no pong")
    };
    assert_eq!(&payload[..], b"ping");
    assert_eq!(receive(&mut socket, 13).await, b"one two three");
    // The same message, one byte at a time.
    for byte in &message {
        write(&mut socket, &[*byte]).await;
    }
    let (mut received, mut pongs) = (Vec::new(), 0);
    while received.len() < 13 || pongs == 0 {
        match with_timeout(socket.next()).await.expect("not closed").expect("no error") {
            Message::Binary(data) => received.extend(data),
            Message::Pong(_) => pongs += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received, b"one two three");
}

#[tokio::test]
async fn pong_echoes_the_payload_of_the_ping() {
    let running = Running::start(echo().await);
    let mut socket = running.connect().await;
    for size in [0, 1, 124, 125] {
        let payload = vec![0xfe; size];
        write(&mut socket, &frame(FIN | PING, &payload)).await;
        let Some(Ok(Message::Pong(echoed))) = with_timeout(socket.next()).await else { panic!("no pong") };
        assert_eq!(&echoed[..], payload);
    }
}
