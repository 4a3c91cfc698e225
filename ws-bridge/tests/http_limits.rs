//! Limits of HTTP connections before the upgrade.

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;

use config::Target;
use support::{Running, echo, receive, send, with_timeout};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::yield_now;

/// More than the bridge accepts from one address.
const SILENT_CONNECTIONS: usize = 1_100;
/// The bridge accepts fewer connections than this from one address.
const OPEN_MAX: usize = 300;

async fn connect_from(source: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(source.parse().expect("an address")).expect("Linux routes 127.0.0.0/8 to loopback");
    with_timeout(socket.connect(address)).await.expect("the system accepts")
}

fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_from_one_address_do_not_block_other_addresses() {
    let root = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(root.path().join("index.html"), "the page").expect("written");
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.root = root.path().to_owned());

    let mut silent = Vec::new();
    for _ in 0..SILENT_CONNECTIONS {
        silent.push(connect_from("127.0.0.2:0", running.address).await);
        // The bridge closes the connections over the limit.
        with_timeout(async {
            while silent.len() > OPEN_MAX {
                yield_now().await;
                silent.retain(is_open);
            }
        })
        .await;
    }

    let response = running.request("GET / HTTP/1.1\r\nHost: ADDRESS").await;
    assert_eq!((response.status(), response.text()), (200, "the page"));
    let mut socket = running.connect().await;
    send(&mut socket, &b"NOOP\r\n"[..]).await;
    assert_eq!(receive(&mut socket, 6).await, b"NOOP\r\n");
    silent.retain(is_open);
    assert!(silent.len() > 100, "{} silent connections are open", silent.len());
}
