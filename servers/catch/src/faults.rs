//! Faults set at run time: those of `/api/v1/faults` in the syntax of `[[faults]]`, and Mailpit's chaos triggers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::{Action, Fault, Faults, Sampling, SmtpCommand};
use mail_core::smtp::reply::{EnhancedCode, Reply};
use mail_service::faults::{ArmedFault, FaultInjector};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The faults of all sessions.
#[derive(Debug)]
pub(crate) struct FaultControl {
    pub(crate) injector: Arc<FaultInjector<SmtpCommand>>,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    /// Each with the entry that it was set by.
    faults: Vec<(Value, Arc<ArmedFault<SmtpCommand>>)>,
    chaos: Chaos,
}

/// Mailpit's chaos triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Chaos {
    sender: Trigger,
    recipient: Trigger,
    authentication: Trigger,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Trigger {
    /// 0 selects the default.
    error_code: u16,
    /// Percent.
    probability: u8,
}

impl Default for Chaos {
    fn default() -> Self {
        let trigger = |error_code| Trigger { error_code, probability: 0 };
        Self { sender: trigger(451), recipient: trigger(451), authentication: trigger(535) }
    }
}

impl Default for FaultControl {
    fn default() -> Self {
        Self { injector: Arc::new(FaultInjector::new(&[])), current: Mutex::default() }
    }
}

impl FaultControl {
    /// The entries, each with `injected`, the number of times that it was applied.
    pub(crate) fn entries(&self) -> Vec<Value> {
        let described = |(entry, armed): &(Value, Arc<ArmedFault<SmtpCommand>>)| {
            let mut entry = entry.clone();
            entry["injected"] = json!(armed.injected());
            entry
        };
        self.current().faults.iter().map(described).collect()
    }

    /// Replaces all entries. `protocol` may be omitted: it is smtp.
    ///
    /// # Errors
    /// A sentence that names the key of the first invalid entry.
    pub(crate) fn set(&self, entries: Vec<Map<String, Value>>) -> Result<(), String> {
        let mut faults = Vec::with_capacity(entries.len());
        for (number, mut entry) in (1..).zip(entries) {
            entry.remove("injected");
            let protocol = entry.entry("protocol").or_insert_with(|| json!("smtp"));
            if protocol != "smtp" {
                return Err(format!(
                    "fault {number}: `protocol` is {protocol}, but a catcher has faults of smtp only"
                ));
            }
            let entry = Value::Object(entry);
            let parsed: Faults = serde_json::from_value(Value::Array(vec![entry.clone()]))
                .map_err(|error| format!("fault {number}: {error}"))?;
            faults.extend(parsed.smtp.into_iter().map(|fault| (entry.clone(), ArmedFault::new(fault))));
        }
        let mut current = self.current();
        current.faults = faults;
        self.arm(&current);
        Ok(())
    }

    pub(crate) fn chaos(&self) -> Chaos {
        self.current().chaos
    }

    /// # Errors
    /// Mailpit's sentence about the first invalid trigger.
    pub(crate) fn set_chaos(&self, mut chaos: Chaos) -> Result<Chaos, String> {
        let defaults = Chaos::default();
        for (trigger, default) in [
            (&mut chaos.sender, defaults.sender),
            (&mut chaos.recipient, defaults.recipient),
            (&mut chaos.authentication, defaults.authentication),
        ] {
            if trigger.error_code == 0 {
                trigger.error_code = default.error_code;
            }
            if !(400..=599).contains(&trigger.error_code) {
                return Err("error code must be between 400 and 599".to_owned());
            }
            if trigger.probability > 100 {
                return Err("probability must be between 0 and 100".to_owned());
            }
        }
        let mut current = self.current();
        current.chaos = chaos;
        self.arm(&current);
        Ok(chaos)
    }

    fn arm(&self, current: &Current) {
        let Chaos { sender, recipient, authentication } = current.chaos;
        let chaos = [
            (SmtpCommand::Mail, sender),
            (SmtpCommand::Rcpt, recipient),
            (SmtpCommand::Auth, authentication),
        ];
        let chaos = chaos.into_iter().filter(|(_, trigger)| trigger.probability > 0);
        let faults = current.faults.iter().map(|(_, armed)| Arc::clone(armed));
        self.injector.replace(faults.chain(chaos.map(|(command, trigger)| trigger.arm(command))).collect());
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trigger {
    fn arm(self, command: SmtpCommand) -> Arc<ArmedFault<SmtpCommand>> {
        let enhanced = EnhancedCode::new(if self.error_code < 500 { 4 } else { 5 }, 0, 0);
        let reply = Reply::new(self.error_code, enhanced, "Chaos");
        ArmedFault::new(Fault {
            command,
            identity: None,
            delay: None,
            action: Action::Reject(reply),
            stored: false,
            times: None,
            sampling: Some(Sampling { probability: f64::from(self.probability) / 100.0, seed: 0 }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(json: &str) -> Vec<Map<String, Value>> {
        serde_json::from_str(json).expect("an array of objects")
    }

    #[test]
    fn entries_are_returned_as_they_were_set() {
        let control = FaultControl::default();
        control
            .set(entries(
                r#"[{"command":"MESSAGE","stored":true,"drop":true,"times":2,"for":"*@a.example"}]"#,
            ))
            .expect("a valid entry");
        let [entry] = &control.entries()[..] else { panic!("one entry") };
        assert_eq!(
            (&entry["protocol"], &entry["times"], &entry["injected"]),
            (&json!("smtp"), &json!(2), &json!(0))
        );
        control.set(vec![entry.as_object().expect("an object").clone()]).expect("an entry can be set again");
        control.set(Vec::new()).expect("no entry");
        assert!(control.entries().is_empty());
    }

    #[test]
    fn invalid_entry_is_named_and_changes_nothing() {
        let control = FaultControl::default();
        control.set(entries(r#"[{"command":"DATA","drop":true}]"#)).expect("a valid entry");
        for (json, part) in [
            (
                r#"[{"command":"DATA","drop":true},{"command":"RETR","drop":true}]"#,
                "fault 2: `command` is `RETR`",
            ),
            (r#"[{"command":"DATA","replay":"451 x"}]"#, "`replay`"),
            (r#"[{"command":"DATA","delay":"3"}]"#, "`3` is not a delay"),
            (r#"[{"command":"RETR","drop":true,"protocol":"pop3"}]"#, "smtp only"),
        ] {
            let reason = control.set(entries(json)).expect_err(json);
            assert!(reason.contains(part), "{reason}");
        }
        assert_eq!(control.entries().len(), 1);
    }

    #[test]
    fn chaos_has_mailpits_defaults_and_ranges() {
        let control = FaultControl::default();
        let set = |json| control.set_chaos(serde_json::from_str(json).expect("a trigger"));
        let chaos = set(r#"{"Sender":{"Probability":100},"Recipient":{"ErrorCode":550,"Probability":5}}"#)
            .expect("valid");
        assert_eq!(
            serde_json::to_value(chaos).expect("JSON"),
            json!({"Sender":{"ErrorCode":451,"Probability":100},"Recipient":{"ErrorCode":550,"Probability":5},
                "Authentication":{"ErrorCode":535,"Probability":0}})
        );
        assert!(set(r#"{"Sender":{"ErrorCode":250}}"#).expect_err("no error code").contains("400 and 599"));
        assert!(set(r#"{"Sender":{"Probability":101}}"#).expect_err("too large").contains("0 and 100"));
        assert_eq!(control.chaos(), chaos);
    }
}
