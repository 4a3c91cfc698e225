//! Tests of the store on a disk with faults.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::users::Username;
use store_testing::sample;

use super::*;
use crate::disk::sim::{SimDisk, Survival};
use crate::offload::Inline;
use crate::{Body, Destination, DsnRequest, Entry, Extent, IncomingMessage, MailboxReport, Maildrop, Origin};

mod crash;
mod delivery_and_retrieval;
mod failures;
mod index;
mod non_blocking_reads;

const MAILBOX: &str = "gb/MyMailBox.txt";
const PERSONS: &str =
    "From: <ag@iit.edu>\nTo: <gb@iit.edu>\nSubject: By hand\nReceived: 2026-11-22 : 19 : 15\n\nHello\n.\n";

const SURVIVALS: [Survival; 4] =
    [Survival::Nothing, Survival::Everything, Survival::Some(7), Survival::Some(0xdead_beef)];

/// A future of inline work is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("inline work was not done at once"),
    }
}

type Store = TextStore<SimDisk, Inline>;

fn store(disk: &SimDisk) -> Store {
    TextStore::open(disk.clone(), Inline, "iitkgp.edu").expect("the store opens")
}

fn gb() -> Username {
    sample::account("gb")
}

fn trace(id: &str) -> Trace {
    Trace { peer: Some([127, 0, 0, 1].into()), with: "SMTP", ..sample::trace(id) }
}

fn recipient(account: &str) -> Destination {
    Destination::Mailbox { account: sample::account(account), address: sample::address(account) }
}

fn envelope(recipients: &[Destination]) -> Envelope {
    Envelope {
        reverse_path: trace("").reverse_path,
        recipients: recipients.to_vec(),
        origin: Origin::OtherHost,
        dsn: DsnRequest::default(),
        require_tls: false,
    }
}

/// Delivers to gb.
fn deliver(store: &Store, id: &str, message: &str) -> Result<(), StoreError> {
    let mut incoming = now(store.begin(&envelope(&[recipient("gb")])))?;
    for chunk in message.as_bytes().chunks(300_000) {
        now(incoming.write(Bytes::copy_from_slice(chunk)))?;
    }
    now(incoming.commit(&trace(id)))
}

fn message(id: &str) -> String {
    format!("From: <ag@iit.edu>\r\nSubject: {id}\r\nX: y\r\n\r\nthe body of {id}\r\n.dot\r\n")
}

/// The content that RETR sends for [`message`].
fn served(id: &str) -> String {
    format!(
        "Return-Path: <ag@iit.edu>\r\nReceived: from iit.edu ([127.0.0.1]) by iitkgp.edu with SMTP id {id} (added To); \
         Sun, 22 Nov 2026 19:15:07 +0000\r\nFrom: <ag@iit.edu>\r\nSubject: {id}\r\nX: y\r\n\r\nthe body of {id}\r\n..dot\r\n"
    )
}

fn served_persons() -> String {
    "Received: by iitkgp.edu; Sun, 22 Nov 2026 19:15:00 +0000\r\nFrom: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\n\
     Subject: By hand\r\n\r\nHello\r\n"
        .into()
}

fn body(
    maildrop: &mut TextMaildrop<SimDisk, Inline>,
    number: u64,
    extent: Extent,
) -> Result<String, StoreError> {
    let mut body = now(maildrop.body(number, extent))?;
    let mut text = Vec::new();
    while let Some(chunk) = now(body.chunk())? {
        text.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(text).expect("UTF-8"))
}

fn entries(maildrop: &mut TextMaildrop<SimDisk, Inline>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let more = now(maildrop.entries(entries.len() as u64 + 1)).expect("the listing is readable");
        if more.is_empty() {
            return entries;
        }
        entries.extend(more);
    }
}

/// The messages of gb. Also checks that entries and bodies agree.
fn bodies(store: &Store) -> Vec<String> {
    let mut maildrop = now(store.open(&gb())).expect("the lease is free");
    let entries = entries(&mut maildrop);
    assert_eq!(entries.len() as u64, maildrop.count());
    assert_eq!(entries.iter().map(|entry| entry.octets).sum::<u64>(), maildrop.octets());
    let bodies = (1..=maildrop.count())
        .map(|number| body(&mut maildrop, number, Extent::Whole).expect("the message exists"));
    let bodies: Vec<String> = bodies.collect();
    for (entry, body) in entries.iter().zip(&bodies) {
        let stuffed = body.split("\r\n").filter(|line| line.starts_with('.')).count();
        assert_eq!(entry.octets, (body.len() - stuffed) as u64);
        assert_eq!(now(maildrop.entry(entry.number)).as_ref(), Ok(entry));
    }
    bodies
}

fn remove(store: &Store, numbers: &[u64]) -> Result<(), StoreError> {
    now(now(store.open(&gb()))?.remove(numbers))
}
