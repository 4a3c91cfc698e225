//! A mail while it is written: what stands in the fields, right or wrong.
//!
//! The rules are [`draft`](mail_core::message::draft)'s; this says at which field one is broken.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use mail_core::message::address::Address;
use mail_core::message::draft::{
    Attachment, Draft, DraftError, SUBJECT_CHARS_MAX, Subject, parse_address, parse_addresses,
};
use mail_core::message::id::MessageId;

/// Recipients: those that stand as chips, and what is being typed after them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recipients {
    pub(crate) chips: Vec<String>,
    pub(crate) typed: String,
}

impl Recipients {
    fn of(addresses: &[Address]) -> Self {
        Self { chips: addresses.iter().map(ToString::to_string).collect(), typed: String::new() }
    }

    /// What is typed becomes chips; what is no address becomes one, too, to be seen and mended.
    pub(crate) fn settle(&mut self) {
        let typed = std::mem::take(&mut self.typed);
        match parse_addresses("To", &typed) {
            Ok(addresses) => self.chips.extend(addresses.iter().map(ToString::to_string)),
            Err(_) => self.chips.extend(
                typed
                    .split([',', ';', '\n'])
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned),
            ),
        }
        let mut seen = Vec::new();
        self.chips.retain(|chip| {
            let new = !seen.contains(chip);
            seen.push(chip.clone());
            new
        });
    }

    /// The last chip goes back to be typed.
    pub(crate) fn unsettle(&mut self) {
        if self.typed.is_empty() {
            self.typed = self.chips.pop().unwrap_or_default();
        }
    }

    fn addresses(&self, field: &'static str) -> Result<Vec<Address>, DraftError> {
        let mut addresses = Vec::new();
        for chip in &self.chips {
            addresses.push(parse_address(field, chip)?);
        }
        addresses.extend(parse_addresses(field, &self.typed)?);
        Ok(addresses)
    }

    fn is_empty(&self) -> bool {
        self.chips.is_empty() && self.typed.trim().is_empty()
    }
}

/// Whether a chip is an address.
pub(crate) fn is_address(chip: &str) -> bool {
    parse_address("To", chip).is_ok()
}

/// The sentence for each field that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    pub(crate) to: Option<String>,
    pub(crate) cc: Option<String>,
    pub(crate) bcc: Option<String>,
    pub(crate) subject: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Its name among the drafts, and the number in its Message-ID: sending it once more after a lost connection
    /// sends the same message, so that a second copy can be known for one.
    pub(crate) id: String,
    pub(crate) changed: DateTime<Utc>,
    pub(crate) to: Recipients,
    pub(crate) cc: Recipients,
    pub(crate) bcc: Recipients,
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) attachments: Vec<Rc<Attachment>>,
    pub(crate) in_reply_to: Option<MessageId>,
    pub(crate) references: Vec<MessageId>,
    /// It was being sent when the connection or the page ended: it may have been delivered.
    pub(crate) unsure: bool,
}

impl Form {
    /// An empty form. `number` must be new.
    pub(crate) fn new(number: u128, changed: DateTime<Utc>) -> Self {
        Self {
            id: format!("{number:032x}"),
            changed,
            to: Recipients::default(),
            cc: Recipients::default(),
            bcc: Recipients::default(),
            subject: String::new(),
            body: String::new(),
            attachments: Vec::new(),
            in_reply_to: None,
            references: Vec::new(),
            unsure: false,
        }
    }

    /// A form that begins with what an answer or a forwarded message begins with.
    pub(crate) fn of(draft: Draft, number: u128, changed: DateTime<Utc>) -> Self {
        Self {
            to: Recipients::of(&draft.to),
            cc: Recipients::of(&draft.cc),
            bcc: Recipients::of(&draft.bcc),
            subject: draft.subject.as_str().to_owned(),
            body: draft.body,
            attachments: draft.attachments.into_iter().map(Rc::new).collect(),
            in_reply_to: draft.in_reply_to,
            references: draft.references,
            ..Self::new(number, changed)
        }
    }

    /// Whether there is nothing to lose.
    pub(crate) fn is_empty(&self) -> bool {
        self.to.is_empty()
            && self.cc.is_empty()
            && self.bcc.is_empty()
            && self.subject.trim().is_empty()
            && self.body.trim().is_empty()
            && self.attachments.is_empty()
    }

