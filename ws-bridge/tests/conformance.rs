//! The WebSocket protocol (RFC 6455) as a stranger might speak it: what has to be taken, and what is answered to the rest.
//!
//! The target sends back what it gets, as the Autobahn test suite expects it, and the cases are of its kinds.

mod support;

use futures_util::StreamExt;
use support::{Running, Socket, closed, connected, echo, read_to_end, receive, soon};
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
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(octet, mask)| octet ^ mask));
    frame
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

async fn write(socket: &mut Socket, octets: &[u8]) {
    socket.get_mut().write_all(octets).await.expect("the bridge reads");
}

/// The code of the Close that some octets are answered with.
async fn answered(running: &Running, octets: &[u8]) -> u16 {
    let mut socket = running.connect().await;
    write(&mut socket, octets).await;
    closed(&mut socket).await.1
}

#[tokio::test]
async fn what_the_protocol_forbids_closes_with_1002() {
    let running = Running::start(echo().await);
    let long = [b'x'; 126];
    let mut forbidden = vec![
        ("a fragmented ping", frame(PING, b"x")),
        ("a ping of 126 octets", frame(FIN | PING, &long)),
        ("a pong of 126 octets", frame(FIN | PONG, &long)),
        ("a Close of 126 octets", frame(FIN | CLOSE, &long)),
        ("a fragmented Close", frame(CLOSE, &[])),
        ("a Close of one octet", frame(FIN | CLOSE, b"\x03")),
        ("the end of no message", frame(FIN | CONTINUATION, b"x")),
        ("the middle of no message", frame(CONTINUATION, b"x")),
        ("a message within another", [frame(BINARY, b"x"), frame(FIN | BINARY, b"y")].concat()),
        ("text within a message", [frame(BINARY, b"x"), frame(TEXT, b"y")].concat()),
        ("a frame without a mask", b"\x82\x01x".to_vec()),
        ("a ping without a mask", b"\x89\x00".to_vec()),
    ];
    forbidden.extend([0x40, 0x20, 0x10].map(|bit| ("a reserved bit", frame(FIN | bit | BINARY, b"x"))));
    forbidden
        .extend([0x40, 0x20, 0x10].map(|bit| ("a reserved bit of a ping", frame(FIN | bit | PING, b""))));
    forbidden.extend((3..8).map(|opcode| ("a reserved opcode", frame(FIN | opcode, b"x"))));
    forbidden.extend((11..16).map(|opcode| ("a reserved opcode of control", frame(FIN | opcode, b""))));
    for (what, octets) in forbidden {
        assert_eq!(answered(&running, &octets).await, 1002, "{what}: {octets:02x?}");
    }
}

#[tokio::test]
async fn nothing_of_a_forbidden_message_reaches_the_target() {
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
async fn a_close_is_answered_with_its_own_code() {
    let running = Running::start(echo().await);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        assert_eq!(answered(&running, &close(code, b"")).await, code);
        assert_eq!(answered(&running, &close(code, &[b'x'; 123])).await, code);
        assert_eq!(answered(&running, &close(code, "für heute".as_bytes())).await, code);
    }
    // Section 7.4.1: these are not sent, or mean nothing.
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        assert_eq!(answered(&running, &close(code, b"")).await, 1002, "{code}");
    }
    for reason in [&b"\xff"[..], b"\xce\xba\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        assert_eq!(answered(&running, &close(1000, reason)).await, 1007, "{reason:02x?}");
    }
}

#[tokio::test]
async fn a_close_without_a_code_is_answered_and_ends_the_target_s_stream() {
    let (_running, mut socket, mut upstream) = connected().await;
    write(&mut socket, &[frame(FIN | CLOSE, &[]), frame(FIN | BINARY, b"too late")].concat()).await;
    let Some(Ok(Message::Close(None))) = soon(socket.next()).await else { panic!("no Close") };
    assert!(soon(socket.next()).await.is_none());
    assert_eq!(read_to_end(&mut upstream).await, b"");
}

#[tokio::test]
async fn text_closes_with_1003_and_what_is_not_utf_8_with_1007() {
    let running = Running::start(echo().await);
    assert_eq!(answered(&running, &frame(FIN | TEXT, "text".as_bytes())).await, 1003);
    let pieces = [frame(TEXT, "te".as_bytes()), frame(FIN | CONTINUATION, "xt".as_bytes())].concat();
    assert_eq!(answered(&running, &pieces).await, 1003);
    assert_eq!(answered(&running, &frame(FIN | TEXT, b"\xff")).await, 1007);
}

#[tokio::test]
async fn a_length_beyond_all_limits_closes_with_1013() {
    let running = Running::start(echo().await);
    for length in [u64::MAX, 1 << 63, 1 << 32, (1 << 20) + 1] {
        let head = [&[FIN | BINARY, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(answered(&running, &head).await, 1013, "{length}");
    }
}

#[tokio::test]
async fn a_message_may_come_in_pieces_with_control_frames_between_them() {
    let running = Running::start(echo().await);
    let mut socket = running.connect().await;
    let message = [
        frame(BINARY, b"one "),
        frame(FIN | PING, b"still there?"),
        frame(CONTINUATION, b""),
        frame(FIN | PONG, b"nobody asked"),
        frame(CONTINUATION, b"two "),
        frame(FIN | CONTINUATION, b"three"),
    ]
    .concat();
    write(&mut socket, &message).await;
    let Some(Ok(Message::Pong(word))) = soon(socket.next()).await else { panic!("no pong comes first") };
    assert_eq!(&word[..], b"still there?");
    assert_eq!(receive(&mut socket, 13).await, b"one two three");
    // The same, octet by octet.
    for octet in &message {
        write(&mut socket, &[*octet]).await;
    }
    let (mut octets, mut pongs) = (Vec::new(), 0);
    while octets.len() < 13 || pongs == 0 {
        match soon(socket.next()).await.expect("not closed").expect("no error") {
            Message::Binary(more) => octets.extend(more),
            Message::Pong(_) => pongs += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(octets, b"one two three");
}

#[tokio::test]
async fn a_ping_of_any_size_gets_its_own_words_back() {
    let running = Running::start(echo().await);
    let mut socket = running.connect().await;
    for size in [0, 1, 124, 125] {
        let words = vec![0xfe; size];
        write(&mut socket, &frame(FIN | PING, &words)).await;
        let Some(Ok(Message::Pong(answer))) = soon(socket.next()).await else { panic!("no pong") };
        assert_eq!(&answer[..], words);
    }
}
