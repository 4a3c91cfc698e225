//! The load against a server of a few lines, which counts what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::Failure;
use crate::{Account, disk, maildrop, message, sessions};

/// The lines of all sessions.
type Heard = Arc<Mutex<Vec<String>>>;

/// Each message is `number` lines long; the octets of all are known.
const MESSAGES: usize = 7;
const LINE: &str = "a line of text, and a stuffed one\r\n..\r\n";

fn octets() -> u64 {
    (1..=MESSAGES).map(|number| (LINE.len() * number) as u64).sum()
}

async fn start(step: usize) -> (Account, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let account = Account {
        address: listener.local_addr().expect("it is bound"),
        name: "p%".to_owned(),
        password: "secret".to_owned(),
    };
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, step, Arc::clone(&hears)));
        }
    });
    (account, heard)
}

/// Answers, and writes `step` octets at a time.
async fn serve(socket: TcpStream, step: usize, heard: Heard) {
    socket.set_nodelay(true).expect("a socket");
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"+OK ready\r\n").await.expect("the client is there");
    while let Some(line) = lines.next_line().await.expect("the client is there") {
        let reply = match line.split_once(' ').unwrap_or((&line, "")) {
            ("PASS", word) if word != "secret" => "-ERR no\r\n".to_owned(),
            ("STAT", _) => format!("+OK {MESSAGES} 9999\r\n"),
            ("RETR", number) => {
                format!("+OK\r\n{}.\r\n", LINE.repeat(number.parse().expect("a number")))
            }
            _ => "+OK\r\n".to_owned(),
        };
        let ends = line == "QUIT";
        heard.lock().expect("no test panics with it").push(line);
        for piece in reply.as_bytes().chunks(step) {
            write.write_all(piece).await.expect("the client is there");
        }
        if ends {
            return;
        }
    }
}

fn count(heard: &Heard, line: &str) -> usize {
    heard.lock().expect("no test panics with it").iter().filter(|one| *one == line).count()
}

#[tokio::test]
async fn sessions_take_turns_with_the_accounts() {
    let (account, heard) = start(usize::MAX).await;
    sessions::run(&account, 30, 10, 4).await.expect("the server says yes");
    assert_eq!((count(&heard, "STAT"), count(&heard, "QUIT")), (30, 30));
    for number in 1..=10 {
        assert_eq!(count(&heard, &format!("USER p{number}")), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_message_is_fetched_and_counted_however_its_bytes_come() {
    for (step, ahead) in [(usize::MAX, 1), (1, 1), (usize::MAX, 4), (3, 100)] {
        let (account, heard) = start(step).await;
        let fetched = maildrop::fetch(&account, ahead, None).await.expect("the server says yes");
        assert_eq!((fetched.messages, fetched.octets), (MESSAGES, octets()), "step {step}, ahead {ahead}");
        assert_eq!(count(&heard, &format!("RETR {MESSAGES}")), 1);
    }
    let (account, heard) = start(usize::MAX).await;
    assert_eq!(maildrop::fetch(&account, 2, Some(3)).await.expect("the server says yes").messages, 3);
    assert_eq!((count(&heard, "RETR 3"), count(&heard, "RETR 4")), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_maildrop_is_opened_and_emptied() {
    let (account, heard) = start(usize::MAX).await;
    assert_eq!(maildrop::open(&account.numbered(5)).await.expect("the server says yes").1, MESSAGES);
    assert_eq!(count(&heard, "USER p5"), 1);
    maildrop::remove(&account, 2).await.expect("the server says yes");
    assert_eq!((count(&heard, "DELE 1"), count(&heard, "DELE 2"), count(&heard, "DELE 3")), (1, 1, 0));
}

#[tokio::test]
async fn a_refusal_is_no_figure() {
    let (account, _) = start(usize::MAX).await;
    let stranger = Account { password: "wrong".to_owned(), ..account };
    let failure = sessions::run(&stranger, 5, 1, 2).await.expect_err("the password is wrong");
    assert!(matches!(&failure, Failure::Refused(line) if line == "-ERR no"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_is_sent_whole_and_refused_aloud() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async move {
        let mut texts = Vec::new();
        for answer in ["250 kept", "452 no room"] {
            let (socket, _) = listener.accept().await.expect("a client");
            texts.push(take_mail(socket, answer).await);
        }
        texts
    });
    message::send(address, "a@b.test", 10_000).await.expect("the server says yes");
    let failure = message::send(address, "a@b.test", 10).await.expect_err("there is no room");
    assert!(matches!(&failure, Failure::Refused(line) if line == "452 no room"), "{failure}");
    let texts = server.await.expect("it does not panic");
    assert!((10_000..10_200).contains(&texts[0].len()), "{}", texts[0].len());
}

/// The message that came.
async fn take_mail(socket: TcpStream, answer: &str) -> String {
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 ready\r\n").await.expect("the client is there");
    let (mut text, mut in_text) = (String::new(), false);
    while let Some(line) = lines.next_line().await.expect("the client is there") {
        let reply = match line.as_str() {
            "." if in_text => answer,
            _ if in_text => {
                text.push_str(&line);
                text.push_str("\r\n");
                continue;
            }
            "DATA" => "354 go on",
            "EHLO load.peers.test" => "250-here\r\n250 SIZE",
            _ => "250 yes",
        };
        in_text = line == "DATA";
        write.write_all(format!("{reply}\r\n").as_bytes()).await.expect("the client is there");
        if line == "QUIT" || reply.starts_with('4') {
            break;
        }
    }
    text
}

#[test]
fn appends_leave_nothing_behind() {
    let folder = std::env::temp_dir().join(format!("pop3-load-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("made");
    assert!(disk::appends(&folder, 2, 4).expect("written") > 0.0);
    assert_eq!(std::fs::read_dir(&folder).expect("listed").count(), 0);
    std::fs::remove_dir(&folder).expect("removed");
}
