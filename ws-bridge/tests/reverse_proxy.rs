//! Requests that a reverse proxy forwards.

mod support;

use config::{Networks, Target};
use support::{Running, echo, listen, with_timeout};
use tokio::io::AsyncReadExt;

const FORWARDED: &str = "GET /ws/target HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nOrigin: https://iitkgp.edu\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: iitkgp.edu";

fn trusted(web: &mut config::Web) {
    web.proxies = Networks::parse(&["127.0.0.1"]).expect("a network");
}

#[tokio::test]
async fn forwarded_origin_is_accepted_from_a_trusted_proxy_only() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target.clone(), trusted);
    assert_eq!(running.status(FORWARDED).await, 101);
    for (from, to) in [
        ("X-Forwarded-Proto: https", "X-Forwarded-Proto: http"),
        ("X-Forwarded-Host: iitkgp.edu", "X-Forwarded-Host: evil.example"),
        ("Origin: https://iitkgp.edu", "Origin: https://evil.example"),
    ] {
        assert_eq!(running.status(&FORWARDED.replace(from, to)).await, 403, "{to}");
    }
    let running = Running::start(target.address);
    assert_eq!(running.status(FORWARDED).await, 403);
}

/// The servers throttle and log by this address.
#[tokio::test]
async fn target_gets_the_address_of_the_client_behind_the_proxy() {
    let (listener, address) = listen().await;
    let running = Running::with(Target { address, proxy: true }, trusted);
    let (status, accepted) = tokio::join!(running.status(FORWARDED), with_timeout(listener.accept()));
    assert_eq!(status, 101);
    let (mut stream, _) = accepted.expect("the bridge connects");
    let mut header = [0; 28];
    with_timeout(stream.read_exact(&mut header)).await.expect("a header");
    assert_eq!(header[..12], *b"\r\n\r\n\0\r\nQUIT\n");
    assert_eq!(header[16..20], [192, 0, 2, 7]);
}

#[tokio::test]
async fn clients_behind_a_proxy_are_limited_one_by_one() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| {
        trusted(web);
        web.limits.connections_per_address = 1;
    });
    let (status, _connection) = running.open(FORWARDED).await;
    assert_eq!(status, 101);
    assert_eq!(running.status(FORWARDED).await, 503);
    assert_eq!(running.status(&FORWARDED.replace("192.0.2.7", "192.0.2.8")).await, 101);
}
