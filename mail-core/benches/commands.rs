//! Parsing of SMTP commands.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mail_core::smtp::command::Command;

/// The commands of two transactions.
const DIALOGUE: [&str; 10] = [
    "EHLO mail.iit.edu",
    "MAIL FROM:<ag@iit.edu> SIZE=10240 BODY=8BITMIME",
    "RCPT TO:<gb@iit.edu>",
    "RCPT TO:<\"gopal b\"@[192.0.2.1]>",
    "DATA",
    "RSET",
    "MAIL FROM: <ag@iit.edu>",
    "RCPT TO: gb@iitkgp.edu",
    "DATA",
    "QUIT",
];

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("smtp_command_parse");
    group.throughput(Throughput::Elements(DIALOGUE.len() as u64));
    group.bench_function("dialogue", |bencher| {
        bencher.iter(|| {
            for line in DIALOGUE {
                black_box(Command::parse(black_box(line.as_bytes()))).expect("each line is valid");
            }
        });
    });
    for (name, line) in [("mail", DIALOGUE[1]), ("rcpt", DIALOGUE[2]), ("quit", DIALOGUE[9])] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| bencher.iter(|| Command::parse(black_box(line.as_bytes()))));
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
