//! Sends a message again that a delivery report returns.

use mail_core::message::resend;

use super::Control;
use super::own_address::{address_for_reply, placeholder};
use crate::model::draft_form::DraftForm;
use crate::model::state::Content;
use crate::platform::{PLATFORM, clock};

impl Control {
    /// Opens a draft with the message that the open report returns, for the recipients that did not get it.
    pub(crate) fn send_again(&self) {
        let state = self.state();
        let (Some(account), Some(open)) = (&state.session.account, &state.ui.open) else { return };
        let Content::Ready(message) = &open.content else { return };
        // The report goes to the address that the message was sent from.
        let Some(own_address) = address_for_reply(account, message).or_else(|| placeholder(account)) else {
            return;
        };
        if let Some(draft) = resend::send_again(&message.parsed, PLATFORM, &own_address) {
            let form = DraftForm::from_draft(draft, clock::random(), clock::now());
            self.open_form(DraftForm {
                from: Some(own_address).filter(|_| account.address.is_some()),
                ..form
            });
        }
    }
}
