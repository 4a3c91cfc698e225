//! Runs the load generator against minimal servers that record the commands.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::connection::Error;
use crate::{Account, disk, large_message, maildrop, sessions};

/// The command lines of all sessions.
type Commands = Arc<Mutex<Vec<String>>>;

/// Number of messages; message n has n times [`LINE`].
const MESSAGES: usize = 7;
const LINE: &str = "a line of text, and a stuffed one\r\n..\r\n";

fn octets() -> u64 {
    (1..=MESSAGES).map(|number| (LINE.len() * number) as u64).sum()
}

async fn start(step: usize) -> (Account, Commands) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let account = Account {
        address: listener.local_addr().expect("a bound socket"),
        name: "p%".to_owned(),
        password: "secret".to_owned(),
    };
    let commands = Commands::default();
    let recorded = Arc::clone(&commands);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, step, Arc::clone(&recorded)));
        }
    });
    (account, commands)
}

/// Answers commands and writes `step` octets at a time.
async fn serve(socket: TcpStream, step: usize, commands: Commands) {
    socket.set_nodelay(true).expect("a socket");
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"+OK ready\r\n").await.expect("the client is connected");
    while let Some(line) = lines.next_line().await.expect("the client is connected") {
        let reply = match line.split_once(' ').unwrap_or((&line, "")) {
            ("PASS", password) if password != "secret" => "-ERR no\r\n".to_owned(),
            ("STAT", _) => format!("+OK {MESSAGES} 9999\r\n"),
            ("RETR", number) => {
                format!("+OK\r\n{}.\r\n", LINE.repeat(number.parse().expect("a number")))
            }
            _ => "+OK\r\n".to_owned(),
        };
        let ends = line == "QUIT";
        commands.lock().expect("not poisoned").push(line);
        for piece in reply.as_bytes().chunks(step) {
            write.write_all(piece).await.expect("the client is connected");
        }
        if ends {
            return;
        }
    }
}

fn count(commands: &Commands, line: &str) -> usize {
    commands.lock().expect("not poisoned").iter().filter(|one| *one == line).count()
}

#[tokio::test]
async fn sessions_use_the_accounts_in_turn() {
    let (account, commands) = start(usize::MAX).await;
    sessions::run(&account, 30, 10, 4).await.expect("the server accepts");
    assert_eq!((count(&commands, "STAT"), count(&commands, "QUIT")), (30, 30));
    for number in 1..=10 {
        assert_eq!(count(&commands, &format!("USER p{number}")), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fetch_counts_all_messages_at_any_split() {
    for (step, ahead) in [(usize::MAX, 1), (1, 1), (usize::MAX, 4), (3, 100)] {
        let (account, commands) = start(step).await;
        let fetched = maildrop::fetch(&account, ahead, None).await.expect("the server accepts");
        assert_eq!((fetched.messages, fetched.octets), (MESSAGES, octets()), "step {step}, ahead {ahead}");
        assert_eq!(count(&commands, &format!("RETR {MESSAGES}")), 1);
    }
    let (account, commands) = start(usize::MAX).await;
    assert_eq!(maildrop::fetch(&account, 2, Some(3)).await.expect("the server accepts").messages, 3);
    assert_eq!((count(&commands, "RETR 3"), count(&commands, "RETR 4")), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn maildrop_is_opened_and_messages_removed() {
    let (account, commands) = start(usize::MAX).await;
    assert_eq!(maildrop::open(&account.numbered(5)).await.expect("the server accepts").1, MESSAGES);
    assert_eq!(count(&commands, "USER p5"), 1);
    maildrop::remove(&account, 2).await.expect("the server accepts");
    assert_eq!(
        (count(&commands, "DELE 1"), count(&commands, "DELE 2"), count(&commands, "DELE 3")),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn refused_login_is_an_error() {
    let (account, _) = start(usize::MAX).await;
    let wrong_password = Account { password: "wrong".to_owned(), ..account };
    let error = sessions::run(&wrong_password, 5, 1, 2).await.expect_err("the password is wrong");
    assert!(matches!(&error, Error::Refused(line) if line == "-ERR no"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn large_message_is_sent_and_a_refusal_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let server = tokio::spawn(async move {
        let mut texts = Vec::new();
        for reply_to_message in ["250 ok", "452 no room"] {
            let (socket, _) = listener.accept().await.expect("a client");
            texts.push(receive_mail(socket, reply_to_message).await);
        }
        texts
    });
    large_message::send(address, "a@b.test", 10_000).await.expect("the server accepts");
    let error = large_message::send(address, "a@b.test", 10).await.expect_err("the server refuses");
    assert!(matches!(&error, Error::Refused(line) if line == "452 no room"), "{error}");
    let texts = server.await.expect("the server does not panic");
    assert!((10_000..10_200).contains(&texts[0].len()), "{}", texts[0].len());
}

/// Receives one message and returns its text.
async fn receive_mail(socket: TcpStream, reply_to_message: &str) -> String {
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 ready\r\n").await.expect("the client is connected");
    let (mut text, mut in_text) = (String::new(), false);
    while let Some(line) = lines.next_line().await.expect("the client is connected") {
        let reply = match line.as_str() {
            "." if in_text => reply_to_message,
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
        write.write_all(format!("{reply}\r\n").as_bytes()).await.expect("the client is connected");
        if line == "QUIT" || reply.starts_with('4') {
            break;
        }
    }
    text
}

#[test]
fn append_files_are_removed() {
    let folder = std::env::temp_dir().join(format!("pop3-load-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("created");
    assert!(disk::appends(&folder, 2, 4).expect("written") > 0.0);
    assert_eq!(std::fs::read_dir(&folder).expect("listed").count(), 0);
    std::fs::remove_dir(&folder).expect("removed");
}
