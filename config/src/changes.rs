//! Differences between two versions of the configuration file, and the keys that a running server applies.

use toml::{Table, Value};

use crate::Config;

/// The keys that new connections use after a reload. All others need a restart.
const RELOADED: [&str; 6] = [
    "auth.plain_text",
    "faults",
    "limits.message_size",
    "limits.recipients",
    "limits.trusted",
    "outbound.relay_from",
];

/// The changed keys of a file, as `section.key`, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Applied by [`Config::apply`].
    pub applied: Vec<String>,
    /// They need a restart.
    pub pending: Vec<String>,
}

impl Changes {
    /// The differences between two versions of a file that are valid configurations.
    #[must_use]
    pub fn between(before: &str, after: &str) -> Self {
        let parse = |text: &str| text.parse::<Table>().unwrap_or_default();
        let mut keys = Vec::new();
        compare("", &parse(before), &parse(after), &mut keys);
        keys.sort_unstable();
        let (applied, pending) = keys.into_iter().partition(|key| RELOADED.contains(&key.as_str()));
        Self { applied, pending }
    }
}

fn compare(section: &str, before: &Table, after: &Table, keys: &mut Vec<String>) {
    let added = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(added) {
        let name = format!("{section}{key}");
        match (before.get(key), after.get(key)) {
            (Some(before), Some(after)) if before == after => {}
            (Some(Value::Table(before)), Some(Value::Table(after))) => {
                compare(&format!("{name}."), before, after, keys);
            }
            // A section that has been added or removed as a whole. The presence of [outbound] has a meaning of its own.
            (Some(Value::Table(table)), None) | (None, Some(Value::Table(table))) if name != "outbound" => {
                keys.extend(table.keys().map(|key| format!("{name}.{key}")));
            }
            _ => keys.push(name),
        }
    }
}

impl Config {
    /// Takes over the values of a new version of the file that need no restart.
    pub fn apply(&mut self, new: &Self) {
        self.auth.plain_text = new.auth.plain_text;
        self.faults = new.faults.clone();
        self.limits.message_size = new.limits.message_size;
        self.limits.recipients = new.limits.recipients;
        self.limits.trusted = new.limits.trusted.clone();
        if let (Some(outbound), Some(new)) = (&mut self.outbound, &new.outbound) {
            outbound.relay_from = new.relay_from.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_keys_are_applied_or_need_a_restart() {
        let before = "hostname = 'a'\n[limits]\nrecipients = 100\nconnections = 5\n[pop3]\nlisten = []\n";
        let after = "hostname = 'a' # comment\n[limits]\nconnections = 6\n[web]\ntls = false\n[[faults]]\nprotocol = 'smtp'\n";
        let changes = Changes::between(before, after);
        assert_eq!(changes.applied, ["faults", "limits.recipients"]);
        assert_eq!(changes.pending, ["limits.connections", "pop3.listen", "web.tls"]);
        assert_eq!(Changes::between(before, before), Changes::default());
        let outbound = "[outbound]\nmode = 'direct'\nrelay_from = ['10.0.0.0/8']";
        assert_eq!(Changes::between("", outbound).pending, ["outbound"]);
        assert_eq!(Changes::between("[outbound]", outbound).applied, ["outbound.relay_from"]);
    }

    #[test]
    fn applied_keys_change_the_configuration_and_others_do_not() {
        let mut config =
            Config::parse("[outbound]\nmode = 'direct'\n[limits]\nrecipients = 200\nconnections = 5")
                .unwrap();
        let new = Config::parse(
            "[outbound]\nmode = 'direct'\nrelay_from = ['10.0.0.0/8']\n[auth]\nplain_text = true\n[limits]\nconnections = 6\nmessage_size = '1 MiB'",
        )
        .unwrap();
        config.apply(&new);
        assert!(config.auth.plain_text && config.limits.connections == 5);
        assert_eq!((config.limits.recipients, config.limits.message_size.get()), (1_000, 1 << 20));
        assert!(config.outbound.unwrap().relay_from.contains([10, 0, 0, 1].into()));
    }
}
