//! The three ways that mail goes here: in by SMTP, into a file, out by POP3.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Rig;

/// The domains by which the way is chosen.
pub(super) const OURS: &str = "mx.peers.test";
pub(super) const MAILDIR: &str = "maildir.test";
pub(super) const MBOX: &str = "mbox.test";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// MyMailBox.txt.
    Ours,
    Maildir,
    Mbox,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::Maildir, Self::Mbox];

    /// Who takes mail.
    pub(super) fn smtp(self) -> &'static str {
        match self {
            Self::Ours => "Pennypost",
            Self::Maildir => "Postfix to Maildir",
            Self::Mbox => "Postfix by LMTP to Dovecot mbox",
        }
    }

    /// Who hands it out.
    pub(super) fn pop3(self) -> &'static str {
        match self {
            Self::Ours => "Pennypost",
            Self::Maildir => "Dovecot Maildir",
            Self::Mbox => "Dovecot mbox",
        }
    }

    pub(super) fn domain(self) -> &'static str {
        match self {
            Self::Ours => OURS,
            Self::Maildir => MAILDIR,
            Self::Mbox => MBOX,
        }
    }
}

impl Rig {
    pub(super) fn smtp(&self, way: Way) -> SocketAddr {
        match way {
            Way::Ours => self.ours.smtp,
            Way::Maildir | Way::Mbox => self.postfix.smtp,
        }
    }

    pub(super) fn pop3(&self, way: Way) -> SocketAddr {
        match way {
            Way::Ours => self.ours.pop3,
            Way::Maildir | Way::Mbox => self.dovecot.pop3,
        }
    }

    /// The file of an account's mail, or the folder of its Maildir.
    pub(super) fn mailbox(&self, way: Way, account: &str) -> PathBuf {
        match way {
            Way::Ours => self.ours.data.join(account).join("MyMailBox.txt"),
            Way::Maildir => self.mail.join("maildir").join(account),
            Way::Mbox => self.mail.join("mbox").join(account).join("inbox"),
        }
    }
}
