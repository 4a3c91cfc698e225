//! Attacks by pages of other sites and by clients that are not browsers: unauthorized use of the targets, and use of the bridge
//! as an open proxy.

mod support;

use config::Target;
use support::{Running, echo, listen};

/// A valid upgrade request, with the parts that the cases replace.
fn head(line: &str, host: &str, origin: &str) -> String {
    format!(
        "GET {line} HTTP/1.1\r\n{host}\r\n{origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    )
}

const LINE: &str = "/ws/target";
const HOST: &str = "Host: ADDRESS";
const ORIGIN: &str = "Origin: http://ADDRESS";

#[tokio::test]
async fn same_origin_page_is_upgraded() {
    let running = Running::start(echo().await);
    let port = running.address.port();
    assert_eq!(running.status(&head(LINE, HOST, ORIGIN)).await, 101);
    assert_eq!(running.status(&head("http://ADDRESS/ws/target", HOST, ORIGIN)).await, 101);
    for name in ["localhost", "iitkgp.edu", "[::1]", "[::ffff:127.0.0.1]"] {
        let (host, origin) = (format!("Host: {name}:{port}"), format!("Origin: http://{name}:{port}"));
        assert_eq!(running.status(&head(LINE, &host, &origin)).await, 101, "{name}");
    }
}

#[tokio::test]
async fn foreign_origin_is_rejected() {
    let running = Running::start(echo().await);
    for origin in [
        "http://evil.example",
        "https://ADDRESS",
        "http://ADDRESS.evil.example",
        "http://ADDRESS@evil.example",
        "http://evil.example@ADDRESS",
        "http://evil.example#http://ADDRESS",
        "http://ADDRESS/",
        "http://127.0.0.1",
        "http://localhost",
        "ws://ADDRESS",
        "file://",
        "null",
        "",
        "http://ADDRESS http://evil.example",
        "http://evil.example, http://ADDRESS",
        "http://ADDRESS\r\nOrigin: http://evil.example",
        "http://ADDRESS\r\nOrigin: http://ADDRESS",
    ] {
        let head = head(LINE, HOST, &format!("Origin: {origin}"));
        assert_eq!(running.status(&head).await, 403, "{origin}");
    }
    // Other headers do not replace Origin.
    for header in
        ["Referer: http://ADDRESS/", "Sec-WebSocket-Origin: http://ADDRESS", "X-Origin: http://ADDRESS"]
    {
        assert_eq!(running.status(&head(LINE, HOST, header)).await, 403, "{header}");
    }
}

#[tokio::test]
async fn rebound_host_name_is_rejected() {
    let running = Running::start(echo().await);
    let port = running.address.port();
    for name in [
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("notlocalhost:{port}"),
        format!("mail.iitkgp.edu:{port}"),
        format!("localhost.:{port}"),
        format!("127.1:{port}"),
        format!("0x7f000001:{port}"),
        format!("2130706433:{port}"),
        format!("evil.example@127.0.0.1:{port}"),
        format!("127.0.0.1:{port}@evil.example"),
        format!("127.0.0.1:{port}:80"),
        format!("127.0.0.1:{port},evil.example"),
        format!("127.0.0.1:{port}/evil.example"),
    ] {
        for origin in [format!("http://{name}"), format!("http://127.0.0.1:{port}")] {
            let head = head(LINE, &format!("Host: {name}"), &format!("Origin: {origin}"));
            let status = running.status(&head).await;
            assert!([400, 403].contains(&status), "{name}, {origin}: {status}");
        }
    }
    // Forwarding headers are ignored: any client can send them.
    let host = "Host: evil.example\r\nX-Forwarded-Host: ADDRESS\r\nForwarded: host=ADDRESS";
    assert_eq!(running.status(&head(LINE, host, ORIGIN)).await, 403);
    assert_eq!(running.status(&head(LINE, "Host: ADDRESS\r\nHost: evil.example", ORIGIN)).await, 403);
    // An absolute request target takes precedence over Host (RFC 9112 section 3.2.2).
    for line in [
        "http://evil.example/ws/target",
        "http://evil.example@ADDRESS/ws/target",
        "http://localhost/ws/target",
    ] {
        assert_eq!(running.status(&head(line, HOST, ORIGIN)).await, 403, "{line}");
    }
}

#[tokio::test]
async fn bridge_connects_to_configured_targets_only() {
    let (other_host, address) = listen().await;
    let running = Running::start(echo().await);
    let port = address.port();
    for line in [
        format!("/ws/{address}"),
        format!("/ws/127.0.0.1%3a{port}"),
        format!("/ws/target?address={address}&target={address}"),
        format!("/ws/target@{address}"),
        format!("/ws/target%00{address}"),
        format!("/ws/http:%2f%2f{address}"),
        format!("/ws/..%2f{address}"),
        format!("/ws/%2e%2e/{address}"),
        format!("/ws/../ws/{address}"),
        format!("/ws/target/../{address}"),
        format!("/ws/target%2f..%2f{address}"),
        format!("/ws//{address}"),
        format!("//{address}/ws/target"),
        format!("http://{address}/ws/target"),
        format!("ws://{address}/"),
        "/ws/target%2f".to_owned(),
        "/ws/TARGET".to_owned(),
        "/ws/..%2ftarget".to_owned(),
        "/ws/%00".to_owned(),
        "/ws/".to_owned(),
        "/ws".to_owned(),
    ] {
        let status = running.status(&head(&line, HOST, ORIGIN)).await;
        let is_the_target = line.starts_with("/ws/target?");
        assert_eq!(status == 101, is_the_target, "{line}: {status}");
    }
    for method in ["CONNECT", "POST", "OPTIONS", "TRACE"] {
        let line = format!("{method} {address}");
        let head = head("", HOST, ORIGIN).replacen("GET ", &line, 1);
        let status = running.status(&head).await;
        assert!((400..500).contains(&status), "{line}: {status}");
    }
    let other_host = other_host.into_std().expect("a nonblocking socket");
    assert!(other_host.accept().is_err(), "the bridge connected to a host that is not a target");
}

#[tokio::test]
async fn rejection_does_not_reveal_targets_or_origins() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.origins.push("http://friend.example".to_owned()));
    let mut bodies = Vec::new();
    for line in ["/ws/target", "/ws/smtp", "/ws/no-such"] {
        let head = head(line, HOST, "Origin: http://evil.example").replace("Connection: Upgrade\r\n", "");
        let response = running.request(&head).await;
        assert_eq!((response.status(), response.header("access-control-allow-origin")), (403, None));
        bodies.push(response.text().to_owned());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert!(!bodies[0].contains("friend"), "{bodies:?}");
}
