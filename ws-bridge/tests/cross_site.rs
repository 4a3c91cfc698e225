//! What another site's page, or somebody who is no browser, tries in order to use the bridge: for the mail servers behind
//! it, or as a way to any other host.

mod support;

use config::Target;
use support::{Running, echo, listen};

/// A request that is upgraded, in the pieces that the cases change.
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
async fn the_page_itself_may_connect() {
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
async fn a_page_of_another_site_may_not() {
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
    // What is said elsewhere does not count.
    for instead in
        ["Referer: http://ADDRESS/", "Sec-WebSocket-Origin: http://ADDRESS", "X-Origin: http://ADDRESS"]
    {
        assert_eq!(running.status(&head(LINE, HOST, instead)).await, 403, "{instead}");
    }
}

#[tokio::test]
async fn a_page_whose_own_name_points_here_may_not() {
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
    // A proxy's word for the name is anybody's word.
    let host = "Host: evil.example\r\nX-Forwarded-Host: ADDRESS\r\nForwarded: host=ADDRESS";
    assert_eq!(running.status(&head(LINE, host, ORIGIN)).await, 403);
    assert_eq!(running.status(&head(LINE, "Host: ADDRESS\r\nHost: evil.example", ORIGIN)).await, 403);
    // A request target that names a host is not overruled by the Host beside it (RFC 9112 section 3.2.2).
    for line in [
        "http://evil.example/ws/target",
        "http://evil.example@ADDRESS/ws/target",
        "http://localhost/ws/target",
    ] {
        assert_eq!(running.status(&head(line, HOST, ORIGIN)).await, 403, "{line}");
    }
}

#[tokio::test]
async fn the_bridge_is_no_way_to_another_host() {
    let (bait, address) = listen().await;
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
    let bait = bait.into_std().expect("a socket that does not block");
    assert!(bait.accept().is_err(), "somebody has been connected to where no target is");
}

#[tokio::test]
async fn a_refusal_tells_a_page_nothing_of_what_is_there() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.origins.push("http://friend.example".to_owned()));
    let mut answers = Vec::new();
    for line in ["/ws/target", "/ws/smtp", "/ws/no-such"] {
        let head = head(line, HOST, "Origin: http://evil.example").replace("Connection: Upgrade\r\n", "");
        let answer = running.request(&head).await;
        assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (403, None));
        answers.push(answer.text().to_owned());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(!answers[0].contains("friend"), "{answers:?}");
}
