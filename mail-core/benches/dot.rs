//! Dot-stuffing and its removal, with lines of about 70 octets.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mail_core::dot::{DotDecoder, DotEncoder, Piece};

/// One line in fifty begins with a dot.
fn text(octets: usize) -> Vec<u8> {
    let line = b"Lorem ipsum dolor sit amet, consectetur adipiscing elit. Sed do eiusm\r\n";
    let mut text = Vec::with_capacity(octets + line.len());
    for number in 0.. {
        if number % 50 == 49 {
            text.push(b'.');
        }
        text.extend_from_slice(line);
        if text.len() >= octets {
            break;
        }
    }
    text
}

fn encode(text: &[u8], out: &mut BytesMut) {
    let mut encoder = DotEncoder::default();
    encoder.encode(text, out);
    encoder.finish(out);
}

fn benches(criterion: &mut Criterion) {
    for (name, octets) in [("4 KiB", 4 << 10), ("1 MiB", 1 << 20)] {
        let text = text(octets);
        let mut wire = BytesMut::new();
        encode(&text, &mut wire);

        let mut group = criterion.benchmark_group("dot_encode");
        group.throughput(Throughput::Bytes(text.len() as u64));
        let mut out = BytesMut::with_capacity(2 * text.len());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encode(black_box(&text), &mut out);
                black_box(&out);
            });
        });
        group.finish();

        let mut group = criterion.benchmark_group("dot_decode");
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || wire.clone(),
                |input| {
                    let mut decoder = DotDecoder::default();
                    while let Some(Piece::Text(piece)) = decoder.decode(input) {
                        black_box(piece);
                    }
                    assert!(!decoder.is_malformed());
                },
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(dot, benches);
criterion_main!(dot);
