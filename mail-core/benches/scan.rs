//! Scan of a mailbox with messages of about 4 KiB and lines of about 70 octets.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mail_core::mailbox::scan::records;
use mail_core::mailbox::{RecordWriter, Trace};
use mail_core::message::address::{Address, ReversePath};

fn record(number: usize) -> Vec<u8> {
    let line = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. Sed do eiusm\r\n";
    let message = format!(
        "Date: Sun, 22 Nov 2026 19:15:06 +0000\r\nFrom: Ag <ag@iit.edu>\r\nTo: Gb <gb@iit.edu>\r\n\
         Subject: Meeting {number}\r\nMessage-ID: <{number}@iit.edu>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{}.dot\r\n",
        line.repeat(54)
    );
    let address = Address::parse("gb@iit.edu").expect("a valid address");
    let trace = Trace {
        reverse_path: ReversePath::Address(address.clone()),
        hello: "iit.edu".into(),
        peer: Some([127, 0, 0, 1].into()),
        by: "iitkgp.edu".into(),
        with: "ESMTP",
        tls: None,
        id: format!("01JD8W{number}"),
        time: chrono::DateTime::UNIX_EPOCH,
        authentication_results: None,
        delivered_to: false,
    };
    let (mut writer, mut rest) = (RecordWriter::default(), Vec::new());
    writer.write(message.as_bytes(), &mut rest);
    let mut record = writer.finish(&mut rest).record_head(&trace, &address);
    record.extend_from_slice(&rest);
    record
}

fn benches(criterion: &mut Criterion) {
    let mailbox: Vec<u8> = (0..256).flat_map(record).collect();
    let mut group = criterion.benchmark_group("record_scan");
    group.throughput(Throughput::Bytes(mailbox.len() as u64));
    group.bench_function("256 messages of 4 KiB", |bencher| {
        bencher.iter(|| {
            let records = records(black_box(&mailbox), "iitkgp.edu");
            assert_eq!(records.len(), 256);
            records
        });
    });
    group.finish();
}

criterion_group!(scan, benches);
criterion_main!(scan);
