//! Verifies all mailboxes on a copy of the disk, as `pennypost check` does.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use mail_core::dot::{DotDecoder, Piece};
use mail_core::mailbox::Defect;
use mail_store::disk::sim::SimDisk;
use mail_store::offload::Inline;
use mail_store::text::{TextStore, check};
use mail_store::{Body, Extent, Maildrop, MaildropStore, StoreError};

use crate::identity::{ACCOUNTS, HOSTNAME, USER_FILE, username};
use crate::model::{Account, FoundMessage};
use crate::world::World;

/// Compares every mailbox with the model.
pub(crate) fn audit(world: &World) {
    let disk = world.disk().copy();
    world.model().counters.audits += 1;
    if disk.content("User.txt").as_deref() != Some(USER_FILE) {
        world.violation("User.txt has changed");
    }
    for (account, name) in ACCOUNTS.iter().enumerate() {
        if let Err(violation) = audit_account(world, &disk, account) {
            world.violation(&format!("mailbox of {name}: {violation}"));
        }
    }
}

fn audit_account(world: &World, disk: &SimDisk, account: Account) -> Result<(), String> {
    let listing = read(disk, account).map_err(|error| error.to_string())?;
    let expected = world.model().expectation(account);
    let attempts = world.model().compare(account, &expected, &listing)?;
    world.log(|| format!("mailbox of {}: {attempts:?}", ACCOUNTS[account]));
    let report = check(disk, &username(ACCOUNTS[account]), HOSTNAME).map_err(|error| error.to_string())?;
    // A power cut can leave NUL octets where data was not acknowledged.
    match report.findings.iter().find(|finding| finding.description != Defect::Nul.to_string()) {
        Some(finding) => Err(format!("at {}: {}", finding.offset, finding.description)),
        None if report.messages != listing.len() as u64 => {
            Err("check reports another number of messages".to_owned())
        }
        None => Ok(()),
    }
}

fn read(disk: &SimDisk, account: Account) -> Result<Vec<FoundMessage>, StoreError> {
    let store = TextStore::open(disk.clone(), Inline, HOSTNAME)?;
    let mut maildrop = ready(store.open(&username(ACCOUNTS[account])))?;
    let mut listing = Vec::new();
    let mut octets = 0;
    for number in 1..=maildrop.count() {
        let entry = ready(maildrop.entry(number))?;
        octets += entry.octets;
        let text = text(ready(maildrop.body(number, Extent::Whole))?)?;
        listing.push(FoundMessage {
            octets: entry.octets,
            unique_id: entry.unique_id,
            text,
            is_complete: true,
        });
    }
    if octets != maildrop.octets() {
        return Err(StoreError::Failed("the total octets differ from the sum of all messages".to_owned()));
    }
    Ok(listing)
}

fn text(mut body: impl Body) -> Result<Vec<u8>, StoreError> {
    let mut stuffed = BytesMut::new();
    while let Some(chunk) = ready(body.chunk())? {
        stuffed.extend_from_slice(&chunk);
    }
    stuffed.extend_from_slice(b".\r\n");
    let (mut decoder, mut text) = (DotDecoder::default(), Vec::new());
    while let Some(Piece::Text(piece)) = decoder.decode(&mut stuffed) {
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

/// Polls a future of an inline store, which never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("an inline store never waits"),
    }
}
