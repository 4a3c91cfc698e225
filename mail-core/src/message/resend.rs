//! "Send again": the message that a delivery report returns, for the recipients that did not get it.

use super::address::Address;
use super::draft::{Draft, Subject};
use super::parsed::ParsedMessage;
use super::platform::Platform;
use super::report::{Action, DeliveryReport};

/// Recipients of the new message.
const RECIPIENTS_MAX: usize = 100;

/// Whether [`send_again`] makes a draft of this message.
#[must_use]
pub fn can_send_again(message: &ParsedMessage) -> bool {
    message.report.as_ref().is_some_and(|report| !failed(report).is_empty()) && returned(message).is_some()
}

/// A draft with subject, text and files of the message that a report returns, to the recipients to which delivery failed. `None` for other
/// messages, and for a report that returns only the header. Anybody can write a report, so the user reads the draft before
/// it is sent.
#[must_use]
pub fn send_again(message: &ParsedMessage, platform: Platform, own_address: &Address) -> Option<Draft> {
    let to = failed(message.report.as_ref()?);
    let original = ParsedMessage::parse_with(returned(message)?, platform);
    if to.is_empty() {
        return None;
    }
    let text = original.plain_text().to_owned();
    let mut draft = Draft::new(own_address.clone(), to, Subject::truncated(&original.subject), text);
    draft.attachments = original.attachments;
    draft.in_reply_to = original.in_reply_to.last().cloned();
    draft.references = original.references;
    Some(draft)
}

/// The content of the first attached message.
fn returned(message: &ParsedMessage) -> Option<&[u8]> {
    let is_message = |mime: &str| matches!(mime, "message/rfc822" | "message/global");
    message.attachments.iter().find(|file| is_message(&file.mime)).map(|file| &*file.bytes)
}

/// The recipients to which delivery failed, each once.
fn failed(report: &DeliveryReport) -> Vec<Address> {
    let mut failed = Vec::new();
    for recipient in report.recipients.iter().filter(|recipient| recipient.action == Action::Failed) {
        if let Ok(address) = Address::parse(recipient.address())
            && !failed.contains(&address)
            && failed.len() < RECIPIENTS_MAX
        {
            failed.push(address);
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ORIGINAL: &str = "From: ag@iit.edu\r\nTo: x@example.net, y@example.net\r\nSubject: Meeting\r\nIn-Reply-To: <1@iit.edu>\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee you at five.\r\n--b\r\n\
        Content-Disposition: attachment; filename=a.txt\r\n\r\nfile\r\n--b--\r\n";

    fn report(kind: &str, statuses: &str) -> ParsedMessage {
        let text = format!(
            "From: MAILER-DAEMON@iit.edu\r\nSubject: Not delivered\r\nContent-Type: multipart/report; boundary=r\r\n\r\n\
             --r\r\n\r\nNot delivered.\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; iit.edu\r\n\r\n\
             {statuses}--r\r\nContent-Type: {kind}\r\n\r\n{ORIGINAL}\r\n--r--\r\n"
        );
        ParsedMessage::parse(text.as_bytes())
    }

    fn status(address: &str, action: &str) -> String {
        let status = if action == "failed" { "5.1.1" } else { "4.4.1" };
        format!("Final-Recipient: rfc822; {address}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n")
    }

    fn own() -> Address {
        Address::parse("ag@iit.edu").unwrap()
    }

    #[test]
    fn draft_has_the_returned_message_and_the_failed_recipients() {
        let statuses = [
            status("x@example.net", "failed"),
            status("y@example.net", "delayed"),
            status("X@example.net", "failed"),
        ];
        let message = report("message/rfc822", &statuses.concat());
        assert!(can_send_again(&message));
        let draft = send_again(&message, Platform::NONE, &own()).unwrap();
        let to: Vec<_> = draft.to.iter().map(ToString::to_string).collect();
        // Local parts differ by case (RFC 5321 section 2.4).
        assert_eq!(to, ["x@example.net", "X@example.net"]);
        assert_eq!((draft.subject.as_str(), draft.body.trim_end()), ("Meeting", "See you at five."));
        assert_eq!(draft.attachments.len(), 1);
        assert_eq!(
            (&*draft.attachments[0].name, draft.attachments[0].bytes.as_slice()),
            ("a.txt", &b"file"[..])
        );
        assert_eq!(draft.in_reply_to.map(|id| id.to_string()).as_deref(), Some("<1@iit.edu>"));
    }

    #[test]
    fn message_without_a_failure_or_a_returned_message_is_not_sent_again() {
        let failed = status("x@example.net", "failed");
        for message in [
            report("message/rfc822", &status("x@example.net", "delayed")),
            report("text/rfc822-headers", &failed),
            report("message/rfc822", &status("not an address", "failed")),
            ParsedMessage::parse(ORIGINAL.as_bytes()),
        ] {
            assert!(!can_send_again(&message));
            assert!(send_again(&message, Platform::NONE, &own()).is_none());
        }
    }
}
