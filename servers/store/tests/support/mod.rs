//! A text store on the real disk, and deliveries to it.

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, ReversePath};
use mail_core::users::Username;
use mail_store::disk::RealDisk;
use mail_store::text::{TextStore, Threads};
use mail_store::{DeliveryTarget, Destination, Envelope, IncomingMessage};

pub(crate) type Store = TextStore<RealDisk, Threads>;

pub(crate) const HOSTNAME: &str = "iitkgp.edu";

pub(crate) fn open(root: &tempfile::TempDir) -> Store {
    TextStore::open(RealDisk::new(root.path()), Threads, HOSTNAME).expect("the store opens")
}

pub(crate) fn account(name: &str) -> Username {
    Username::parse(name).expect("a username")
}

pub(crate) async fn deliver(store: &Store, id: &str, text: String, accounts: &[&str]) {
    let recipient = |name: &&str| Destination::Mailbox {
        account: account(name),
        address: Address::parse(&format!("{name}@iit.edu")).expect("an address"),
    };
    let recipients = accounts.iter().map(recipient).collect();
    let trace = Trace {
        reverse_path: ReversePath::Null,
        hello: "iit.edu".into(),
        peer: None,
        by: HOSTNAME.into(),
        with: "ESMTP",
        tls: None,
        id: id.into(),
        time: "2026-11-22T19:15:07Z".parse().expect("a date"),
    };
    let envelope = Envelope { reverse_path: ReversePath::Null, recipients };
    let mut incoming = store.begin(&envelope).await.expect("delivery begins");
    incoming.write(Bytes::from(text)).await.expect("written");
    incoming.commit(&trace).await.expect("written");
}
