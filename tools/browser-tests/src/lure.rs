//! A web server that nobody should visit.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

type Pages = BTreeMap<String, String>;

/// Serves pages on 127.0.0.1 and keeps the path of every request.
#[derive(Debug)]
pub struct Lure {
    address: SocketAddr,
    pages: Arc<Mutex<Pages>>,
    visits: Arc<Mutex<Vec<String>>>,
}

impl Lure {
    /// Starts on a free port. Its thread ends with the process.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let lure = Self { address, pages: Arc::default(), visits: Arc::default() };
        let (pages, visits) = (Arc::clone(&lure.pages), Arc::clone(&lure.visits));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, visits) = (Arc::clone(&pages), Arc::clone(&visits));
                // A visitor who goes away in mid-sentence has been counted, or had not asked yet.
                thread::spawn(move || answer(&stream, &pages, &visits).ok());
            }
        });
        lure
    }

    /// The address of a path, which starts with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers a path with a page instead of with nothing.
    pub fn serve(&self, path: &str, html: String) {
        lock(&self.pages).insert(path.to_owned(), html);
    }

    /// The paths that were asked for, in order.
    #[must_use]
    pub fn visits(&self) -> Vec<String> {
        lock(&self.visits).clone()
    }
}

fn answer(mut stream: &TcpStream, pages: &Mutex<Pages>, visits: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let Some(path) = request.split(' ').nth(1) else { return Ok(()) };
    lock(visits).push(path.to_owned());
    // The rest of the header is read: a socket closed with bytes unread would reset the connection.
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
