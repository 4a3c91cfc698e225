//! Composes a draft and delivers it. A copy is saved until the server accepts the message.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use chrono::{Local, Utc};
use mail_core::message::address::ReversePath;
use mail_core::message::compose;
use mail_core::message::draft::Draft;
use mail_core::message::id::MessageId;
use mail_core::sasl::Credentials;

use crate::connection::Server;
use crate::drafts;
use crate::error::Error;
use crate::submission::{self, OutgoingMessage, Receipt};

/// Composes a message with the current date and a new Message-ID.
pub(crate) fn compose(draft: &Draft) -> OutgoingMessage {
    // The operating system seeds each hash differently.
    let random = || u128::from(RandomState::new().hash_one(Utc::now().timestamp_nanos_opt()));
    let id = MessageId::unique(random() << 64 | random(), &draft.from.host);
    OutgoingMessage {
        reverse_path: ReversePath::Address(draft.from.clone()),
        recipients: draft.recipients().into_iter().cloned().collect(),
        text: compose::compose(draft, &Local::now().fixed_offset(), &id),
        require_tls: false,
    }
}

/// Submits a message. With `drafts`, a copy is saved there before the submission, so that even Ctrl-C does not lose it, and
/// removed after it.
///
/// # Errors
/// No recipient was accepted. The error contains the path of the draft and the command that sends it again.
pub(crate) fn deliver(
    smtp: &Server,
    credentials: Option<Credentials>,
    message: &OutgoingMessage,
    drafts: Option<&Path>,
) -> Result<Receipt, Error> {
    let draft = drafts.map(|directory| drafts::save(directory, &message.text));
    let user = credentials.as_ref().map(|credentials| credentials.authentication_id.clone());
    match (submission::submit(smtp, credentials, message), draft) {
        (Ok(receipt), draft) => {
            if let Some(Ok(path)) = draft {
                // The message is sent; a leftover draft is harmless.
                let _ = std::fs::remove_file(path);
            }
            Ok(receipt)
        }
        (Err(error), None) => Err(error),
        (Err(error), Some(Ok(path))) => {
            let path = shell_quote(&path.to_string_lossy());
            let flags = resend_flags(smtp, user.as_deref(), message);
            Err(Error::Failed(format!(
                "{error}\nThe draft is saved; send it with: mail-client send --raw {path}{flags}"
            )))
        }
        (Err(error), Some(Err(reason))) => {
            let text = String::from_utf8_lossy(&message.text);
            Err(Error::Failed(format!(
                "{error}\nThe draft could not be saved ({reason}); copy it from here:\n{text}"
            )))
        }
    }
}

/// Flags that send the message again to the same server as the same user.
fn resend_flags(smtp: &Server, user: Option<&str>, message: &OutgoingMessage) -> String {
    let user = user.map(|user| ("user", user.to_owned()));
    let from = match &message.reverse_path {
        ReversePath::Address(from) => Some(("from", from.to_string())),
        ReversePath::Null => None,
    };
    let to = message.recipients.iter().map(|to| ("to", to.to_string()));
    let server = [("smtp", smtp.address.clone()), ("tls", smtp.tls.to_string())];
    let flags = server.into_iter().chain(user).chain(from).chain(to);
    let flags = flags.map(|(flag, value)| format!(" --{flag} {}", shell_quote(&value)));
    flags.chain(message.require_tls.then(|| " --require-tls".to_owned())).collect()
}

fn shell_quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
