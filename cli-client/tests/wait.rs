//! `mail-client wait`: the message that matches, the timeout, and the commands that it sends.

mod support;

use std::net::TcpListener;

use serde_json::json;
use support::{LineStream, Servers, client, json, refused_address, run_program};

#[test]
fn wait_shows_the_first_match_and_lists_the_others_at_the_timeout() {
    let servers = Servers::start();
    servers.deliver(b"To: gb@iit.edu\r\nSubject: Welcome\r\n\r\n");
    let found = json(&servers.run_as_gb(&["wait", "--subject", "WELCOME", "--json"]));
    assert_eq!((&found["number"], &found["subject"]), (&json!(1), &json!("Welcome")));
    let id = found["unique_id"].as_str().expect("a unique-id");

    let late = servers.run_as_gb(&["wait", "--subject", "welcome", "--after", id, "--timeout", "0s"]);
    assert!(late.code == Some(1) && late.stderr.contains("no message arrived"), "{late:?}");
    let unknown = servers.run_as_gb(&["wait", "--after", "nothing", "--timeout", "60s"]);
    assert_eq!((unknown.code, unknown.text()), (Some(1), ""), "{unknown:?}");
    assert!(unknown.stderr.contains("no message has the unique-id `nothing`"), "{unknown:?}");
    let other = servers.run_as_gb(&["wait", "--to", "x@iit.edu", "--timeout", "300ms"]);
    assert!(other.code == Some(1) && other.stderr.contains("`Welcome` to gb@iit.edu"), "{other:?}");

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            servers.run_as_gb(&[
                "wait",
                "--from",
                "AG@iit.edu",
                "--to",
                "gb@iit.edu",
                "--after",
                id,
                "--timeout",
                "60s",
            ])
        });
        servers.deliver(b"From: Ag <ag@iit.edu>\r\nTo: cd@iit.edu\r\nSubject: other\r\n\r\n");
        servers.deliver(
            b"From: Ag <ag@iit.edu>\r\nTo: gb@iit.edu\r\nSubject: Confirm\r\n\r\nThe code is 1234.\r\n",
        );
        let waited = waiting.join().expect("no panic");
        assert!(waited.code == Some(0) && waited.text().contains("Subject: Confirm"), "{waited:?}");
    });
    let refused =
        run_program(servers.client().args(["wait", "--user", "gb", "--password-stdin"]), b"wrong\n");
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

/// Serves some POP3 sessions with a maildrop of one message, and returns the commands.
fn serve_one_message(listener: &TcpListener, sessions: usize) -> Vec<String> {
    let mut commands = Vec::new();
    for _ in 0..sessions {
        let mut stream = LineStream::new(listener.accept().expect("the client connects").0);
        stream.send(b"+OK ready\r\n");
        loop {
            let line = stream.line();
            let verb = line.split_whitespace().next().unwrap_or("QUIT").to_ascii_uppercase();
            let reply = match verb.as_str() {
                "LIST" => "+OK\r\n1 30\r\n.\r\n",
                "UIDL" => "+OK\r\n1 first\r\n.\r\n",
                "TOP" => "+OK\r\nSubject: other\r\n\r\n.\r\n",
                "CAPA" => "-ERR unknown command\r\n",
                _ => "+OK\r\n",
            };
            commands.push(verb);
            stream.send(reply.as_bytes());
            if commands.last().is_some_and(|verb| verb == "QUIT") {
                break;
            }
        }
    }
    commands
}

#[test]
fn wait_retrieves_each_header_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let server = std::thread::spawn(move || serve_one_message(&listener, 3));
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut wait = client(refused_address(), address, home.path());
    wait.args(["wait", "--subject", "x", "--timeout", "60s", "--user", "gb", "--password-stdin"]);
    // The server is gone at the fourth attempt.
    assert_eq!(run_program(&mut wait, b"other\n").code, Some(1));
    let commands = server.join().expect("the server does not panic");
    let count = |verb: &str| commands.iter().filter(|command| *command == verb).count();
    assert_eq!((count("UIDL"), count("TOP")), (3, 1), "{commands:?}");
}
