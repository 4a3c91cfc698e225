//! `mail-client resend`: sends a message again that a delivery report returns.

use mail_core::message::address::Address;
use mail_core::message::draft;
use mail_core::message::parsed::ParsedMessage;
use mail_core::message::resend;

use super::{print_receipt, required_credentials, usage_error};
use crate::arguments::{Common, ResendOptions};
use crate::connection::Server;
use crate::delivery;
use crate::error::Error;
use crate::maildrop::Maildrop;
use crate::platform::PLATFORM;

/// Retrieves the report, and submits the message that it returns to the recipients that did not get it.
pub(super) fn resend(
    smtp: &Server,
    pop3: &Server,
    common: &Common,
    options: &ResendOptions,
) -> Result<(), Error> {
    let credentials = required_credentials(common, &options.options.password)?;
    let mut maildrop = Maildrop::open(pop3, &credentials)??;
    let octets = maildrop.octets(options.number)??;
    let report = ParsedMessage::parse_with(&maildrop.message(options.number, octets)??, PLATFORM);
    maildrop.close();
    let from = match &options.from {
        Some(from) => draft::parse_address("From", from).map_err(usage_error)?,
        None => recipient(&report).ok_or_else(|| {
            Error::Failed("the report names no recipient; pass the sender with --from".to_owned())
        })?,
    };
    let draft = resend::send_again(&report, PLATFORM, &from).ok_or_else(|| {
        Error::Failed(format!(
            "message {} is no report about a failed delivery that returns the message",
            options.number
        ))
    })?;
    draft.check().map_err(usage_error)?;
    let drafts = common.drafts();
    let receipt = delivery::deliver(smtp, Some(credentials), &delivery::compose(&draft), Some(&drafts))?;
    print_receipt(&receipt, options.options.json)
}

/// A report is addressed to the sender of the message.
fn recipient(report: &ParsedMessage) -> Option<Address> {
    report.to.first()?.parsed_address()
}
