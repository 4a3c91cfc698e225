//! Parsing of POP3 commands, with and without framing. The target is 2 million per second on one core.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mail_core::line::{Line, LineReader};
use mail_core::pop3::Command;
use mail_core::pop3::limits::AUTH_LINE_OCTETS_MAX;

/// A typical session: log in, list, retrieve, delete.
const SESSION: &[&str] = &[
    "CAPA",
    "USER ag@iit.edu",
    "PASS correct horse battery staple",
    "STAT",
    "LIST",
    "UIDL",
    "TOP 1 0",
    "RETR 1",
    "RETR 1048576",
    "DELE 1",
    "NOOP",
    "QUIT",
];

fn command_parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pop3_command_parse");
    group.throughput(Throughput::Elements(SESSION.len() as u64));
    group.bench_function("lines", |bencher| {
        bencher.iter(|| {
            for line in SESSION {
                black_box(Command::parse(black_box(line.as_bytes()))).expect("each line is valid");
            }
        });
    });
    let wire = SESSION.join("\r\n") + "\r\n";
    group.bench_function("stream", |bencher| {
        let mut input = BytesMut::new();
        bencher.iter(|| {
            let mut lines = LineReader::new(AUTH_LINE_OCTETS_MAX);
            input.extend_from_slice(wire.as_bytes());
            while let Some(Line::Complete(line, _)) = lines.next_line(&mut input) {
                black_box(Command::parse(&line)).expect("each line is valid");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, command_parse);
criterion_main!(benches);
