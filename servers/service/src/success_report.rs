//! The report about a delivery to mailboxes of this host, for senders that ask for it (RFC 3461 section 5.2.1).

use mail_core::mailbox::Trace;
use mail_core::message::address::Domain;
use mail_core::message::id::MessageId;
use mail_core::message::report::{Action, DeliveryReport, Notification, RecipientStatus};
use mail_core::smtp::reply::EnhancedCode;
use mail_store::{Destination, Envelope, Origin};

/// A report about the recipients with NOTIFY=SUCCESS; `None` without such a recipient or without a sender. `message_id` is the message's
/// own.
pub(crate) fn success_report(
    envelope: &Envelope,
    message_id: Option<&str>,
    trace: &Trace,
) -> Option<Vec<u8>> {
    // Another host's sender may be forged, and would get a report that it did not ask for.
    let sender = envelope.reverse_path.address().filter(|_| envelope.origin != Origin::OtherHost)?;
    let delivered = envelope.recipients.iter().filter_map(|destination| {
        let Destination::Mailbox { address, .. } = destination else { return None };
        let parameters = envelope.dsn.parameters(address);
        parameters.notify.filter(|notify| notify.success)?;
        Some(RecipientStatus {
            original_recipient: parameters.orcpt,
            last_attempt: Some(trace.time.fixed_offset()),
            ..RecipientStatus::new(address.to_string(), Action::Delivered, EnhancedCode::new(2, 0, 0))
        })
    });
    let recipients: Vec<_> = delivered.collect();
    if recipients.is_empty() {
        return None;
    }
    let report = DeliveryReport {
        reporting_mta: trace.by.clone(),
        envelope_id: envelope.dsn.envid.as_ref().map(|id| id.as_str().to_owned()),
        arrival_date: Some(trace.time.fixed_offset()),
        recipients,
    };
    let host = Domain::parse(&trace.by).ok()?;
    let id = MessageId::for_host(&format!("{}.delivered", trace.id), &host)?;
    let original = message_id.map(|id| format!("Message-ID: {id}\r\n")).unwrap_or_default();
    let notification = Notification {
        report: &report,
        sender,
        host: &host,
        date: &trace.time.fixed_offset(),
        id: &id,
        original: original.as_bytes(),
        ret: None,
        utf8: !sender.is_ascii(),
    };
    Some(notification.format())
}
