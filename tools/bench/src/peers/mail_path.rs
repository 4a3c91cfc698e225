//! The three combinations of SMTP server, mailbox format and POP3 server that are compared.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Testbed;

/// The recipient domain selects the path.
pub(super) const PENNYPOST: &str = "mx.peers.test";
pub(super) const MAILDIR: &str = "maildir.test";
pub(super) const MBOX: &str = "mbox.test";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum MailPath {
    /// Pennypost and `MyMailBox.txt`.
    Pennypost,
    /// Postfix, Maildir, Dovecot.
    Maildir,
    /// Postfix, LMTP to Dovecot, mbox.
    Mbox,
}

impl MailPath {
    pub(super) const ALL: [Self; 3] = [Self::Pennypost, Self::Maildir, Self::Mbox];

    /// Name of the receiving side.
    pub(super) fn smtp_name(self) -> &'static str {
        match self {
            Self::Pennypost => "Pennypost",
            Self::Maildir => "Postfix to Maildir",
            Self::Mbox => "Postfix by LMTP to Dovecot mbox",
        }
    }

    /// Name of the retrieving side.
    pub(super) fn pop3_name(self) -> &'static str {
        match self {
            Self::Pennypost => "Pennypost",
            Self::Maildir => "Dovecot Maildir",
            Self::Mbox => "Dovecot mbox",
        }
    }

    pub(super) fn domain(self) -> &'static str {
        match self {
            Self::Pennypost => PENNYPOST,
            Self::Maildir => MAILDIR,
            Self::Mbox => MBOX,
        }
    }
}

impl Testbed {
    pub(super) fn smtp(&self, path: MailPath) -> SocketAddr {
        match path {
            MailPath::Pennypost => self.pennypost.smtp,
            MailPath::Maildir | MailPath::Mbox => self.postfix.smtp,
        }
    }

    pub(super) fn pop3(&self, path: MailPath) -> SocketAddr {
        match path {
            MailPath::Pennypost => self.pennypost.pop3,
            MailPath::Maildir | MailPath::Mbox => self.dovecot.pop3,
        }
    }

    /// The mailbox file of an account, or its Maildir.
    pub(super) fn mailbox(&self, path: MailPath, account: &str) -> PathBuf {
        match path {
            MailPath::Pennypost => self.pennypost.data.join(account).join("MyMailBox.txt"),
            MailPath::Maildir => self.mail.join("maildir").join(account),
            MailPath::Mbox => self.mail.join("mbox").join(account).join("inbox"),
        }
    }
}
