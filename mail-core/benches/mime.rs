//! Parsing of mails: the corpus next to the checkout, or the built-in mails.

#[path = "../tests/sample_mails/mod.rs"]
mod sample_mails;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mail_core::message::mime::Message;
use mail_core::message::parsed::ParsedMessage;

fn parse(c: &mut Criterion) {
    let own =
        || sample_mails::BUILT_IN.iter().map(|(name, mail)| ((*name).to_owned(), mail.to_vec())).collect();
    let collected = sample_mails::collected();
    let mails: Vec<(String, Vec<u8>)> = if collected.is_empty() { own() } else { collected };
    let octets = mails.iter().map(|(_, mail)| mail.len() as u64).sum();
    let mut group = c.benchmark_group("mime");
    group.throughput(Throughput::Bytes(octets));
    group.bench_function("structure", |b| {
        b.iter(|| {
            for (_, mail) in &mails {
                black_box(Message::parse(mail, |_, _| None).parts().len());
            }
        });
    });
    group.bench_function("parsed message", |b| {
        b.iter(|| {
            for (_, mail) in &mails {
                black_box(ParsedMessage::parse(mail));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
