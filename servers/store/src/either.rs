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

/// Awaits a method of either implementation. The right one is boxed: otherwise each connection would reserve memory for the
/// larger of the two futures.
macro_rules! awaited {
    ($either:expr, $value:ident => $call:expr) => {
        match $either {
            Either::Left($value) => $call.await,
            Either::Right($value) => Box::pin($call).await,
        }
    };
}

/// As `awaited!`, and wraps the result.
macro_rules! wrapped {
    ($either:expr, $value:ident => $call:expr) => {
        match $either {
            Either::Left($value) => $call.await.map(Either::Left),
            Either::Right($value) => Box::pin($call).await.map(Either::Right),
        }
    };
}

impl<L: DeliveryTarget, R: DeliveryTarget> DeliveryTarget for Either<L, R> {
    type Incoming = Either<L::Incoming, R::Incoming>;

    async fn begin(&self, envelope: &Envelope) -> Result<Self::Incoming, StoreError> {
        wrapped!(self, target => target.begin(envelope))
    }

    async fn mailbox_status(&self, account: &Username) -> Result<MailboxStatus, StoreError> {
        awaited!(self, target => target.mailbox_status(account))
    }
}

impl<L: IncomingMessage, R: IncomingMessage> IncomingMessage for Either<L, R> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        awaited!(self, incoming => incoming.write(chunk))
    }

    fn memory(&self) -> usize {
        either!(self, incoming => incoming.memory())
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        awaited!(self, incoming => incoming.release_memory())
    }

    async fn commit(self, trace: &Trace) -> Result<(), StoreError> {
        awaited!(self, incoming => incoming.commit(trace))
    }
}

impl<L: MaildropStore, R: MaildropStore> MaildropStore for Either<L, R> {
    type Maildrop = Either<L::Maildrop, R::Maildrop>;

    async fn open(&self, account: &Username) -> Result<Self::Maildrop, StoreError> {
        wrapped!(self, store => store.open(account))
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
        awaited!(self, maildrop => maildrop.entries(from))
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        awaited!(self, maildrop => maildrop.entry(number))
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<Self::Body, StoreError> {
        wrapped!(self, maildrop => maildrop.body(number, extent))
    }

    async fn remove(self, numbers: &[u64]) -> Result<(), StoreError> {
        awaited!(self, maildrop => maildrop.remove(numbers))
    }

    async fn release(self) {
        awaited!(self, maildrop => maildrop.release());
    }

    fn lease_lifetime(&self) -> Option<Duration> {
        either!(self, maildrop => maildrop.lease_lifetime())
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        awaited!(self, maildrop => maildrop.renew())
    }
}

impl<L: Body, R: Body> Body for Either<L, R> {
    fn is_dot_stuffed(&self) -> bool {
        either!(self, body => body.is_dot_stuffed())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        awaited!(self, body => body.chunk())
    }
}

impl<L: StoreHealth, R: StoreHealth> StoreHealth for Either<L, R> {
    async fn check_writable(&self) -> Result<(), StoreError> {
        awaited!(self, store => store.check_writable())
    }
}

impl<L: Directory, R: Directory> Directory for Either<L, R> {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        awaited!(self, directory => directory.find(name))
    }

    async fn alias(&self, address: &Address) -> Result<Option<Vec<Address>>, DirectoryError> {
        awaited!(self, directory => directory.alias(address))
    }

    async fn catch_all(&self, domain: &Domain) -> Result<Option<Vec<Address>>, DirectoryError> {
        awaited!(self, directory => directory.catch_all(domain))
    }

    async fn quota(&self, account: &Username) -> Result<Option<Quota>, DirectoryError> {
        awaited!(self, directory => directory.quota(account))
    }

    async fn first(&self) -> Result<Option<Username>, DirectoryError> {
        awaited!(self, directory => directory.first())
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, DirectoryError> {
        awaited!(self, directory => directory.verify(name, password))
    }
}

impl<L: AccountAdmin, R: AccountAdmin> AccountAdmin for Either<L, R> {
    async fn names(&self, after: Option<&Username>) -> Result<Vec<Username>, DirectoryError> {
        awaited!(self, directory => directory.names(after))
    }

    async fn add(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        awaited!(self, directory => directory.add(name, password))
    }

    async fn set_password(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        awaited!(self, directory => directory.set_password(name, password))
    }

    async fn rename(&self, name: &Username, new: &Username) -> Result<(), DirectoryError> {
        awaited!(self, directory => directory.rename(name, new))
    }

    async fn set_quota(&self, name: &Username, quota: Option<Quota>) -> Result<(), DirectoryError> {
        awaited!(self, directory => directory.set_quota(name, quota))
    }

    async fn remove(&self, name: &Username) -> Result<(), DirectoryError> {
        awaited!(self, directory => directory.remove(name))
    }

    async fn weak_passwords(&self) -> Result<WeakPasswords, DirectoryError> {
        awaited!(self, directory => directory.weak_passwords())
    }

    async fn hash_plain_passwords(&self) -> Result<Vec<Username>, DirectoryError> {
        awaited!(self, directory => directory.hash_plain_passwords())
    }
}

impl<L: AliasAdmin, R: AliasAdmin> AliasAdmin for Either<L, R> {
    async fn aliases(&self) -> Result<Vec<Alias>, DirectoryError> {
        awaited!(self, directory => directory.aliases())
    }

    async fn add_alias(&self, key: &AliasKey, targets: Vec<AliasTarget>) -> Result<(), DirectoryError> {
        awaited!(self, directory => directory.add_alias(key, targets))
    }

    async fn remove_alias(&self, key: &AliasKey, targets: &[AliasTarget]) -> Result<(), DirectoryError> {
        awaited!(self, directory => directory.remove_alias(key, targets))
    }
}

impl<L: MailboxAdmin, R: MailboxAdmin> MailboxAdmin for Either<L, R> {
    async fn check(&self, account: &Username) -> Result<MailboxReport, StoreError> {
        awaited!(self, mailboxes => mailboxes.check(account))
    }

    async fn copy(&self, account: &Username, out: &mut (dyn Write + Send)) -> Result<u64, StoreError> {
        awaited!(self, mailboxes => mailboxes.copy(account, out))
    }

    async fn purge(&self, account: &Username) -> Result<(), StoreError> {
        awaited!(self, mailboxes => mailboxes.purge(account))
    }

    async fn rename(&self, account: &Username, new: &Username) -> Result<(), StoreError> {
        awaited!(self, mailboxes => mailboxes.rename(account, new))
    }

    fn location(&self, account: &Username) -> String {
        either!(self, mailboxes => mailboxes.location(account))
    }
}
