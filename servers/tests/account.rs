//! The routes for users of the page: own addresses, a new password, changes of the mailbox. `account_queue.rs` tests queued messages.

mod support;

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use support::account::{post, post_from, session};
use support::{ServerProcess, TIMEOUT, TestDir};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

fn events(server: &ServerProcess, token: &str) -> WebSocket<TcpStream> {
    let web = server.address("web");
    let mut request = format!("ws://{web}/account/events").into_client_request().expect("a request");
    request.headers_mut().insert("Origin", format!("http://{web}").parse().expect("a value"));
    let stream = TcpStream::connect(web).expect("the server accepts");
    stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    let (mut socket, _) = client(request, stream).expect("the server upgrades the connection");
    socket.send(Message::text(token)).expect("the server reads");
    socket
}

fn close_code(socket: &mut WebSocket<TcpStream>) -> u16 {
    loop {
        if let Message::Close(Some(CloseFrame { code, .. })) = socket.read().expect("a Close frame") {
            return code.into();
        }
    }
}

#[test]
fn session_reports_the_own_addresses_the_first_domain_first() {
    let dir = TestDir::new();
    fs::write(
        dir.path("data/Aliases.txt"),
        "sales@iit.edu: ag, gb\nhelp: ag\nother: gb\n@iit.edu: ag\nhc@iit.edu: ag\n",
    )
    .expect("the file is written");
    let server = dir.serve();
    for user in ["ag", "AG", "ag@iit.edu"] {
        let session = session(&server, user, "secret");
        assert_eq!(session["account"], "ag");
        assert_eq!(
            session["addresses"],
            json!([
                "ag@iitkgp.edu",
                "ag@iit.edu",
                "sales@iit.edu",
                "help@iitkgp.edu",
                "help@iit.edu",
                "hc@iit.edu"
            ])
        );
    }
    assert_eq!(
        session(&server, "gb", "other")["addresses"],
        json!(["gb@iitkgp.edu", "gb@iit.edu", "sales@iit.edu", "other@iitkgp.edu", "other@iit.edu"])
    );
}

#[test]
fn user_changes_the_password() {
    let dir = TestDir::new();
    let server = dir.serve();
    let change = |password: &str, new: &str| {
        let body = json!({ "user": "gb", "password": password, "new_password": new });
        post(&server, "/account/password", &body)
    };
    let old_token = session(&server, "gb", "other")["token"].clone();
    let (status, body) = change("wrong", "new");
    assert_eq!((status, &*body), (403, "wrong user name or password\n"));
    for new in ["", "a\nb", &"x".repeat(1_001)] {
        let (status, body) = change("other", new);
        assert!(status == 422 && body.contains("nothing was changed"), "{status} {body}");
    }
    assert_eq!(change("other", "a new: password"), (204, String::new()));
    let users = fs::read_to_string(dir.path("data/User.txt")).expect("it exists");
    assert!(users.starts_with("ag secret\ngb $argon2id$"), "{users}");
    server.log_in("gb", "a new: password");
    let mut pop3 = server.pop3();
    pop3.command("USER gb");
    assert!(pop3.command("PASS other").starts_with("-ERR"));
    // The token of the old password has ended.
    let mut socket = events(&server, old_token.as_str().expect("a token"));
    assert_eq!(close_code(&mut socket), 1008);
}

#[test]
fn foreign_pages_and_plaintext_connections_are_refused() {
    let dir = TestDir::with_config("[web]\nproxies = ['127.0.0.1']\n");
    let server = dir.serve();
    let web = server.address("web");
    let body = json!({ "user": "ag", "password": "secret" }).to_string();
    for (headers, status, part) in [
        ("", 200, "addresses"),
        (&*format!("Origin: http://{web}\r\n"), 200, "addresses"),
        ("Origin: http://evil.example\r\n", 403, "origin"),
        ("X-Forwarded-Host: evil.example\r\n", 403, "unknown host"),
        ("X-Forwarded-For: 192.0.2.1\r\n", 403, "over https only"),
        ("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", 200, "addresses"),
    ] {
        let (code, text) = post_from([127, 0, 0, 1], web, "/account/session", headers, &body);
        assert!(code == status && text.contains(part), "{headers}: {code} {text}");
    }
    for body in ["", "[]", "{\"user\":\"ag\"}", "{\"user\":1,\"password\":\"x\"}"] {
        let response = post_from([127, 0, 0, 1], web, "/account/session", "", body);
        assert_eq!(response, (400, "the request is malformed\n".to_owned()), "{body}");
    }
    let large = post_from([127, 0, 0, 1], web, "/account/session", "", &"x".repeat(5_000));
    assert_eq!(large.0, 413);
}

#[test]
fn failed_requests_are_throttled_together_with_other_sign_ins() {
    let dir = TestDir::with_config("[auth]\nfailures_per_address = 3\n");
    let server = dir.serve();
    let web = server.address("web");
    let wrong = json!({ "user": "ag", "password": "wrong" }).to_string();
    let attempt = |source| post_from(source, web, "/account/session", "", &wrong);
    assert_eq!(attempt([127, 0, 0, 1]).0, 403);
    let start = Instant::now();
    assert_eq!(attempt([127, 0, 0, 1]).0, 403);
    assert!(start.elapsed() > Duration::from_millis(400), "the delay grows: {:?}", start.elapsed());
    assert_eq!(attempt([127, 0, 0, 1]).0, 403);
    let (status, body) = attempt([127, 0, 0, 1]);
    assert!(status == 429 && body.contains("too many"), "{status} {body}");
    let right = json!({ "user": "ag", "password": "secret", "new_password": "x" });
    assert_eq!(post(&server, "/account/password", &right).0, 429);
    let mut pop3 = server.pop3();
    pop3.command("USER ag");
    assert!(pop3.command("PASS secret").starts_with("-ERR [SYS/TEMP]"));
    let other = json!({ "user": "ag", "password": "secret" }).to_string();
    assert_eq!(post_from([127, 0, 0, 2], web, "/account/session", "", &other).0, 200);
}

#[test]
fn events_report_changes_of_the_own_mailbox_while_a_session_holds_it() {
    let dir = TestDir::new();
    let server = dir.serve();
    let token = |user, password| session(&server, user, password)["token"].as_str().map(str::to_owned);
    let mut gb = events(&server, &token("gb", "other").expect("a token"));
    let mut ag = events(&server, &token("ag", "secret").expect("a token"));
    for socket in [&mut gb, &mut ag] {
        assert_eq!(socket.read().expect("a frame"), Message::text("ready"));
    }
    let lease = server.log_in("gb", "other");
    let start = Instant::now();
    server.smtp().deliver_to_gb(b"Subject: new\r\n\r\nbody\r\n");
    assert_eq!(gb.read().expect("a frame"), Message::text("changed"));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop(lease);
    // A change by another program.
    let mailbox = fs::read(dir.path("data/gb/MyMailBox.txt")).expect("it exists");
    fs::write(dir.path("data/gb/MyMailBox.txt"), [&mailbox[..], &mailbox[..]].concat()).expect("written");
    assert_eq!(gb.read().expect("a frame"), Message::text("changed"));
    // The other account has heard nothing.
    server.signal_terminate();
    assert_eq!(ag.read().expect("a frame").to_string(), "shutting down");
    assert_eq!(close_code(&mut gb), 1001);
}

#[test]
fn events_need_a_valid_token() {
    let dir = TestDir::new();
    let server = dir.serve();
    for token in ["", "0", &"f".repeat(64)] {
        assert_eq!(close_code(&mut events(&server, token)), 1008, "{token}");
    }
}
