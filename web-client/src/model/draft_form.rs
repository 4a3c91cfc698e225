//! The compose form: what the fields of a draft contain, valid or not.
//!
//! [`mail_core::message::draft`] defines the rules; this module reports violations by field.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use mail_core::message::address::{Address, AddressError};
use mail_core::message::draft::{Attachment, Draft, DraftError, SUBJECT_CHARS_MAX, Subject, parse_address};
use mail_core::message::id::MessageId;
use mail_core::message::recipients::{self, split_recipients};

use crate::model::rich_text::{Original, RichText};
use crate::strings;

/// A recipient field: finished entries as chips, followed by the text that is being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recipients {
    pub(crate) chips: Vec<String>,
    pub(crate) typed: String,
}

impl Recipients {
    fn from_addresses(addresses: &[Address]) -> Self {
        Self { chips: addresses.iter().map(ToString::to_string).collect(), typed: String::new() }
    }

    /// Turns the typed text into chips. Invalid addresses become chips too, so that they can be seen and corrected.
    pub(crate) fn commit_typed(&mut self) {
        let typed = std::mem::take(&mut self.typed);
        let shown = |entry: String| parse_address("To", &entry).map_or(entry, |address| address.to_string());
        self.chips.extend(split_recipients(&typed).into_iter().map(shown));
        let mut seen = Vec::new();
        self.chips.retain(|chip| {
            let new = !seen.contains(chip);
            seen.push(chip.clone());
            new
        });
    }

    /// Turns the last chip back into typed text.
    pub(crate) fn edit_last_chip(&mut self) {
        if self.typed.is_empty() {
            self.typed = self.chips.pop().unwrap_or_default();
        }
    }

    /// Whether the typed text ends with a separator and is not inside a quoted name.
    pub(crate) fn is_entry_finished(&self) -> bool {
        let typed = self.typed.as_str();
        typed.ends_with([',', ';'])
            && !typed.trim_matches([',', ';', ' ']).is_empty()
            && !recipients::is_open(typed)
    }

    fn addresses(&self, field: &'static str) -> Result<Vec<Address>, DraftError> {
        let mut committed = self.clone();
        committed.commit_typed();
        committed.chips.iter().map(|chip| parse_address(field, chip)).collect()
    }

    /// The valid addresses.
    pub(crate) fn addresses_as_text(&self) -> Vec<String> {
        let mut committed = self.clone();
        committed.commit_typed();
        let addresses = committed.chips.iter().filter_map(|chip| parse_address("To", chip).ok());
        addresses.map(|address| address.to_string()).collect()
    }

    fn is_empty(&self) -> bool {
        self.chips.is_empty() && self.typed.trim().is_empty()
    }
}

/// Whether a chip is a valid address.
pub(crate) fn is_address(chip: &str) -> bool {
    parse_address("To", chip).is_ok()
}

/// The error of each invalid field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    pub(crate) to: Option<String>,
    pub(crate) cc: Option<String>,
    pub(crate) bcc: Option<String>,
    pub(crate) subject: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DraftForm {
    /// The draft's number in hexadecimal. The Message-ID contains the same number, so sending again after a lost
    /// connection repeats the Message-ID and recipients can detect the duplicate.
    pub(crate) id: String,
    pub(crate) changed: DateTime<Utc>,
    /// The chosen own address; `None` for the account's current one.
    pub(crate) from: Option<Address>,
    pub(crate) to: Recipients,
    pub(crate) cc: Recipients,
    pub(crate) bcc: Recipients,
    pub(crate) subject: String,
    /// The text; of a draft with formatting, the plain form of it.
    pub(crate) body: String,
    /// `None` for a draft in plain text.
    pub(crate) rich: Option<Rc<RichText>>,
    pub(crate) attachments: Vec<Rc<Attachment>>,
    pub(crate) in_reply_to: Option<MessageId>,
    pub(crate) references: Vec<MessageId>,
    /// The connection or the page ended during sending; the message may have been delivered.
    pub(crate) maybe_delivered: bool,
    pub(crate) queue: Queue,
}

/// Whether the user has pressed Send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Queue {
    /// No, or the server has refused the message.
    #[default]
    Draft,
    /// Yes. The message is held back while Undo is offered.
    Held,
    /// Yes. The time for Undo is over, and the message is sent as soon as there is a connection.
    Outbox,
}

/// Something that the author may have forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reminder {
    /// The subject is empty.
    Subject,
    /// The text mentions an attachment, and there is none. Images in the text do not count.
    Attachment,
}

