//! A web server that records requests, to detect pages that send any.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

type Pages = BTreeMap<String, String>;

/// Serves pages on 127.0.0.1 and records the path of every request.
#[derive(Debug)]
pub struct TrapServer {
    address: SocketAddr,
    pages: Arc<Mutex<Pages>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TrapServer {
    /// Starts on a free port. Its thread ends with the process.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let trap = Self { address, pages: Arc::default(), requests: Arc::default() };
        let (pages, requests) = (Arc::clone(&trap.pages), Arc::clone(&trap.requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, requests) = (Arc::clone(&pages), Arc::clone(&requests));
                // An error after the request line is irrelevant: the request is already recorded.
                thread::spawn(move || answer(&stream, &pages, &requests).ok());
            }
        });
        trap
    }

    /// The URL of a path, which starts with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves a page at a path; other paths return 204.
    pub fn serve(&self, path: &str, html: String) {
        lock(&self.pages).insert(path.to_owned(), html);
    }

    /// The requested paths in order.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }
}

fn answer(
    mut stream: &TcpStream,
    pages: &Mutex<Pages>,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let Some(path) = request.split(' ').nth(1) else { return Ok(()) };
    lock(requests).push(path.to_owned());
    // Closing a socket with unread bytes would reset the connection.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let page = lock(pages).get(path).cloned();
    let status = if page.is_some() { "200 OK" } else { "204 No Content" };
    let page = page.unwrap_or_default();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
