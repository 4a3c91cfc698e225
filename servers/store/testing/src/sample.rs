//! Accounts, envelopes and trace fields of the tests.

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, ReversePath};
use mail_core::users::Username;
use mail_store::{DeliveryTarget, Destination, DsnRequest, Envelope, IncomingMessage, Origin};

/// # Panics
/// The name is invalid; likewise below.
#[must_use]
pub fn account(name: &str) -> Username {
    Username::parse(name).expect("a valid name")
}

/// An address at `iit.edu`.
#[must_use]
pub fn address(name: &str) -> Address {
    Address::parse(&format!("{name}@iit.edu")).expect("a valid address")
}

/// The mailbox of an account.
#[must_use]
pub fn mailbox(name: &str) -> Destination {
    Destination::Mailbox { account: account(name), address: address(name) }
}

/// A message from ag to the mailboxes of these accounts.
#[must_use]
pub fn envelope(accounts: &[&str]) -> Envelope {
    let recipients = accounts.iter().map(|name| mailbox(name)).collect();
    Envelope {
        reverse_path: ReversePath::Address(address("ag")),
        recipients,
        origin: Origin::OtherHost,
        dsn: DsnRequest::default(),
        require_tls: false,
    }
}

/// Trace fields of a message from ag.
#[must_use]
pub fn trace(id: &str) -> Trace {
    Trace {
        reverse_path: ReversePath::Address(address("ag")),
        hello: "iit.edu".into(),
        peer: None,
        by: "iitkgp.edu".into(),
        with: "ESMTP",
        tls: None,
        id: id.into(),
        time: "2026-11-22T19:15:07Z".parse().expect("a date"),
        authentication_results: None,
        delivered_to: false,
    }
}

/// Delivers a message in one part.
pub async fn deliver(target: &impl DeliveryTarget, envelope: &Envelope, id: &str, text: impl Into<Bytes>) {
    deliver_with(target, envelope, &trace(id), text).await;
}

/// As [`deliver`], with these trace fields.
pub async fn deliver_with(
    target: &impl DeliveryTarget,
    envelope: &Envelope,
    trace: &Trace,
    text: impl Into<Bytes>,
) {
    let mut incoming = target.begin(envelope).await.expect("delivery begins");
    incoming.write(text.into()).await.expect("written");
    incoming.commit(trace).await.expect("committed");
}
