//! The route that lists the user's own messages in the queue.

mod support;

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use postgres_testing::PostgresServer;
use serde_json::{Value, json};
use support::account::{post, post_from, session};
use support::dns::{DnsRecord, DnsServer};
use support::mail_host::MailHost;
use support::sender::{LOCALHOST, MESSAGE, Sender};
use support::{ServerProcess, TIMEOUT, TestDir};

const RETRY: &str = "retry_seconds = [3600]";

/// A server with outbound mail and the page's listener.
fn start(dns: &DnsServer, port: u16) -> Sender {
    let dir = TestDir::with_config(&Sender::config(dns, port, RETRY));
    start_in(dir, None)
}

/// As [`start`], with the queue in a database.
fn start_with_database(dns: &DnsServer, port: u16) -> Sender {
    let (dir, database) = Sender::dir_with_database(dns, port, RETRY);
    start_in(dir, Some(database))
}

fn start_in(dir: TestDir, database: Option<PostgresServer>) -> Sender {
    let arguments = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "127.0.0.1:0"];
    let listeners = ["smtp", "submission", "pop3", "web"];
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, &dir, &listeners);
    Sender { dir, server, database }
}

/// The queue as a user sees it.
fn queue_of(server: &ServerProcess, user: &str, password: &str) -> Value {
    let token = session(server, user, password)["token"].clone();
    let (status, body) = post(server, "/account/queue", &json!({ "token": token }));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn wait_until(sender: &Sender, is_expected: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let queue = queue_of(&sender.server, "ag", "secret");
        if is_expected(&queue) {
            return queue;
        }
        assert!(start.elapsed() < TIMEOUT, "{queue}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn greylisting_host() -> MailHost {
    MailHost::with_script(LOCALHOST, 0, |line| {
        line.starts_with("RCPT TO:<x").then(|| "451 4.7.1 greylisted".to_owned())
    })
}

fn dns() -> DnsServer {
    DnsServer::start(&[
        DnsRecord::Mx("example.net", 10, "mx.example.net"),
        DnsRecord::A("mx.example.net", LOCALHOST),
        DnsRecord::Mx("dead.example", 10, "mx.dead.example"),
        DnsRecord::A("mx.dead.example", Ipv4Addr::new(127, 0, 0, 9)),
    ])
}

#[test]
fn sender_sees_the_waiting_recipients_with_the_next_attempt() {
    for start in [start, start_with_database] {
        check_waiting_recipients(start);
    }
}

fn check_waiting_recipients(start: fn(&DnsServer, u16) -> Sender) {
    let (host, dns) = (greylisting_host(), dns());
    let sender = start(&dns, host.address.port());
    let message = b"From: ag@iitkgp.edu\r\nTo: x@example.net\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\
        Message-ID: <one@iitkgp.edu>\r\n\r\nbody\r\n";
    let sent = Utc::now();
    sender.submit(&["x@example.net", "y@example.net"], message);
    let queue = wait_until(&sender, |queue| queue["messages"][0]["recipients"][0]["attempts"] == 1);
    assert_eq!(queue["complete"], true);
    let messages = queue["messages"].as_array().expect("an array");
    let [message] = &messages[..] else { panic!("{queue}") };
    assert_eq!(message["message_id"], "<one@iitkgp.edu>");
    assert_eq!((&message["subject"], &message["more_recipients"]), (&json!("grüße"), &json!(0)));
    // y has received it.
    let recipients = message["recipients"].as_array().expect("an array");
    let [recipient] = &recipients[..] else { panic!("{queue}") };
    assert_eq!((&recipient["address"], &recipient["state"]), (&json!("x@example.net"), &json!("waiting")));
    assert_eq!(recipient["reply"], "mx.example.net [127.0.0.1]: 451 4.7.1 greylisted");
    let next: DateTime<Utc> =
        recipient["next_attempt"].as_str().and_then(|time| time.parse().ok()).expect("a time");
    let pause = next - sent;
    assert!(pause > TimeDelta::minutes(59) && pause < TimeDelta::minutes(62), "{pause}");
    // Nobody else sees it.
    assert_eq!(queue_of(&sender.server, "gb", "other"), json!({ "messages": [], "complete": true }));

    let id = message["id"].as_str().expect("an id");
    sender.queue(&["hold", id]);
    let held = &queue_of(&sender.server, "ag", "secret")["messages"][0]["recipients"][0];
    assert_eq!((&held["state"], &held["next_attempt"]), (&json!("held"), &Value::Null));
    sender.queue(&["drop", id]);
    assert_eq!(queue_of(&sender.server, "ag", "secret")["messages"], json!([]));
}

#[test]
fn message_behind_an_unreachable_host_has_the_time_and_the_reason_of_the_block() {
    for start in [start, start_with_database] {
        check_blocked_messages(start);
    }
}

fn check_blocked_messages(start: fn(&DnsServer, u16) -> Sender) {
    let (host, dns) = (greylisting_host(), dns());
    let sender = start(&dns, host.address.port());
    sender.submit(&["z@dead.example"], MESSAGE);
    wait_until(&sender, |queue| queue["messages"][0]["recipients"][0]["attempts"] == 1);
    sender.submit(&["z@dead.example"], MESSAGE);
    let queue = wait_until(&sender, |queue| queue["messages"].as_array().is_some_and(|all| all.len() == 2));
    // The newest comes first.
    let [newest, oldest] = [0, 1].map(|at| &queue["messages"][at]["recipients"][0]);
    assert_eq!((&newest["attempts"], &oldest["attempts"]), (&json!(0), &json!(1)), "{queue}");
    assert!(newest["reply"].as_str().is_some_and(|reply| reply.contains("mx.dead.example")), "{queue}");
    let times = [newest, oldest].map(|recipient| {
        recipient["next_attempt"]
            .as_str()
            .and_then(|time| time.parse::<DateTime<Utc>>().ok())
            .expect("a time")
    });
    assert!((times[0] - times[1]).num_seconds().abs() < 60, "{queue}");
}

#[test]
fn messages_and_recipients_are_bounded() {
    let (host, dns) = (greylisting_host(), dns());
    let sender = start(&dns, host.address.port());
    let many: Vec<String> = (0..25).map(|at| format!("x{at}@example.net")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut submission = sender.submission();
    for _ in 0..51 {
        let reply = submission.deliver("ag@iitkgp.edu", &many, MESSAGE);
        assert!(reply.starts_with("250"), "{reply}");
    }
    let queue = queue_of(&sender.server, "ag", "secret");
    let messages = queue["messages"].as_array().expect("an array");
    assert_eq!((messages.len(), &queue["complete"]), (50, &json!(false)));
    for message in messages {
        let recipients = message["recipients"].as_array().expect("an array");
        assert_eq!((recipients.len(), &message["more_recipients"]), (20, &json!(5)));
    }
}

#[test]
fn listing_needs_a_token_and_the_own_origin() {
    let dir = TestDir::new();
    let server = dir.serve();
    let web = server.address("web");
    let token = session(&server, "ag", "secret")["token"].clone();
    // Without `[outbound]`, no mail leaves the host.
    assert_eq!(queue_of(&server, "ag", "secret"), json!({ "messages": [], "complete": true }));
    for token in [json!(""), json!("f".repeat(64))] {
        let (status, body) = post(&server, "/account/queue", &json!({ "token": token }));
        assert!(status == 403 && body.contains("sign in again"), "{status} {body}");
    }
    let body = json!({ "token": token }).to_string();
    let request = |headers: &str, body: &str| post_from([127, 0, 0, 1], web, "/account/queue", headers, body);
    let (status, text) = request("Origin: http://evil.example\r\n", &body);
    assert!(status == 403 && text.contains("origin"), "{status} {text}");
    assert_eq!(request("", "{}"), (400, "the request is malformed\n".to_owned()));
    assert_eq!(request("", &body).0, 200);
    // A new password ends the token.
    let change = json!({ "user": "ag", "password": "secret", "new_password": "another one" });
    assert_eq!(post(&server, "/account/password", &change).0, 204);
    assert_eq!(request("", &body).0, 403);
}
