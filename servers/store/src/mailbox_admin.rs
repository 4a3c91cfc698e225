//! Administration of mailboxes: `pennypost check`, `pennypost backup` and `pennypost user remove --purge`.

use std::io::Write;

use mail_core::users::Username;

use crate::StoreError;

/// Inspects and deletes mailboxes. Both block.
pub trait MailboxAdmin: Send + Sync {
    /// Reads the whole mailbox of an account and changes nothing.
    ///
    /// # Errors
    /// The mailbox cannot be read.
    fn check(&self, account: &Username) -> Result<MailboxReport, StoreError>;

    /// Writes the whole mailbox of an account, in the format of MyMailBox.txt. Deliveries and removals wait meanwhile. Returns
    /// the number of octets.
    ///
    /// # Errors
    /// The mailbox cannot be read, or `out` fails.
    fn copy(&self, account: &Username, out: &mut dyn Write) -> Result<u64, StoreError>;

    /// Deletes all mail of an account. The caller has the lease of its maildrop.
    ///
    /// # Errors
    /// Some of it remains.
    fn purge(&self, account: &Username) -> Result<(), StoreError>;

    /// Moves all mail of an account to another name. The caller has the lease of its maildrop.
    ///
    /// # Errors
    /// There is mail of that name already, or the mail cannot be moved; nothing has changed then.
    fn rename(&self, account: &Username, new: &Username) -> Result<(), StoreError>;

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
    /// Defects, in the order of the file.
    pub findings: Vec<Finding>,
}

/// A defect of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Octets from the start of the mailbox.
    pub offset: u64,
    pub description: String,
    /// The remedy.
    pub remedy: &'static str,
}