/// The Content-ID for an image in a text. `number` must be unique.
pub(crate) fn new_content_id(number: u128) -> String {
    format!("{number:032x}@pennypost")
}

impl DraftForm {
    /// An empty form. `number` must be unique.
    pub(crate) fn new(number: u128, changed: DateTime<Utc>) -> Self {
        Self {
            id: format!("{number:032x}"),
            changed,
            from: None,
            to: Recipients::default(),
            cc: Recipients::default(),
            bcc: Recipients::default(),
            subject: String::new(),
            body: String::new(),
            rich: None,
            attachments: Vec::new(),
            in_reply_to: None,
            references: Vec::new(),
            maybe_delivered: false,
            queue: Queue::Draft,
        }
    }

    /// A form filled with a reply or a forwarded message.
    pub(crate) fn from_draft(draft: Draft, number: u128, changed: DateTime<Utc>) -> Self {
        Self {
            to: Recipients::from_addresses(&draft.to),
            cc: Recipients::from_addresses(&draft.cc),
            bcc: Recipients::from_addresses(&draft.bcc),
            subject: draft.subject.as_str().to_owned(),
            body: draft.body,
            attachments: draft.attachments.into_iter().map(without_content_id).map(Rc::new).collect(),
            in_reply_to: draft.in_reply_to,
            references: draft.references,
            ..Self::new(number, changed)
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.to.is_empty()
            && self.cc.is_empty()
            && self.bcc.is_empty()
            && self.subject.trim().is_empty()
            && self.body.trim().is_empty()
            && self.attachments.is_empty()
    }

    /// A reminder of something that the author may have forgotten. Quoted text and the signature do not count.
    pub(crate) fn reminder(&self) -> Option<Reminder> {
        let is_over = |line: &str| line == "-- " || line.starts_with("---------- Forwarded");
        let own = self.body.lines().take_while(|line| !is_over(line)).filter(|line| !line.starts_with('>'));
        let mut words = own.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
        let mut mentions_attachment = || {
            words
                .any(|word| ["attached", "attachment", "attachments"].contains(&word.to_lowercase().as_str()))
        };
        if self.subject.trim().is_empty() {
            Some(Reminder::Subject)
        } else if self.listed_attachments().next().is_none() && mentions_attachment() {
            Some(Reminder::Attachment)
        } else {
            None
        }
    }

    pub(crate) fn set_rich(&mut self, rich: Rc<RichText>) {
        self.body = rich.plain_text();
        self.rich = Some(rich);
    }

    /// Makes a draft in plain text one with formatting.
    pub(crate) fn set_formatted(&mut self) {
        for file in self.attachments.iter_mut().filter(|file| file.content_id.is_some()) {
            *file = Rc::new(without_content_id(Attachment::clone(file)));
        }
        self.rich = Some(Rc::new(RichText::from_plain(&self.body)));
    }

    /// Removes the formatting. Images in the text become attachments; those of a quotation are removed with it.
    pub(crate) fn set_plain(&mut self) {
        let Some(rich) = self.rich.take() else { return };
        let own = RichText { original: None, ..RichText::clone(&rich) };
        let is_forwarded = rich.original.as_ref().is_some_and(|original| original.is_forwarded);
        self.attachments.retain(|file| match &file.content_id {
            Some(_) if rich.shows(file) => is_forwarded || own.shows(file),
            Some(_) => false,
            None => true,
        });
    }

    /// The attachments that are listed: all but the images of the text.
    pub(crate) fn listed_attachments(&self) -> impl Iterator<Item = &Rc<Attachment>> {
        self.attachments.iter().filter(|file| self.rich.is_none() || file.content_id.is_none())
    }

    /// The original that this version lost because it was too large for a backup.
    pub(crate) fn lost_original(&self, stored: &Self) -> Option<Rc<Original>> {
        let (own, stored) = (self.rich.as_ref()?, stored.rich.as_ref()?);
        let original = stored.original.as_ref()?;
        (own.original.is_none() && self.body.ends_with(&original.text)).then(|| original.clone())
    }

    /// Fills in the text, the HTML if there is any formatting, and the attachments.
    pub(crate) fn fill_content(&self, draft: &mut Draft) {
        draft.body.clone_from(&self.body);
        let rich = self.rich.as_ref();
        draft.html = rich.filter(|rich| rich.has_formatting()).map(|rich| rich.mail_html());
        let is_sent =
            |file: &&Rc<Attachment>| file.content_id.is_none() || rich.is_none_or(|rich| rich.shows(file));
        draft.attachments =
            self.attachments.iter().filter(is_sent).map(|file| Attachment::clone(file)).collect();
    }

    pub(crate) fn with_attachment(&self, attachment: Rc<Attachment>, changed: DateTime<Utc>) -> Self {
        let mut form = Self { changed, ..self.clone() };
        form.attachments.push(attachment);
        form
    }

    /// The draft without the mark that it is queued.
    pub(crate) fn unqueued(&self) -> Self {
        self.queued_as(Queue::Draft)
    }

    pub(crate) fn queued_as(&self, queue: Queue) -> Self {
        Self { queue, ..self.clone() }
    }

    pub(crate) const fn is_queued(&self) -> bool {
        !matches!(self.queue, Queue::Draft)
    }

    /// Whether the draft is sent as soon as there is a connection.
    pub(crate) const fn is_in_outbox(&self) -> bool {
        matches!(self.queue, Queue::Outbox)
    }

    /// All recipients, separated by commas.
    pub(crate) fn recipients(&self) -> String {
        let all = [&self.to, &self.cc, &self.bcc];
        let each = all.iter().flat_map(|field| field.chips.iter().chain(std::iter::once(&field.typed)));
        each.map(String::as_str).filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn octets(&self) -> u64 {
        let attachments: usize = self.attachments.iter().map(|attachment| attachment.bytes.len()).sum();
        let original = self.rich.as_ref().and_then(|rich| rich.original.as_ref());
        let html = original.map_or(0, |original| original.html.len());
        (self.subject.len() + self.body.len() + html + attachments) as u64
    }

    /// Characters that the subject has left; negative if it is too long.
    pub(crate) fn subject_chars_left(&self) -> isize {
        SUBJECT_CHARS_MAX.cast_signed() - self.subject.trim().chars().count().cast_signed()
    }

    pub(crate) fn number(&self) -> u128 {
        u128::from_str_radix(&self.id, 16).unwrap_or_default()
    }

    /// The invalid fields. With `complete`, missing and half-typed fields count as invalid too.
    pub(crate) fn problems(&self, complete: bool) -> Problems {
        let recipients = |field: &'static str, recipients: &Recipients| {
            let chips_only = Recipients { chips: recipients.chips.clone(), typed: String::new() };
            let checked = if complete { recipients } else { &chips_only };
            checked.addresses(field).err().map(|error| field_message(&error))
        };
        let no_recipient = complete && self.to.is_empty();
        Problems {
            to: recipients("To", &self.to)
                .or_else(|| no_recipient.then(|| field_message(&DraftError::NoRecipient))),
            cc: recipients("Cc", &self.cc),
            bcc: recipients("Bcc", &self.bcc),
            subject: Subject::parse(&self.subject).err().map(|error| field_message(&error)),
        }
    }

    /// The draft to send.
    ///
    /// # Errors
    /// The first invalid field.
    pub(crate) fn draft(&self, from: &Address) -> Result<Draft, DraftError> {
        let to = self.to.addresses("To")?;
        let mut draft = Draft::new(from.clone(), to, Subject::parse(&self.subject)?, String::new());
        self.fill_content(&mut draft);
        draft.cc = self.cc.addresses("Cc")?;
        draft.bcc = self.bcc.addresses("Bcc")?;
        draft.in_reply_to.clone_from(&self.in_reply_to);
        draft.references.clone_from(&self.references);
        draft.check()?;
        Ok(draft)
    }
}

/// An attachment that is listed.
fn without_content_id(attachment: Attachment) -> Attachment {
    Attachment { content_id: None, content_location: None, ..attachment }
}

/// The message beside a field. It does not repeat the field's name.
fn field_message(error: &DraftError) -> String {
    match error {
        DraftError::NoRecipient | DraftError::Address { error: AddressError::Empty, .. } => {
            "Add a recipient.".to_owned()
        }
        DraftError::Address { error: AddressError::NoAt, .. } => strings::FULL_ADDRESS.to_owned(),
        DraftError::SubjectTooLong(chars) => {
            strings::subject_too_long(chars.saturating_sub(SUBJECT_CHARS_MAX))
        }
        error => {
            let text = error.to_string();
            let text = text.split_once(": ").map_or(text.as_str(), |(_field, text)| text);
            let mut chars = text.chars();
            let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            format!("{first}{}.", chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests;
