//! Administration of mailboxes: `pennypost check`, `pennypost backup` and `pennypost user remove --purge`.

use std::io::Write;

use mail_core::users::Username;

use crate::StoreError;

/// Inspects and deletes mailboxes. The text store blocks meanwhile: the administrator's program has no other tasks.
pub trait MailboxAdmin: Send + Sync {
    /// Reads the whole mailbox of an account and changes nothing.
    ///
    /// # Errors
    /// The mailbox cannot be read.
    fn check(&self, account: &Username) -> impl Future<Output = Result<MailboxReport, StoreError>> + Send;

    /// Writes the whole mailbox of an account, in the format of MyMailBox.txt. Deliveries and removals wait meanwhile. Returns
    /// the number of octets.
    ///
    /// # Errors
    /// The mailbox cannot be read, or `out` fails.
    fn copy(
        &self,
        account: &Username,
        out: &mut (dyn Write + Send),
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Deletes all mail of an account. The caller has the lease of its maildrop.
    ///
    /// # Errors
    /// Some of it remains.
    fn purge(&self, account: &Username) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Moves all mail of an account to another name. The caller has the lease of its maildrop.
    ///
    /// # Errors
    /// There is mail of that name already, or the mail cannot be moved; nothing has changed then.
    fn rename(
        &self,
        account: &Username,
        new: &Username,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The location of an account's mail, for messages to the administrator.
    fn location(&self, account: &Username) -> String;
}

/// Contents of a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxReport {
    /// Readable messages.
    pub messages: u64,
    /// Octets of the readable messages, as POP3 counts them.
    pub octets: u64,
    /// Removed records that still occupy space.
    pub removed: u64,
    /// Defects, in the order of the mailbox.
    pub findings: Vec<Finding>,
}

/// A defect of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Octets from the start of the mailbox file, or the position of a message in a database.
    pub offset: u64,
    pub description: String,
    /// The remedy.
    pub remedy: &'static str,
}
