//! A scripted SMTP server: a remote host that behaves as a test needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

/// A message that the host has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) message: String,
    /// Number of messages before it on the same connection.
    pub(crate) position: usize,
}

/// Decides the reply to a command line; `None` means the usual one. An empty reply closes the connection. The final dot is `.`.
pub(crate) type Script = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A mail host that listens until the process ends.
pub(crate) struct MailHost {
    pub(crate) address: SocketAddr,
    pub(crate) received: mpsc::Receiver<Received>,
    /// Every command line.
    pub(crate) commands: Arc<Mutex<Vec<String>>>,
}

impl MailHost {
    /// Accepts everything.
    pub(crate) fn start(address: Ipv4Addr, port: u16) -> Self {
        Self::with_script(address, port, |_| None)
    }

    pub(crate) fn with_script(
        address: Ipv4Addr,
        port: u16,
        script: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, port)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (sender, received) = mpsc::channel();
        let (script, commands): (Arc<Script>, _) = (Arc::new(script), Arc::default());
        let all_commands = Arc::clone(&commands);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, sender) = (Arc::clone(&script), sender.clone());
                let commands = Arc::clone(&all_commands);
                // A client that goes away ends the conversation.
                thread::spawn(move || drop(converse(&stream, &*script, &sender, &commands)));
            }
        });
        Self { address, received, commands }
    }

    pub(crate) fn next(&self) -> Received {
        self.received.recv_timeout(super::TIMEOUT).expect("a message arrives")
    }
}

fn converse(
    mut stream: &TcpStream,
    script: &Script,
    received: &mpsc::Sender<Received>,
    commands: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let greeting = script("CONNECT").unwrap_or_else(|| "220 mx.example ESMTP".into());
    stream.write_all(format!("{greeting}\r\n").as_bytes())?;
    let (mut from, mut to, mut position) = (String::new(), Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        commands.lock().expect("no thread panics").push(line.to_owned());
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let mut reply = script(line);
        if reply.is_none() {
            match verb.as_str() {
                "MAIL" => from = line["MAIL FROM:".len()..].split(' ').next().unwrap_or_default().to_owned(),
                "RCPT" => to.push(line["RCPT TO:".len()..].split(' ').next().unwrap_or_default().to_owned()),
                "RSET" => to.clear(),
                _ => {}
            }
        }
        if reply.is_none() && verb == "DATA" && to.is_empty() {
            reply = Some("554 5.5.1 no valid recipients".into());
        }
        if reply.is_none() && verb == "DATA" {
            stream.write_all(b"354 go on\r\n")?;
            let mut message = String::new();
            loop {
                let mut line = Vec::new();
                if reader.read_until(b'\n', &mut line)? == 0 {
                    return Ok(());
                }
                if line == b".\r\n" {
                    break;
                }
                message.push_str(&String::from_utf8_lossy(line.strip_prefix(b".").unwrap_or(&line)));
            }
            reply = script(".");
            if reply.is_none() || reply.as_deref().is_some_and(|reply| reply.starts_with('2')) {
                let message = Received { from: from.clone(), to: std::mem::take(&mut to), message, position };
                position += 1;
                let _ = received.send(message);
            }
            to.clear();
        }
        let reply = reply.unwrap_or_else(|| match verb.as_str() {
            "EHLO" => {
                "250-mx.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 1000000".into()
            }
            "QUIT" => "221 bye".into(),
            _ => "250 2.0.0 ok".into(),
        });
        if reply.is_empty() {
            return Ok(());
        }
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
        if verb == "QUIT" {
            return Ok(());
        }
    }
}
