//! The account, sign-in and the connection.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use mail_core::message::address::Address;

use crate::model::settings::Settings;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Identifies the account in this browser; names the IndexedDB database.
    pub(crate) id: String,
    /// The username in lower case, without a domain.
    pub(crate) name: String,
    /// `None` until the server's domain is known, if the user signed in with a bare name.
    pub(crate) address: Option<Address>,
    /// All own addresses, as the server reports them; none if it does not.
    pub(crate) addresses: Vec<Address>,
}

impl Account {
    /// The address, or the username while the address is unknown.
    pub(crate) fn label(&self) -> String {
        self.address.as_ref().map_or_else(|| self.name.clone(), ToString::to_string)
    }

    /// The address that a draft is sent from. `chosen` is that of the draft.
    pub(crate) fn from<'a>(&'a self, chosen: Option<&'a Address>) -> Option<&'a Address> {
        own_or_current(chosen, &self.addresses, self.address.as_ref())
    }

    /// `Name <address>`, as From shows it.
    pub(crate) fn sender(&self, settings: &Settings, chosen: Option<&Address>) -> String {
        with_name(settings, &self.from(chosen).map_or_else(|| self.name.clone(), ToString::to_string))
    }

    /// All own addresses as From shows them, and the position of the draft's.
    pub(crate) fn senders(
        &self,
        settings: &Settings,
        chosen: Option<&Address>,
    ) -> (Vec<String>, Option<usize>) {
        let from = self.from(chosen);
        let position = self.addresses.iter().position(|address| Some(address) == from);
        (self.addresses.iter().map(|address| with_name(settings, &address.to_string())).collect(), position)
    }
}

/// The chosen address, unless the server reports that it is not among the own ones; else the current address.
pub(crate) fn own_or_current<'a>(
    chosen: Option<&'a Address>,
    own: &[Address],
    current: Option<&'a Address>,
) -> Option<&'a Address> {
    chosen.filter(|chosen| own.is_empty() || own.contains(chosen)).or(current)
}

fn with_name(settings: &Settings, address: &str) -> String {
    if settings.name.is_empty() { address.to_owned() } else { format!("{} <{address}>", settings.name) }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ConnectionStatus {
    #[default]
    Idle,
    Busy,
    /// The last session failed; the next one starts at `until`.
    Waiting {
        /// `None` if the server cannot be reached.
        reason: Option<String>,
        until: DateTime<Utc>,
    },
    /// The last session failed and is not repeated automatically.
    Failed(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionState {
    /// `None` while signed out.
    pub(crate) account: Option<Account>,
    pub(crate) signing_in: bool,
    /// The page looks for a stored sign-in.
    pub(crate) resuming: bool,
    /// The username for the sign-in form, as it was typed.
    pub(crate) username: String,
    /// The reason the last sign-in failed.
    pub(crate) sign_in_error: Option<String>,
    pub(crate) connection: ConnectionStatus,
    pub(crate) settings: Rc<Settings>,
    /// Time of the last complete check.
    pub(crate) checked: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
pub(crate) enum SessionAction {
    SigningIn,
    Resuming(bool),
    Settings(Settings),
    AddressFound(Address),
    Addresses(Vec<Address>),
    Connection(ConnectionStatus),
    Checked(DateTime<Utc>),
}

impl SessionState {
    pub(super) fn signed_in(account: Account, settings: Settings) -> Self {
        let settings = Rc::new(settings);
        Self { account: Some(account), connection: ConnectionStatus::Busy, settings, ..Self::default() }
    }

    pub(super) fn reduce(&mut self, action: SessionAction) {
        match action {
            SessionAction::SigningIn => self.signing_in = true,
            SessionAction::Resuming(resuming) => self.resuming = resuming,
            SessionAction::Settings(settings) => self.settings = Rc::new(settings),
            SessionAction::AddressFound(address) => {
                if let Some(account) = &mut self.account {
                    account.address = Some(address);
                }
            }
            SessionAction::Addresses(addresses) => {
                if let Some(account) = &mut self.account {
                    account.addresses = addresses;
                }
            }
            SessionAction::Connection(connection) => self.connection = connection,
            SessionAction::Checked(at) => {
                self.checked = Some(at);
                self.connection = ConnectionStatus::Idle;
            }
        }
    }
}
