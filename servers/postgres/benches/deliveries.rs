//! Deliveries per second through one node, next to pgbench inserting the same rows one per transaction on the same server, and the
//! cost of opening large maildrops. `cargo bench -p mail-postgres`; BENCH_SECONDS sets the time of each load.

#![allow(clippy::print_stdout, reason = "the result")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mail_postgres::{Database, PostgresStore};
use mail_store::disk::RealDisk;
use mail_store::offload::Threads;
use mail_store::text::TextStore;
use mail_store::{DeliveryTarget, Extent, Maildrop, MaildropStore};
use postgres_testing::{Durability, PostgresServer};
use store_testing::sample::{account, deliver, envelope};

const CLIENTS: usize = 20;
const ACCOUNTS: usize = 200;

fn main() {
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let server = PostgresServer::start(Durability::Synced);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(&server, Duration::from_secs(seconds)));
}

async fn run(server: &PostgresServer, time: Duration) {
    let data = tempfile::tempdir().expect("a directory");
    let url = server.create_database();
    let database = Database::new(&url, 16).expect("a valid URL");
    database.migrate().await.expect("migrated");
    let store = PostgresStore::new(database, &RealDisk::new(data.path())).expect("opened");
    let transactions = || {
        let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'mail0'";
        server.psql("postgres", sql).trim().parse::<u64>().expect("a number")
    };
    let inserted = pgbench(server, time);
    println!("pgbench, {CLIENTS} clients, one row of 4 KiB per transaction: {inserted:.0}/s");
    let before = transactions();
    let delivered = load(store.clone(), time).await;
    // The server publishes its statistics with a delay.
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("deliveries to the database, {CLIENTS} senders: {:.0}/s", rate(delivered, time));
    println!("transactions per delivery: {:.3}", (transactions() - before) as f64 / delivered as f64);
    let text =
        TextStore::open(RealDisk::new(data.path().join("text")), Threads, "localhost").expect("opened");
    println!("deliveries to text files: {:.0}/s", rate(load(text, time).await, time));
    for messages in [1_000, 100_000, 1_000_000] {
        open_maildrop(server, &store, messages).await;
    }
}

fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn message() -> String {
    let header = "From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: x\r\n\r\n";
    header.to_owned() + &"0123456789012345678901234567890123456789012345678901234567890123\r\n".repeat(60)
}

async fn load<S: DeliveryTarget + 'static>(store: S, time: Duration) -> u64 {
    let (store, delivered, started) = (Arc::new(store), Arc::new(AtomicU64::new(0)), Instant::now());
    let senders = (0..CLIENTS).map(|client| {
        let (store, delivered, text) = (Arc::clone(&store), Arc::clone(&delivered), message());
        tokio::spawn(async move {
            for number in 0_usize.. {
                if started.elapsed() >= time {
                    break;
                }
                let name = format!("account{}", (client + number * CLIENTS) % ACCOUNTS);
                let id = format!("{client}-{number}");
                deliver(&*store, &envelope(&[&name]), &id, text.clone()).await;
                delivered.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("no panic");
    }
    delivered.load(Ordering::Relaxed)
}

/// Transactions per second.
fn pgbench(server: &PostgresServer, time: Duration) -> f64 {
    let row = "CREATE TABLE pgbench_row (account text, position bigint, content bytea, PRIMARY KEY (account, position))";
    server.psql("mail0", row);
    let script = format!(
        "\\set account random(1, {ACCOUNTS})\n\\set position random(1, 1000000000000)\n\
         INSERT INTO pgbench_row VALUES ('account' || :account, :position, convert_to(repeat('0123456789abcdef', 256), 'UTF8'));\n"
    );
    let output = server.pgbench("mail0", &script, CLIENTS, time);
    let line = output.lines().find(|line| line.starts_with("tps = ")).expect("a result");
    line["tps = ".len()..].split(' ').next().and_then(|text| text.parse().ok()).expect("a number")
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
