//! One of two implementations, selected when the program starts.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use mail_core::aliases::{Alias, AliasKey, AliasTarget};
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, Domain};
use mail_core::secret::Secret;
use mail_core::users::Username;

use crate::directory::{AccountAdmin, AliasAdmin, Directory, DirectoryError, Quota, WeakPasswords};
use crate::{
    Body, DeliveryTarget, Entry, Envelope, Extent, IncomingMessage, MailboxAdmin, MailboxReport,
    MailboxStatus, Maildrop, MaildropStore, StoreError, StoreHealth,
};

/// The left or the right implementation of the storage interfaces.
#[derive(Debug, Clone)]
pub enum Either<L, R> {
    Left(L),
    Right(R),
}

/// Calls a method of either implementation.
macro_rules! either {
    ($either:expr, $value:ident => $call:expr) => {
        match $either {
            Either::Left($value) => $call,
            Either::Right($value) => $call,
        }
    };
}

/// Calls a method of either implementation and wraps its result.
macro_rules! wrapped {
    ($either:expr, $value:ident => $call:expr) => {
        match $either {
            Either::Left($value) => $call.map(Either::Left),
            Either::Right($value) => $call.map(Either::Right),
        }
    };
}

impl<L: DeliveryTarget, R: DeliveryTarget> DeliveryTarget for Either<L, R> {
    type Incoming = Either<L::Incoming, R::Incoming>;

    async fn begin(&self, envelope: &Envelope) -> Result<Self::Incoming, StoreError> {
        wrapped!(self, target => target.begin(envelope).await)
    }

    async fn mailbox_status(&self, account: &Username) -> Result<MailboxStatus, StoreError> {
        either!(self, target => target.mailbox_status(account).await)
    }
}

impl<L: IncomingMessage, R: IncomingMessage> IncomingMessage for Either<L, R> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        either!(self, incoming => incoming.write(chunk).await)
    }

    fn memory(&self) -> usize {
        either!(self, incoming => incoming.memory())
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        either!(self, incoming => incoming.release_memory().await)
    }

    async fn commit(self, trace: &Trace) -> Result<(), StoreError> {
        either!(self, incoming => incoming.commit(trace).await)
    }
}

impl<L: MaildropStore, R: MaildropStore> MaildropStore for Either<L, R> {
    type Maildrop = Either<L::Maildrop, R::Maildrop>;

    async fn open(&self, account: &Username) -> Result<Self::Maildrop, StoreError> {
        wrapped!(self, store => store.open(account).await)
    }
}

impl<L: Maildrop, R: Maildrop> Maildrop for Either<L, R> {
    type Body = Either<L::Body, R::Body>;

    fn count(&self) -> u64 {
        either!(self, maildrop => maildrop.count())
    }

    fn octets(&self) -> u64 {
        either!(self, maildrop => maildrop.octets())
    }

    async fn entries(&mut self, from: u64) -> Result<Vec<Entry>, StoreError> {
        either!(self, maildrop => maildrop.entries(from).await)
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        either!(self, maildrop => maildrop.entry(number).await)
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<Self::Body, StoreError> {
        wrapped!(self, maildrop => maildrop.body(number, extent).await)
    }

    async fn remove(self, numbers: &[u64]) -> Result<(), StoreError> {
        either!(self, maildrop => maildrop.remove(numbers).await)
    }

    async fn release(self) {
        either!(self, maildrop => maildrop.release().await);
    }

    fn lease_lifetime(&self) -> Option<Duration> {
        either!(self, maildrop => maildrop.lease_lifetime())
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        either!(self, maildrop => maildrop.renew().await)
    }
}

impl<L: Body, R: Body> Body for Either<L, R> {
    fn is_dot_stuffed(&self) -> bool {
        either!(self, body => body.is_dot_stuffed())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        either!(self, body => body.chunk().await)
    }
}

impl<L: StoreHealth, R: StoreHealth> StoreHealth for Either<L, R> {
    async fn check_writable(&self) -> Result<(), StoreError> {
        either!(self, store => store.check_writable().await)
    }
}

impl<L: Directory, R: Directory> Directory for Either<L, R> {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        either!(self, directory => directory.find(name).await)
    }

    async fn alias(&self, address: &Address) -> Result<Option<Vec<Address>>, DirectoryError> {
        either!(self, directory => directory.alias(address).await)
    }

    async fn catch_all(&self, domain: &Domain) -> Result<Option<Vec<Address>>, DirectoryError> {
        either!(self, directory => directory.catch_all(domain).await)
    }

    async fn quota(&self, account: &Username) -> Result<Option<Quota>, DirectoryError> {
        either!(self, directory => directory.quota(account).await)
    }

    async fn first(&self) -> Result<Option<Username>, DirectoryError> {
        either!(self, directory => directory.first().await)
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, DirectoryError> {
        either!(self, directory => directory.verify(name, password).await)
    }
}

impl<L: AccountAdmin, R: AccountAdmin> AccountAdmin for Either<L, R> {
    async fn names(&self, after: Option<&Username>) -> Result<Vec<Username>, DirectoryError> {
        either!(self, directory => directory.names(after).await)
    }

    async fn add(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        either!(self, directory => directory.add(name, password).await)
    }

    async fn set_password(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        either!(self, directory => directory.set_password(name, password).await)
    }

    async fn rename(&self, name: &Username, new: &Username) -> Result<(), DirectoryError> {
        either!(self, directory => directory.rename(name, new).await)
    }

    async fn set_quota(&self, name: &Username, quota: Option<Quota>) -> Result<(), DirectoryError> {
        either!(self, directory => directory.set_quota(name, quota).await)
    }

    async fn remove(&self, name: &Username) -> Result<(), DirectoryError> {
        either!(self, directory => directory.remove(name).await)
    }

    async fn weak_passwords(&self) -> Result<WeakPasswords, DirectoryError> {
        either!(self, directory => directory.weak_passwords().await)
    }

    async fn hash_plain_passwords(&self) -> Result<Vec<Username>, DirectoryError> {
        either!(self, directory => directory.hash_plain_passwords().await)
    }
}

impl<L: AliasAdmin, R: AliasAdmin> AliasAdmin for Either<L, R> {
    async fn aliases(&self) -> Result<Vec<Alias>, DirectoryError> {
        either!(self, directory => directory.aliases().await)
    }

    async fn add_alias(&self, key: &AliasKey, targets: Vec<AliasTarget>) -> Result<(), DirectoryError> {
        either!(self, directory => directory.add_alias(key, targets).await)
    }

    async fn remove_alias(&self, key: &AliasKey, targets: &[AliasTarget]) -> Result<(), DirectoryError> {
        either!(self, directory => directory.remove_alias(key, targets).await)
    }
}

impl<L: MailboxAdmin, R: MailboxAdmin> MailboxAdmin for Either<L, R> {
    async fn check(&self, account: &Username) -> Result<MailboxReport, StoreError> {
        either!(self, mailboxes => mailboxes.check(account).await)
    }

    async fn copy(&self, account: &Username, out: &mut (dyn Write + Send)) -> Result<u64, StoreError> {
        either!(self, mailboxes => mailboxes.copy(account, out).await)
    }

    async fn purge(&self, account: &Username) -> Result<(), StoreError> {
        either!(self, mailboxes => mailboxes.purge(account).await)
    }

    async fn rename(&self, account: &Username, new: &Username) -> Result<(), StoreError> {
        either!(self, mailboxes => mailboxes.rename(account, new).await)
    }

    fn location(&self, account: &Username) -> String {
        either!(self, mailboxes => mailboxes.location(account))
    }
}
