//! A look at every mailbox from outside, at one moment: what an administrator would find. It looks at a copy of the
//! disk, so that looking changes nothing.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use mail_core::dot::{DotDecoder, Piece};
use mail_core::mailbox::Defect;
use mail_store::disk::sim::SimDisk;
use mail_store::text::{Inline, TextStore, check};
use mail_store::{Body, Extent, Maildrop, MaildropStore, StoreError};

use crate::model::{Account, Found};
use crate::server::{ACCOUNTS, HOSTNAME, username};
use crate::world::World;

/// What User.txt holds; nobody ever writes to it here.
pub(crate) const USERS: &[u8] = b"ag secret\ngb secret\ncd secret\n";

/// Compares every mailbox with what it must hold.
pub(crate) fn audit(world: &World) {
    let disk = world.disk().copy();
    world.model().tally.audits += 1;
    if disk.content("User.txt").as_deref() != Some(USERS) {
        world.fail("User.txt is not what it was");
    }
    for (account, name) in ACCOUNTS.iter().enumerate() {
        if let Err(what) = audit_account(world, &disk, account) {
            world.fail(&format!("{name}'s mailbox from outside: {what}"));
        }
    }
}

fn audit_account(world: &World, disk: &SimDisk, account: Account) -> Result<(), String> {
    let listing = read(disk, account).map_err(|error| error.to_string())?;
    let expected = world.model().expectation(account);
    let seen = world.model().compare(account, &expected, &listing)?;
    world.note(|| format!("{}'s mailbox holds {seen:?}", ACCOUNTS[account]));
    let report = check(disk, &username(ACCOUNTS[account]), HOSTNAME).map_err(|error| error.to_string())?;
    // A power cut can leave holes in what was never acknowledged.
    match report.findings.iter().find(|finding| finding.description != Defect::Nul.to_string()) {
        Some(finding) => Err(format!("at {}: {}", finding.offset, finding.description)),
        None if report.messages != listing.len() as u64 => Err("the check counts other messages".to_owned()),
        None => Ok(()),
    }
}

fn read(disk: &SimDisk, account: Account) -> Result<Vec<Found>, StoreError> {
    let store = TextStore::open(disk.clone(), Inline, HOSTNAME)?;
    let mut maildrop = now(store.open(&username(ACCOUNTS[account])))?;
    let mut listing = Vec::new();
    let mut octets = 0;
    for number in 1..=maildrop.count() {
        let entry = now(maildrop.entry(number))?;
        octets += entry.octets;
        let text = text(now(maildrop.body(number, Extent::Whole))?)?;
        listing.push(Found { octets: entry.octets, unique_id: entry.unique_id, text, is_whole: true });
    }
    if octets != maildrop.octets() {
        return Err(StoreError::Failed("the octets are not the sum of the messages' own".to_owned()));
    }
    Ok(listing)
}

fn text(mut body: impl Body) -> Result<Vec<u8>, StoreError> {
    let mut stuffed = BytesMut::new();
    while let Some(chunk) = now(body.chunk())? {
        stuffed.extend_from_slice(&chunk);
    }
    stuffed.extend_from_slice(b".\r\n");
    let (mut decoder, mut text) = (DotDecoder::default(), Vec::new());
    while let Some(Piece::Text(piece)) = decoder.decode(&mut stuffed) {
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

/// Inline work is done at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("inline work is done at once"),
    }
}
