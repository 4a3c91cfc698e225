//! Hostile servers: the client exits with an error message, in bounded time and memory.

#![cfg(unix)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::JoinHandle;

use support::{ProgramOutput, TIMEOUT, refused_address, run_program};

/// Address space limit of the client (`ulimit -v`).
const MEMORY_KIB: u32 = 400_000;

/// A server that runs `act` on one connection.
fn server(act: impl FnOnce(&mut TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client connects");
        stream.set_write_timeout(Some(TIMEOUT)).expect("the option is set");
        stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
        act(&mut stream);
    });
    (address, thread)
}

/// Sends the text repeatedly until the client disconnects.
fn send_endlessly(stream: &mut TcpStream, text: &str) {
    let block = text.repeat(1 + 65_536 / text.len());
    while stream.write_all(block.as_bytes()).is_ok() {}
}

/// Replies to each line with the next of `replies`.
fn send_replies(stream: &mut TcpStream, replies: &[&str]) {
    for text in replies {
        let mut byte = [0];
        while stream.read(&mut byte).is_ok_and(|count| count == 1) && byte != *b"\n" {}
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// Runs a script command with limited memory.
fn run(smtp: SocketAddr, pop3: SocketAddr, arguments: &[&str]) -> ProgramOutput {
    let home = tempfile::tempdir().expect("a temporary directory");
    let client = support::client(smtp, pop3, home.path());
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")]);
    limited.arg(client.get_program()).args(client.get_args());
    limited.args(arguments).args(["--user", "gb", "--password-stdin"]);
    limited.current_dir(home.path()).env("HOME", home.path()).env("TERM", "xterm");
    run_program(&mut limited, b"other\n")
}

fn run_with_pop3(act: impl FnOnce(&mut TcpStream) + Send + 'static, arguments: &[&str]) -> ProgramOutput {
    let (address, thread) = server(act);
    let output = run(refused_address(), address, arguments);
    thread.join().expect("the server does not panic");
    output
}

fn send_with_smtp(act: impl FnOnce(&mut TcpStream) + Send + 'static) -> ProgramOutput {
    let (address, thread) = server(act);
    let output = run(address, refused_address(), &["send", "--from", "gb@iit.edu", "--to", "ag@iit.edu"]);
    thread.join().expect("the server does not panic");
    output
}

fn assert_failed(output: &ProgramOutput, case: &str) {
    assert_eq!(output.code, Some(1), "{case}: {output:?}");
    assert!(output.stderr.starts_with("mail-client: ") && output.stderr.len() < 2_000, "{case}: {output:?}");
    assert!(!output.stderr.contains('\x1b') && !output.text().contains('\x1b'), "{case}: {output:?}");
}

const POP3_LOGIN: &[&str] = &["+OK\r\nPIPELINING\r\nTOP\r\nUIDL\r\n.\r\n", "+OK\r\n", "+OK in\r\n"];

#[test]
fn endless_line_fails() {
    assert_failed(&run_with_pop3(|stream| send_endlessly(stream, "+OK "), &["stat"]), "POP3");
    assert_failed(&send_with_smtp(|stream| send_endlessly(stream, "220 ")), "SMTP");
}

#[test]
fn endless_multiline_reply_fails() {
    let ehlo = send_with_smtp(|stream| {
        stream.write_all(b"220 hi\r\n").expect("the client reads");
        send_replies(stream, &["250-hi\r\n"]);
        send_endlessly(stream, "250-MORE\r\n");
    });
    assert_failed(&ehlo, "EHLO");
    let capa = run_with_pop3(
        |stream| {
            stream.write_all(b"+OK hi\r\n").expect("the client reads");
            send_replies(stream, &["+OK\r\n"]);
            send_endlessly(stream, "MORE\r\n");
        },
        &["stat"],
    );
    assert_failed(&capa, "CAPA");
    let list = run_with_pop3(
        |stream| {
            stream.write_all(b"+OK hi\r\n").expect("the client reads");
            send_replies(stream, POP3_LOGIN);
            send_replies(stream, &["+OK\r\n"]);
            send_endlessly(stream, "1 1\r\n");
        },
        &["list"],
    );
    assert_failed(&list, "LIST");
}

#[test]
fn unsolicited_replies_fail() {
    let early = run_with_pop3(|stream| send_endlessly(stream, "+OK logged in\r\n"), &["stat"]);
    assert_failed(&early, "POP3");
    assert_failed(&send_with_smtp(|stream| send_endlessly(stream, "250 2.0.0 taken\r\n")), "SMTP");
}

#[test]
fn invalid_numbers_in_stat_fail() {
    for reply in ["+OK 99999999999999999999 1\r\n", "+OK -1 5\r\n", "+OK\r\n", "+OK \x1b[2J 1\r\n"] {
        let stat = run_with_pop3(
            move |stream| {
                stream.write_all(b"+OK hi\r\n").expect("the client reads");
                send_replies(stream, POP3_LOGIN);
                send_replies(stream, &[reply]);
            },
            &["stat"],
        );
        assert_failed(&stat, reply);
    }
}

#[test]
fn far_too_large_announced_size_is_ignored() {
    // The server announces 10 GiB and sends a few bytes.
    let read = run_with_pop3(
        |stream| {
            stream.write_all(b"+OK hi\r\n").expect("the client reads");
            send_replies(stream, POP3_LOGIN);
            let message = "+OK 10737418240 octets\r\nSubject: \x1b[2Jx\r\n\r\na\x1b]0;b\x07\r\n.\r\n";
            send_replies(stream, &["+OK 1 10737418240\r\n", message, "+OK bye\r\n"]);
        },
        &["read", "1"],
    );
    assert_eq!(read.code, Some(0), "{read:?}");
    assert!(!read.text().contains(['\x1b', '\x07']), "{read:?}");
}

#[test]
fn disconnect_during_the_dialogue_fails() {
    let dialogue =
        [b"+OK hi\r\n".as_slice()].into_iter().chain(POP3_LOGIN.iter().map(|text| text.as_bytes()));
    let dialogue = dialogue.chain([b"+OK 1 5\r\n".as_slice()]).collect::<Vec<_>>();
    for length in (0..dialogue.concat().len()).step_by(3) {
        let mut left = length;
        let lines: Vec<String> = dialogue
            .iter()
            .map(|line| {
                let count = left.min(line.len());
                left -= count;
                String::from_utf8(line[..count].to_vec()).expect("the replies are ASCII")
            })
            .take_while(|line| !line.is_empty())
            .collect();
        let stat = run_with_pop3(
            move |stream| {
                let Some((greeting, replies)) = lines.split_first() else { return };
                stream.write_all(greeting.as_bytes()).expect("the client reads");
                let is_complete = greeting.ends_with('\n');
                let replies: Vec<&str> = replies.iter().map(String::as_str).collect();
                send_replies(stream, if is_complete { &replies } else { &[] });
            },
            &["stat"],
        );
        assert_failed(&stat, &format!("after {length} octets"));
    }
}
