//! Servers that mean harm: whatever they send, the terminal client ends with a sentence, in bounded time and memory.

#![cfg(unix)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::JoinHandle;

use support::{Finished, PATIENCE, finish, nowhere};

/// What the client may take of the machine's memory, in KiB: a limit of the system's, beyond which it would be ended.
const MEMORY_KIB: u32 = 400_000;

/// A server of one connection that does as it likes.
fn server(act: impl FnOnce(&mut TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client connects");
        stream.set_write_timeout(Some(PATIENCE)).expect("set");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        act(&mut stream);
    });
    (address, thread)
}

/// Says this over and over, until nobody listens any more.
fn for_ever(stream: &mut TcpStream, text: &str) {
    let much = text.repeat(1 + 65_536 / text.len());
    while stream.write_all(much.as_bytes()).is_ok() {}
}

/// Answers each line that comes with the next of these, whatever it says.
fn answer(stream: &mut TcpStream, answers: &[&str]) {
    for text in answers {
        let mut octet = [0];
        while stream.read(&mut octet).is_ok_and(|count| count == 1) && octet != *b"\n" {}
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// The scriptable face, with little memory.
fn run(smtp: SocketAddr, pop3: SocketAddr, arguments: &[&str]) -> Finished {
    let home = tempfile::tempdir().expect("a folder");
    let client = support::client(smtp, pop3, home.path());
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")]);
    limited.arg(client.get_program()).args(client.get_args());
    limited.args(arguments).args(["--user", "gb", "--password-stdin"]);
    limited.current_dir(home.path()).env("HOME", home.path()).env("TERM", "xterm");
    finish(&mut limited, b"other\n")
}

fn read_from(act: impl FnOnce(&mut TcpStream) + Send + 'static, arguments: &[&str]) -> Finished {
    let (address, thread) = server(act);
    let finished = run(nowhere(), address, arguments);
    thread.join().expect("the server does as it likes");
    finished
}

fn send_to(act: impl FnOnce(&mut TcpStream) + Send + 'static) -> Finished {
    let (address, thread) = server(act);
    let finished = run(address, nowhere(), &["send", "--from", "gb@iit.edu", "--to", "ag@iit.edu"]);
    thread.join().expect("the server does as it likes");
    finished
}

fn assert_failed(finished: &Finished, what: &str) {
    assert_eq!(finished.code, Some(1), "{what}: {finished:?}");
    assert!(
        finished.stderr.starts_with("mail-client: ") && finished.stderr.len() < 2_000,
        "{what}: {finished:?}"
    );
    assert!(!finished.stderr.contains('\x1b') && !finished.text().contains('\x1b'), "{what}: {finished:?}");
}

const POP3_LOGIN: &[&str] = &["+OK\r\nPIPELINING\r\nTOP\r\nUIDL\r\n.\r\n", "+OK\r\n", "+OK in\r\n"];

#[test]
fn a_line_without_an_end() {
    assert_failed(&read_from(|stream| for_ever(stream, "+OK "), &["stat"]), "POP3");
    assert_failed(&send_to(|stream| for_ever(stream, "220 ")), "SMTP");
}

#[test]
fn an_answer_of_lines_without_an_end() {
    let ehlo = send_to(|stream| {
        stream.write_all(b"220 hi\r\n").expect("the client reads");
        answer(stream, &["250-hi\r\n"]);
        for_ever(stream, "250-MORE\r\n");
    });
    assert_failed(&ehlo, "EHLO");
    let capa = read_from(
        |stream| {
            stream.write_all(b"+OK hi\r\n").expect("the client reads");
            answer(stream, &["+OK\r\n"]);
            for_ever(stream, "MORE\r\n");
        },
        &["stat"],
    );
    assert_failed(&capa, "CAPA");
    let list = read_from(
        |stream| {
            stream.write_all(b"+OK hi\r\n").expect("the client reads");
            answer(stream, POP3_LOGIN);
            answer(stream, &["+OK\r\n"]);
            for_ever(stream, "1 1\r\n");
        },
        &["list"],
    );
    assert_failed(&list, "LIST");
}

#[test]
fn words_before_anybody_has_asked() {
    let early = read_from(|stream| for_ever(stream, "+OK logged in\r\n"), &["stat"]);
    assert_failed(&early, "POP3");
    assert_failed(&send_to(|stream| for_ever(stream, "250 2.0.0 taken\r\n")), "SMTP");
}

#[test]
fn numbers_that_cannot_be() {
    for said in ["+OK 99999999999999999999 1\r\n", "+OK -1 5\r\n", "+OK\r\n", "+OK \x1b[2J 1\r\n"] {
        let stat = read_from(
            move |stream| {
                stream.write_all(b"+OK hi\r\n").expect("the client reads");
                answer(stream, POP3_LOGIN);
                answer(stream, &[said]);
            },
            &["stat"],
        );
        assert_failed(&stat, said);
    }
}

#[test]
fn what_is_announced_is_not_believed() {
    // Ten GiB are announced, and five octets come.
    let read = read_from(
        |stream| {
            stream.write_all(b"+OK hi\r\n").expect("the client reads");
            answer(stream, POP3_LOGIN);
            let message = "+OK 10737418240 octets\r\nSubject: \x1b[2Jx\r\n\r\na\x1b]0;b\x07\r\n.\r\n";
            answer(stream, &["+OK 1 10737418240\r\n", message, "+OK bye\r\n"]);
        },
        &["read", "1"],
    );
    assert_eq!(read.code, Some(0), "{read:?}");
    assert!(!read.text().contains(['\x1b', '\x07']), "{read:?}");
}

#[test]
fn a_server_that_leaves_at_any_octet() {
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
                String::from_utf8(line[..count].to_vec()).expect("it is ASCII")
            })
            .take_while(|line| !line.is_empty())
            .collect();
        let stat = read_from(
            move |stream| {
                let Some((greeting, answers)) = lines.split_first() else { return };
                stream.write_all(greeting.as_bytes()).expect("the client reads");
                let whole = greeting.ends_with('\n');
                let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
                answer(stream, if whole { &answers } else { &[] });
            },
            &["stat"],
        );
        assert_failed(&stat, &format!("after {length} octets"));
    }
}
