//! Deliveries per second through one node and two nodes, next to pgbench inserting rows of the same size one per transaction on the same
//! server, and to text files on the same disk; round trips; POP3 sessions; the cost of opening large maildrops. `cargo bench -p mail-postgres`; BENCH_SECONDS sets the time of each load.

#![allow(clippy::print_stdout, reason = "the result")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mail_postgres::{Database, PostgresStore};
use mail_store::disk::RealDisk;
use mail_store::offload::Threads;
use mail_store::text::TextStore;
use mail_store::{Body, DeliveryTarget, Extent, Maildrop, MaildropStore};
use postgres_testing::{Durability, PostgresServer};
use store_testing::sample::{account, deliver, envelope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const CLIENTS: usize = 20;
const ACCOUNTS: u64 = 200;
const ROUNDS: usize = 3;
/// Number of the next delivery; ids are unique.
static NEXT: AtomicU64 = AtomicU64::new(0);

fn main() {
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let server = PostgresServer::start(Durability::Synced);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(&server, Duration::from_secs(seconds)));
}

async fn run(server: &PostgresServer, time: Duration) {
    let data = tempfile::tempdir().expect("a directory");
    let url = server.create_database();
    open_database(&url).migrate().await.expect("migrated");
    let node = |name: &str, url: &str| {
        let disk = RealDisk::new(data.path().join(name));
        PostgresStore::new(open_database(url), &disk).expect("opened")
    };
    let (first, second) = (node("first", &url), node("second", &url));
    let text =
        TextStore::open(RealDisk::new(data.path().join("text")), Threads, "localhost").expect("opened");
    // Alternating, because the speed of the disk varies.
    let (mut inserted, mut one, mut two, mut files) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    create_rows(server);
    for _ in 0..ROUNDS {
        inserted.push(pgbench(server, time));
        one.push(rate(load(std::slice::from_ref(&first), time).await, time));
        two.push(rate(load(&[first.clone(), second.clone()], time).await, time));
        files.push(rate(load(std::slice::from_ref(&text), time).await, time));
    }
    println!("one row of 4 KiB per transaction, pgbench, {CLIENTS} clients: {}", listed(&inserted));
    println!("deliveries through one node, {CLIENTS} senders: {}", listed(&one));
    println!("deliveries through two nodes, {} senders each: {}", CLIENTS / 2, listed(&two));
    println!("deliveries to text files: {}", listed(&files));
    println!("one node / pgbench: {:.2}, two nodes / one: {:.2}", ratio(&one, &inserted), ratio(&two, &one));

    let relay = Relay::start(server);
    let relayed = node("relayed", &relay.url());
    let (transactions, trips) = (transactions(server).await, relay.round_trips());
    let delivered = load(&[relayed], time).await as f64;
    let trips = (relay.round_trips() - trips) as f64 / delivered;
    let transactions = (self::transactions(server).await - transactions) as f64 / delivered;
    println!("per delivery: {trips:.3} round trips, {transactions:.3} transactions");
    println!("POP3 sessions of one message: {:.0}/s", rate(sessions(&first, time).await, time));
    for messages in [1_000, 100_000, 1_000_000] {
        open_maildrop(server, &first, messages).await;
    }
}

fn open_database(url: &str) -> Database {
    Database::new(url, 16).expect("a valid URL")
}

/// Committed transactions of the server.
async fn transactions(server: &PostgresServer) -> u64 {
    // It publishes its statistics with a delay.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'mail0'";
    server.psql("postgres", sql).trim().parse().expect("a number")
}

fn listed(rates: &[f64]) -> String {
    let rates: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
    format!("{}/s", rates.join(", "))
}

/// Ratio of the sums.
fn ratio(rates: &[f64], others: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / others.iter().sum::<f64>()
}

fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// 4 KiB of text that does not compress.
fn message() -> String {
    let mut text = "From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: x\r\n\r\n".to_owned();
    let mut state = 1_u64;
    while text.len() < 4_096 {
        for _ in 0..64 {
            // The constants of Knuth's MMIX.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(char::from(b'0' + (state >> 58) as u8));
        }
        text.push_str("\r\n");
    }
    text
}