    /// All recipients, in one line.
    pub(crate) fn recipients(&self) -> String {
        let all = [&self.to, &self.cc, &self.bcc];
        let each = all.iter().flat_map(|field| field.chips.iter().chain(std::iter::once(&field.typed)));
        each.map(String::as_str).filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn octets(&self) -> u64 {
        let files: usize = self.attachments.iter().map(|attachment| attachment.bytes.len()).sum();
        (self.subject.len() + self.body.len() + files) as u64
    }

    /// How many more characters the subject may have.
    pub(crate) fn subject_left(&self) -> isize {
        SUBJECT_CHARS_MAX.cast_signed() - self.subject.trim().chars().count().cast_signed()
    }

    pub(crate) fn number(&self) -> u128 {
        u128::from_str_radix(&self.id, 16).unwrap_or_default()
    }

    /// What is wrong where. What is missing is wrong only when it is `forced`.
    pub(crate) fn problems(&self, forced: bool) -> Problems {
        let recipients = |field: &'static str, recipients: &Recipients| {
            // What is still being typed is not wrong yet.
            let settled = Recipients { chips: recipients.chips.clone(), typed: String::new() };
            let checked = if forced { recipients } else { &settled };
            checked.addresses(field).err().map(|error| at_field(&error))
        };
        let nobody = forced && self.to.is_empty();
        Problems {
            to: recipients("To", &self.to).or_else(|| nobody.then(|| at_field(&DraftError::NoRecipient))),
            cc: recipients("Cc", &self.cc),
            bcc: recipients("Bcc", &self.bcc),
            subject: Subject::parse(&self.subject).err().map(|error| at_field(&error)),
        }
    }

    /// The draft, if all is right.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn draft(&self, from: &Address) -> Result<Draft, DraftError> {
        let to = self.to.addresses("To")?;
        let mut draft = Draft::new(from.clone(), to, Subject::parse(&self.subject)?, self.body.clone());
        draft.cc = self.cc.addresses("Cc")?;
        draft.bcc = self.bcc.addresses("Bcc")?;
        draft.attachments = self.attachments.iter().map(|attachment| Attachment::clone(attachment)).collect();
        draft.in_reply_to.clone_from(&self.in_reply_to);
        draft.references.clone_from(&self.references);
        draft.check()?;
        Ok(draft)
    }
}

/// The sentence as it stands at its field, which has its name already.
fn at_field(error: &DraftError) -> String {
    let sentence = error.to_string();
    let sentence = sentence.split_once(": ").map_or(sentence.as_str(), |(_field, sentence)| sentence);
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn form() -> Form {
        Form::new(7, DateTime::UNIX_EPOCH)
    }

    fn typed(text: &str) -> Recipients {
        Recipients { chips: Vec::new(), typed: text.to_owned() }
    }

    #[test]
    fn what_is_typed_becomes_chips() {
        let mut to = typed("gb@iit.edu, <ag@iit.edu>, gb@iit.edu");
        to.settle();
        assert_eq!(
            to,
            Recipients { chips: vec!["gb@iit.edu".into(), "ag@iit.edu".into()], typed: String::new() }
        );
        to.typed = "nobody; at all".to_owned();
        to.settle();
        assert_eq!(to.chips[2..], ["nobody", "at all"]);
        to.unsettle();
        assert_eq!((to.chips.len(), to.typed.as_str()), (3, "at all"));
        assert!(is_address("gb@iit.edu") && !is_address("nobody"));
    }

    #[test]
    fn what_is_missing_is_wrong_only_when_forced() {
        let form = form();
        assert_eq!(form.problems(false), Problems::default());
        assert!(form.problems(true).to.is_some_and(|why| why == "There is no address."));
        let half_typed = Form { to: typed("gb@"), ..form };
        assert_eq!(half_typed.problems(false), Problems::default());
        assert!(half_typed.problems(true).to.is_some_and(|why| why == "There is no domain after the \"@\"."));
    }

    #[test]
    fn a_wrong_field_is_named_at_once() {
        let mut form = Form { subject: "x".repeat(101), cc: typed("x y"), ..form() };
        form.cc.settle();
        let problems = form.problems(false);
        assert!(problems.cc.is_some_and(|why| why.starts_with("An address is written X@Y")));
        assert!(problems.subject.is_some_and(|why| why == "It has 101 characters, and may have 100."));
        assert_eq!(form.subject_left(), -1);
    }

    #[test]
    fn a_form_that_is_right_is_a_draft() {
        let me = Address::parse("ag@iit.edu").unwrap();
        let form =
            Form { to: typed("gb@iit.edu"), bcc: typed("cd@iit.edu"), subject: " x ".into(), ..form() };
        let draft = form.draft(&me).unwrap();
        assert_eq!((draft.subject.as_str(), draft.recipients().len()), ("x", 2));
        assert_eq!(Form::of(draft, 7, DateTime::UNIX_EPOCH).recipients(), "gb@iit.edu, cd@iit.edu");
        assert!(Form { to: typed("gb"), ..form.clone() }.draft(&me).is_err());
        assert_eq!(Form { to: typed(" "), ..form }.draft(&me), Err(DraftError::NoRecipient));
    }

    #[test]
    fn its_name_is_its_number() {
        assert_eq!(Form::new(u128::MAX, DateTime::UNIX_EPOCH).number(), u128::MAX);
        assert!(form().is_empty() && !Form { body: "x".into(), ..form() }.is_empty());
    }
}
