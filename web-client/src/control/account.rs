//! The account routes: own addresses and changes of the mailbox, as long as the user is signed in; queued messages; a new password.

use std::rc::Rc;

use mail_core::sasl::Credentials;
use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::Control;
use super::login_session::LoginSession;
use crate::model::state::{MailboxAction, Notice, SessionAction};
use crate::platform::account_api::{self, AccountError, AccountSession, MailboxEvent, MailboxEvents};
use crate::storage::stored_sign_in::{self, SignIn};
use crate::strings;

/// Pause before the next sign-in, doubled after each failure.
const RETRY_DELAY: Duration = Duration::from_secs(5);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(300);

impl Control {
    /// Starts to watch the mailbox unless it is watched. Without it, the page checks for new mail at intervals.
    pub(super) fn watch_mailbox(&self, session: &Rc<LoginSession>) {
        // The routes know the accounts of the page's own server only; no other server's password is sent to it.
        if !session.server.is_empty() || session.watching.replace(true) {
            return;
        }
        let (control, session) = (self.clone(), session.clone());
        spawn_local(async move {
            let mut delay = RETRY_DELAY;
            while control.is_current(&session) {
                match account_api::sign_in(&session.credentials()).await {
                    Ok(account) => {
                        session.token.replace(Some(account.token.clone()));
                        control.use_addresses(&session, &account).await;
                        if control.report_changes(&session, &account.token).await {
                            delay = RETRY_DELAY;
                        }
                    }
                    // A separate bridge has no such routes. A wrong password is reported by the maildrop.
                    Err(AccountError::Refused(_)) => return,
                    Err(AccountError::Unavailable(_) | AccountError::NoAnswer) => {}
                }
                sleep(delay).await;
                delay = (delay * 2).min(RETRY_DELAY_MAX);
            }
        });
    }

    /// Checks for new mail after each change, and once at the start: mail may have arrived before the subscription. Returns whether
    /// a change was reported.
    async fn report_changes(&self, session: &Rc<LoginSession>, token: &str) -> bool {
        let Some(mut events) = MailboxEvents::connect(token) else { return false };
        let mut is_useful = false;
        while let Some(event) = events.next().await {
            if !self.is_current(session) {
                return true;
            }
            is_useful |= event == MailboxEvent::Changed;
            self.check();
        }
        is_useful
    }

    /// Asks the server for the user's queued messages. Returns whether the server was asked; it has to admit the user first.
    pub(crate) async fn update_queue(&self) -> bool {
        let Some(session) = self.session() else { return false };
        let Some(token) = session.token.borrow().clone() else { return false };
        // After a failure, the messages stay as they were last known.
        if let Ok(queued) = account_api::queue(&token).await
            && self.is_current(&session)
            && *self.state().mailbox.queued != queued
        {
            self.dispatch(MailboxAction::Queued(queued));
        }
        true
    }

    /// Offers the addresses that the server reports. The current one stays in use if it is among them.
    async fn use_addresses(&self, session: &Rc<LoginSession>, account: &AccountSession) {
        let current = session.address.borrow().clone();
        let is_own = current.as_ref().is_some_and(|address| account.addresses.contains(address));
        session.addresses.replace(account.addresses.clone());
        if self.is_current(session) {
            self.dispatch(SessionAction::Addresses(account.addresses.clone()));
        }
        if let (false, Some(first)) = (is_own, account.addresses.first()) {
            self.use_address(session, first).await;
        }
    }

    /// Changes the password, also the one that the browser has stored.
    pub(crate) fn change_password(&self, current: &str, new: &str) {
        let Some(session) = self.session() else { return };
        if !session.server.is_empty() {
            return self
                .notify(Notice::error("Password not changed: this server offers no change of passwords."));
        }
        let (control, new) = (self.clone(), new.to_owned());
        let credentials = Credentials::new(&session.username, current);
        spawn_local(async move {
            let result = account_api::change_password(&credentials, &new).await;
            if result.is_ok() {
                session.credentials.replace(Credentials::new(&session.username, &new));
                let sign_in = SignIn {
                    server: session.server.clone(),
                    username: session.username.clone(),
                    password: new,
                };
                stored_sign_in::replace(&sign_in).await;
            }
            if control.is_current(&session) {
                control.notify(password_notice(&result));
            }
        });
    }
}

fn password_notice(result: &Result<(), AccountError>) -> Notice {
    match result {
        Ok(()) => Notice::info("Password changed."),
        Err(AccountError::Refused(reason) | AccountError::Unavailable(reason)) => {
            Notice::error(format!("Password not changed: {reason}"))
        }
        Err(AccountError::NoAnswer) => Notice::error(strings::PASSWORD_UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn lost_answer_leaves_open_which_password_is_valid() {
        assert_eq!(password_notice(&Ok(())), Notice::info("Password changed."));
        let refused = password_notice(&Err(AccountError::Refused("wrong password".to_owned())));
        assert_eq!(refused, Notice::error("Password not changed: wrong password"));
        let text = password_notice(&Err(AccountError::NoAnswer)).text;
        assert!(text.contains("may have been changed") && text.contains("try the new one"), "{text}");
    }
}
