//! Cost of store operations by mailbox size: opening a maildrop with and without index, removing and reading a message, and a
//! delivery. On the disk of the temporary directory, with every change synced.

use std::fs;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mail_core::users::Username;
use mail_store::disk::RealDisk;
use mail_store::offload::Inline;
use mail_store::text::TextStore;
use mail_store::{Body, Extent, Maildrop, MaildropStore};
use store_testing::sample;
use tempfile::TempDir;

const LINE: &str = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. Sed do eiusm\r\n";
const TEMPLATE_ID: &str = "01JD8W00000000000000000000";

struct Place {
    root: TempDir,
    store: TextStore<RealDisk, Inline>,
    gb: Username,
    delivered: u64,
}

impl Place {
    /// A maildrop with this many messages of this many lines, with ascending ids.
    fn new(count: u64, lines: usize) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let store =
            TextStore::open(RealDisk::new(root.path()), Inline, "iitkgp.edu").expect("the store opens");
        let gb = Username::parse("gb").expect("a username");
        let place = Self { root, store, gb, delivered: 0 };
        place.deliver(TEMPLATE_ID, lines);
        let mailbox = place.root.path().join("gb/MyMailBox.txt");
        let record = fs::read_to_string(&mailbox).expect("readable");
        let (before, behind) = record.split_once(TEMPLATE_ID).expect("the record contains the id");
        let mut text = String::with_capacity(record.len() * count as usize);
        for number in 0..count {
            text.extend([before, &format!("01JD8W{number:020}"), behind]);
        }
        fs::write(mailbox, text).expect("written");
        place
    }

    fn deliver(&self, id: &str, lines: usize) {
        let text = format!("From: a\r\nTo: b\r\nSubject: c\r\n\r\n{}", LINE.repeat(lines));
        now(sample::deliver(&self.store, &sample::envelope(&["gb"]), id, text));
    }

    fn deliver_another(&mut self) {
        self.delivered += 1;
        self.deliver(&format!("01JD8X{:020}", self.delivered), 1);
    }

    fn open(&self) -> impl Maildrop + use<> {
        now(self.store.open(&self.gb)).expect("the lease is free")
    }

    fn remove_first(&self) {
        now(self.open().remove(&[1])).expect("removed");
    }
}

/// A future of inline work is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("inline work was not done at once"),
    }
}

fn timed(times: u64, mut each: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| each()).sum()
}

fn growth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("maildrop");
    group.sample_size(20);
    for count in [1_000, 100_000, 1_000_000] {
        let mut place = Place::new(count, 1);
        assert_eq!(place.open().count(), count);
        group.bench_function(BenchmarkId::new("warm open", count), |bencher| bencher.iter(|| place.open()));
        group.bench_function(BenchmarkId::new("delivery", count), |bencher| {
            bencher.iter(|| place.deliver_another());
        });
        group.bench_function(BenchmarkId::new("DELE 1 and QUIT", count), |bencher| {
            bencher.iter_custom(|times| {
                timed(times, || {
                    place.deliver_another();
                    let start = Instant::now();
                    place.remove_first();
                    start.elapsed()
                })
            });
        });
        group.bench_function(BenchmarkId::new("warm open, some removed", count), |bencher| {
            bencher.iter(|| place.open());
        });
    }
    group.finish();
}

fn of_4_kib(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("100,000 messages of 4 KiB");
    group.sample_size(10);
    let place = Place::new(100_000, 55);
    let index = place.root.path().join("gb/.index");
    group.bench_function("first open", |bencher| {
        bencher.iter_custom(|times| {
            timed(times, || {
                // The first iteration has nothing to remove.
                let _ = fs::remove_file(&index);
                let start = Instant::now();
                assert_eq!(place.open().count(), 100_000);
                start.elapsed()
            })
        });
    });
    let mut session = place.open();
    let mut number = 0;
    group.bench_function("RETR of the next", |bencher| {
        bencher.iter(|| {
            number = number % 100_000 + 1;
            let octets = now(session.entry(number)).expect("it exists").octets;
            let mut body = now(session.body(number, Extent::Whole)).expect("it exists");
            let chunk = now(body.chunk()).expect("readable").expect("the body is not empty");
            assert_eq!(chunk.len() as u64, octets);
        });
    });
    group.finish();
}

criterion_group!(maildrop, growth, of_4_kib);
criterion_main!(maildrop);