/// Delivers from `CLIENTS` senders, which are divided among the nodes. Returns the number of deliveries.
async fn load<S: DeliveryTarget + Clone + 'static>(nodes: &[S], time: Duration) -> u64 {
    let (delivered, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let senders = (0..CLIENTS).map(|client| {
        let (store, delivered, text) =
            (nodes[client % nodes.len()].clone(), Arc::clone(&delivered), message());
        tokio::spawn(async move {
            while started.elapsed() < time {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let name = format!("account{}", number % ACCOUNTS);
                deliver(&store, &envelope(&[&name]), &format!("id{number}"), text.clone()).await;
                delivered.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("no panic");
    }
    delivered.load(Ordering::Relaxed)
}

/// Sessions that list a maildrop, retrieve its first message and remove nothing. Returns their number.
async fn sessions(store: &PostgresStore, time: Duration) -> u64 {
    let (ended, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    for client in 0..CLIENTS {
        deliver(store, &envelope(&[&format!("reader{client}")]), &format!("reader{client}"), message()).await;
    }
    let clients = (0..CLIENTS).map(|client| {
        let (store, ended, name) = (store.clone(), Arc::clone(&ended), format!("reader{client}"));
        tokio::spawn(async move {
            while started.elapsed() < time {
                let mut maildrop = store.open(&account(&name)).await.expect("free");
                assert_eq!(maildrop.entries(1).await.expect("read").len(), 1);
                let mut body = maildrop.body(1, Extent::Whole).await.expect("it exists");
                while body.chunk().await.expect("read").is_some() {}
                drop(body);
                maildrop.release().await;
                ended.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("no panic");
    }
    ended.load(Ordering::Relaxed)
}

fn create_rows(server: &PostgresServer) {
    let row = "CREATE TABLE pgbench_row (account text, position bigint, content bytea, PRIMARY KEY (account, position))";
    server.psql("mail0", row);
}

/// Transactions per second.
fn pgbench(server: &PostgresServer, time: Duration) -> f64 {
    let content: String = message().bytes().map(|octet| format!("{octet:02x}")).collect();
    let script = format!(
        "\\set account random(1, {ACCOUNTS})\n\\set position random(1, 1000000000000)\n\
         INSERT INTO pgbench_row VALUES ('account' || :account, :position, '\\x{content}');\n"
    );
    let output = server.pgbench("mail0", &script, CLIENTS, time);
    let line = output.lines().find(|line| line.starts_with("tps = ")).expect("a result");
    line["tps = ".len()..].split(' ').next().and_then(|text| text.parse().ok()).expect("a number")
}

/// Counts round trips between a node and the server: requests that follow an answer.
struct Relay {
    directory: tempfile::TempDir,
    round_trips: Arc<AtomicU64>,
}

impl Relay {
    fn start(server: &PostgresServer) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).expect("bound");
        let round_trips = Arc::new(AtomicU64::new(0));
        let (socket, counter) = (server.socket(), Arc::clone(&round_trips));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.expect("the server listens");
                tokio::spawn(relay(client, server, Arc::clone(&counter)));
            }
        });
        Self { directory, round_trips }
    }

    fn url(&self) -> String {
        PostgresServer::url_at(self.directory.path(), "mail0")
    }

    fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }
}

async fn relay(mut client: UnixStream, mut server: UnixStream, round_trips: Arc<AtomicU64>) {
    let (mut request, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut was_answered = true;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(count @ 1..) = read else { return };
                if std::mem::take(&mut was_answered) {
                    round_trips.fetch_add(1, Ordering::Relaxed);
                }
                if server.write_all(&request[..count]).await.is_err() { return }
            }
            read = server.read(&mut answer) => {
                let Ok(count @ 1..) = read else { return };
                was_answered = true;
                if client.write_all(&answer[..count]).await.is_err() { return }
            }
        }
    }
}

/// Prints the time of opening a maildrop with this many messages, of RETR and of a QUIT that removes one.
async fn open_maildrop(server: &PostgresServer, store: &PostgresStore, messages: u64) {
    let name = format!("large{messages}");
    server.psql("mail0", &format!(
        "INSERT INTO message (account, position, unique_id, octets, received, trace_length, front_length, content) \
         SELECT '{name}', n, 'id' || n, 100, now(), 0, 0, repeat('x', 98)::bytea || '\\x0d0a' FROM generate_series(1, {messages}) n; \
         INSERT INTO maildrop VALUES ('{name}', {messages}, {messages} * 100, {messages} + 1)"
    ));
    server.psql("mail0", "VACUUM ANALYZE message");
    let (mut opened, mut retrieved, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..20 {
        let started = Instant::now();
        let mut maildrop = store.open(&account(&name)).await.expect("free");
        opened.push(started.elapsed());
        let started = Instant::now();
        maildrop.body(1, Extent::Whole).await.expect("it exists");
        retrieved.push(started.elapsed());
        let started = Instant::now();
        maildrop.remove(&[1]).await.expect("removed");
        removed.push(started.elapsed());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    println!(
        "{messages} messages: open {:.1?}, first message {:.1?}, QUIT that removes one {:.1?}",
        median(&mut opened),
        median(&mut retrieved),
        median(&mut removed)
    );
}
