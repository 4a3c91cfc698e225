//! Reports to the sender of a queued message (RFC 3461 section 6).

use chrono::{DateTime, Utc};
use mail_core::message::address::{Address, Domain};
use mail_core::message::header;
use mail_core::message::id::MessageId;
use mail_core::message::report::{Action, DeliveryReport, Diagnostic, Notification, RecipientStatus};
use mail_core::queue::{QueueId, RecipientProgress};
use mail_core::smtp::dsn::Ret;
use mail_core::smtp::reply::EnhancedCode;

use crate::store::Queued;

/// The event that is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A failure, or the transfer to a host without reports.
    Final,
    Delayed,
}

/// The circumstances of a report.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// This host.
    pub(crate) hostname: &'a Domain,
    pub(crate) now: DateTime<Utc>,
    /// The end of the message's lifetime.
    pub(crate) retry_until: DateTime<Utc>,
    pub(crate) id: &'a QueueId,
}

/// Formats a report about some recipients of an entry. `beginning` is the beginning of the message.
pub(crate) fn format<F>(
    context: &Context<'_>,
    kind: Kind,
    queued: &Queued<F>,
    recipients: &[usize],
    sender: &Address,
    beginning: &[u8],
) -> Vec<u8> {
    let status = |index: &usize| {
        let (recipient, progress) = (&queued.entry.recipients[*index], &queued.progress.recipients[*index]);
        RecipientStatus {
            original_recipient: recipient.parameters.orcpt.clone(),
            ..recipient_status(context, kind, recipient.address.to_string(), progress)
        }
    };
    let report = DeliveryReport {
        reporting_mta: context.hostname.ascii().into_owned(),
        envelope_id: queued.entry.envid.as_ref().map(|id| id.as_str().to_owned()),
        arrival_date: Some(queued.entry.received.fixed_offset()),
        recipients: recipients.iter().map(status).collect(),
    };
    let word = match kind {
        Kind::Final => "final",
        Kind::Delayed => "delayed",
    };
    let left = format!("{}.{}.{word}", context.id, context.now.timestamp());
    let id = MessageId::for_host(&left, context.hostname).expect("a queue id is printable ASCII");
    let original = match queued.entry.ret {
        Some(Ret::Full) => beginning,
        _ => header::split(beginning).0,
    };
    let date = context.now.fixed_offset();
    let notification = Notification {
        report: &report,
        sender,
        host: context.hostname,
        date: &date,
        id: &id,
        original,
        ret: queued.entry.ret,
        utf8: queued.entry.utf8 || !sender.is_ascii(),
    };
    notification.format()
}

fn recipient_status(
    context: &Context<'_>,
    kind: Kind,
    address: String,
    progress: &RecipientProgress,
) -> RecipientStatus {
    let action = match kind {
        Kind::Final if progress.is_relayed => Action::Relayed,
        Kind::Final => Action::Failed,
        Kind::Delayed => Action::Delayed,
    };
    let mut detail = Detail::parse(&progress.detail);
    if kind == Kind::Delayed {
        // The failure of a host that greets with 5yz is not final for the message.
        detail.status = EnhancedCode::new(4, detail.status.subject(), detail.status.detail());
    }
    RecipientStatus {
        remote_mta: detail.host.map(str::to_owned),
        diagnostic_code: Some(detail.diagnostic),
        last_attempt: progress.last_attempt.map(|time| time.fixed_offset()),
        will_retry_until: (kind == Kind::Delayed).then(|| context.retry_until.fixed_offset()),
        ..RecipientStatus::new(address, action, detail.status)
    }
}

/// The detail of a log line: `host [address]: reply`, or `status reason`.
#[derive(Debug, PartialEq, Eq)]
struct Detail<'a> {
    status: EnhancedCode,
    host: Option<&'a str>,
    diagnostic: Diagnostic,
}

impl<'a> Detail<'a> {
    fn parse(detail: &'a str) -> Self {
        let (first, rest) = detail.split_once(' ').unwrap_or((detail, ""));
        if let Some(status) = EnhancedCode::parse(first) {
            return Self { status, host: None, diagnostic: Diagnostic::local(rest) };
        }
        let (host, reply) = match detail.split_once("]: ") {
            Some((host, reply)) => (host.split(' ').next(), reply),
            None => (None, detail),
        };
        let mut words = reply.split(' ');
        let class = match words.next().and_then(|code| code.bytes().next()) {
            Some(b'2') => 2,
            Some(b'4') => 4,
            _ => 5,
        };
        let status = words.next().and_then(EnhancedCode::parse).filter(|status| status.class() == class);
        Self {
            status: status.unwrap_or(EnhancedCode::new(class, 0, 0)),
            host,
            diagnostic: Diagnostic { kind: "smtp".into(), text: reply.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_names_status_host_and_reply() {
        for (detail, status, host, kind, text) in [
            (
                "mx.example [192.0.2.1]: 550 5.1.1 no such user",
                (5, 1, 1),
                Some("mx.example"),
                "smtp",
                "550 5.1.1 no such user",
            ),
            ("mx.example [2001:db8::1]: 451 busy", (4, 0, 0), Some("mx.example"), "smtp", "451 busy"),
            ("mx.example [192.0.2.1]: 550 2.0.0 odd", (5, 0, 0), Some("mx.example"), "smtp", "550 2.0.0 odd"),
            (
                "5.1.2 the domain x does not exist",
                (5, 1, 2),
                None,
                "x-pennypost",
                "the domain x does not exist",
            ),
            ("", (5, 0, 0), None, "smtp", ""),
        ] {
            let parsed = Detail::parse(detail);
            let (class, subject, number) = status;
            assert_eq!(
                (parsed.status, parsed.host),
                (EnhancedCode::new(class, subject, number), host),
                "{detail}"
            );
            assert_eq!(
                (parsed.diagnostic.kind.as_str(), parsed.diagnostic.text.as_str()),
                (kind, text),
                "{detail}"
            );
        }
    }
}
