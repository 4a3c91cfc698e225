//! A proxy between client and server that cuts a connection around COMMIT.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use postgres_testing::PostgresServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// The moment of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server has committed; the client does not get the answer.
    AfterCommit,
    /// The server does not get COMMIT.
    BeforeCommit,
}

#[derive(Debug)]
struct Shared {
    upstream: PathBuf,
    cuts: Mutex<VecDeque<Cut>>,
    /// Number of cuts so far.
    done: watch::Sender<usize>,
    /// New connections wait while it is true.
    held: watch::Sender<bool>,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    directory: tempfile::TempDir,
    shared: Arc<Shared>,
}

impl Proxy {
    pub(crate) fn start(server: &PostgresServer) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).expect("bound");
        let shared = Arc::new(Shared {
            upstream: server.socket(),
            cuts: Mutex::default(),
            done: watch::Sender::new(0),
            held: watch::Sender::new(false),
        });
        let accepted = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&accepted);
                tokio::spawn(async move { shared.relay(client).await });
            }
        });
        Self { directory, shared }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        PostgresServer::url_at(self.directory.path(), database)
    }

    /// Cuts the next connection that sends COMMIT.
    pub(crate) fn cut(&self, cut: Cut) {
        self.shared.cuts().push_back(cut);
    }

    pub(crate) fn pending(&self) -> usize {
        self.shared.cuts().len()
    }

    /// Lets new connections wait, until `resume`.
    pub(crate) fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    pub(crate) fn resume(&self) {
        self.shared.held.send_replace(false);
    }

    pub(crate) async fn wait_until_cut(&self) {
        let mut done = self.shared.done.subscribe();
        done.wait_for(|done| *done > 0).await.expect("the proxy lives");
    }
}

impl Shared {
    fn cuts(&self) -> MutexGuard<'_, VecDeque<Cut>> {
        self.cuts.lock().expect("not poisoned")
    }

    async fn relay(&self, mut client: UnixStream) {
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let mut server = UnixStream::connect(&self.upstream).await.expect("the server accepts");
        let (mut sent, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = client.read(&mut sent) => {
                    let Ok(count @ 1..) = read else { return };
                    let octets = &sent[..count];
                    let cut = if contains(octets, b"COMMIT") { self.cuts().pop_front() } else { None };
                    match cut {
                        None => if server.write_all(octets).await.is_err() { return },
                        Some(Cut::BeforeCommit) => return self.count(),
                        Some(Cut::AfterCommit) => {
                            server.write_all(octets).await.expect("written");
                            wait_for_commit(&mut server).await;
                            return self.count();
                        }
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(count @ 1..) = read else { return };
                    if client.write_all(&answered[..count]).await.is_err() { return }
                }
            }
        }
    }

    fn count(&self) {
        self.done.send_modify(|done| *done += 1);
    }
}

/// Reads answers up to the one to COMMIT.
async fn wait_for_commit(server: &mut UnixStream) {
    let (mut answers, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while !contains(&answers, b"COMMIT\0") {
        let count = server.read(&mut buffer).await.expect("the server answers");
        assert!(count > 0, "the server closed the connection");
        answers.extend_from_slice(&buffer[..count]);
    }
}

fn contains(octets: &[u8], text: &[u8]) -> bool {
    octets.windows(text.len()).any(|window| window == text)
}
