//! A report as sentences for a user.

use super::status::{self, explanation};
use super::{Action, RecipientStatus};
use crate::smtp::reply::EnhancedCode;

/// Words at the start of a reply among which its status code is: `550 5.1.1`, `host x said: 550 #5.1.1`.
const REPLY_WORDS_MAX: usize = 8;

impl RecipientStatus {
    /// `Not delivered to x@y: no such user.` The address is the one that the sender wrote, if the report has it.
    #[must_use]
    pub fn sentence(&self) -> String {
        let to = |word: &str| match self.address() {
            "" => String::new(),
            address => format!(" {word} {address}"),
        };
        let reason = self.reason().map_or(String::new(), |reason| format!(": {reason}"));
        match self.action {
            Action::Failed => format!("Not delivered{}{reason}.", to("to")),
            Action::Delayed => format!("Not delivered{} yet{reason}.", to("to")),
            Action::Delivered => format!("Delivered{}.", to("to")),
            Action::Relayed => format!("Passed on{} to a server that sends no reports.", to("for")),
            Action::Expanded => format!("Delivered{} and passed on to other addresses.", to("to")),
        }
    }

    /// The reason of a failure or delay as a clause, without a full stop. `None` if the report has no known code.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        let is_failure = matches!(self.action, Action::Failed | Action::Delayed);
        if is_failure { explanation(self.best_status()) } else { None }
    }

    /// The text of the reply or error, if the report has one.
    #[must_use]
    pub fn diagnostic(&self) -> Option<&str> {
        self.diagnostic_code.as_ref().map(|code| code.text.as_str()).filter(|text| !text.is_empty())
    }

    /// `The server said: "550 no such user"`, or `Details: "..."` for another text.
    #[must_use]
    pub fn quotation(&self) -> Option<String> {
        let speaker = if self.is_server_reply() { "The server said" } else { "Details" };
        Some(format!("{speaker}: \"{}\"", self.diagnostic()?))
    }

    /// Whether [`diagnostic`](Self::diagnostic) is the reply of a server.
    pub(super) fn is_server_reply(&self) -> bool {
        self.diagnostic_code.as_ref().is_some_and(|code| code.kind.eq_ignore_ascii_case("smtp"))
    }

    /// The address to show: the original one, else the final one. Empty if the report has none.
    #[must_use]
    pub fn address(&self) -> &str {
        self.original_recipient.as_ref().map_or(&self.final_recipient, |original| original.address())
    }

    /// The code in the server's reply, if the code of the report has no particular meaning. Many mail systems report 5.0.0
    /// for a reply with 5.1.1.
    fn best_status(&self) -> EnhancedCode {
        if status::is_specific(self.status) {
            return self.status;
        }
        let words = self.diagnostic().unwrap_or_default().split(' ').take(REPLY_WORDS_MAX);
        // `550-5.1.1`, `#5.1.1` and `(5.1.1)` occur.
        let code = |word: &str| {
            let word = word.trim_matches(|c: char| !c.is_ascii_digit());
            EnhancedCode::parse(word.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next()?)
        };
        let mut codes = words.filter_map(code).filter(|code| code.class() == self.status.class());
        let general = codes.clone().find(|code| explanation(*code).is_some());
        let own = explanation(self.status).map(|_| self.status);
        codes.find(|code| status::is_specific(*code)).or(own).or(general).unwrap_or(self.status)
    }
}
