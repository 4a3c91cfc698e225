//! Compares Pennypost with Postfix and Dovecot: the same load programs, the same disk, in turns within one run. Prints
//! medians and targets in one table.
//!
//! The mail catcher is compared with MailDev. Postfix and Dovecot come from Debian packages and run with their own configuration and
//! ports below `target/peers`. Postfix must be started by root.

mod authentication;
mod catcher;
mod deliveries;
#[allow(dead_code, reason = "the benchmarks use a part of this module")]
#[path = "../../../../servers/tests/support/dns.rs"]
mod dns;
mod dovecot;
mod growth;
mod huge;
mod idle;
mod large;
mod load;
mod mail_path;
mod mailboxes;
mod outbound;
mod pennypost;
mod postfix;
mod server_process;
mod sessions;
mod table;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xtask::setup;
use xtask::shell::{self, Result, cargo, command, print, stdout_of, target_dir};

pub(crate) use self::catcher::measure_catcher;
use self::dovecot::Dovecot;
use self::mail_path::{MAILDIR, MBOX, MailPath};
use self::pennypost::Pennypost;
use self::postfix::{OWNER, Postfix};
use self::server_process::path_error;
use self::table::{Row, Unit, format_value, median, table};

/// Password of every account.
const PASSWORD: &str = "secret";

/// Timeout of a query and of a start.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Account names by use.
#[derive(Debug, Default)]
struct Accounts {
    /// Signs in; the password is stored as a hash.
    hashed: Vec<String>,
    /// Signs in; the password is stored in plain text.
    plain: Vec<String>,
    /// Only receives.
    receiving: Vec<String>,
}

impl Accounts {
    fn all(&self) -> impl Iterator<Item = &String> {
        self.hashed.iter().chain(&self.plain).chain(&self.receiving)
    }
}

/// The running servers.
struct Testbed {
    folder: PathBuf,
    /// Mail of the peers: folders `maildir` and `mbox`.
    mail: PathBuf,
    pennypost: Pennypost,
    postfix: Postfix,
    dovecot: Dovecot,
}

/// Extent of the measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Repetitions of each measurement.
    pub(crate) rounds: usize,
    /// Fewer messages, where a measurement takes minutes.
    pub(crate) is_quick: bool,
}

/// A group of rows.
struct Measurement {
    name: &'static str,
    rows: Rows,
}

enum Rows {
    /// On all three servers, freshly started with these accounts.
    Compared(fn() -> Accounts, fn(&mut Testbed, usize) -> Result<Vec<Row>>),
    /// On servers that the measurement starts.
    Own(fn(Extent) -> Result<Vec<Row>>),
}

const MEASUREMENTS: &[Measurement] = &[
    Measurement { name: "disk", rows: Rows::Compared(deliveries::accounts, disk) },
    Measurement { name: "deliveries", rows: Rows::Compared(deliveries::accounts, deliveries::rows) },
    Measurement { name: "sessions", rows: Rows::Compared(sessions::accounts, sessions::rows) },
    Measurement { name: "large", rows: Rows::Compared(large::accounts, large::rows) },
    Measurement { name: "huge", rows: Rows::Compared(huge::accounts, huge::rows) },
    Measurement { name: "idle", rows: Rows::Compared(idle::accounts, idle::rows) },
    Measurement { name: "growth", rows: Rows::Compared(growth::accounts, growth::rows) },
    Measurement { name: "authentication", rows: Rows::Own(authentication::rows) },
    Measurement { name: "outbound", rows: Rows::Own(outbound::rows) },
    Measurement { name: "catcher", rows: Rows::Own(|extent| catcher::rows(extent.rounds, true)) },
];

pub(crate) fn run(extent: Extent, only: Option<&str>) -> Result {
    let selected = select(only)?;
    server_process::stop_servers_on_signal()?;
    shell::run(
        cargo().args("build --release -p servers --bin pennypost -p load --bin pop3-load".split(' ')),
    )?;
    let mut rows = Vec::new();
    for Measurement { name, rows: measure } in selected {
        print(&format!("\n{name}"));
        rows.extend(match measure {
            Rows::Compared(accounts, measure) => compare_servers(*accounts, *measure, extent.rounds)?,
            Rows::Own(measure) => measure(extent)?,
        });
    }
    print("");
    table(&rows).iter().for_each(|line| print(line));
    Ok(())
}

/// Pennypost, Postfix and Dovecot.
fn compare_servers(
    accounts: fn() -> Accounts,
    measure: fn(&mut Testbed, usize) -> Result<Vec<Row>>,
    rounds: usize,
) -> Result<Vec<Row>> {
    let folder = prepare_peers()?;
    let mut testbed = Testbed::start(&folder, &accounts())?;
    let rows = measure(&mut testbed, rounds)?;
    match testbed.dovecot.first_error()? {
        Some(line) => Err(format!("Dovecot logged an error: {line}")),
        None => Ok(rows),
    }
}

/// Installs the peers. Returns their folder, which is empty.
fn prepare_peers() -> Result<PathBuf> {
    if stdout_of(command("id").arg("-u")).as_deref() != Some("0") {
        return Err("Postfix can only be started by root; run this as root".to_owned());
    }
    setup::for_peers()?;
    let folder = target_dir()?.join("peers");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| path_error(&folder, &error))?;
    }
    fs::create_dir_all(&folder).map_err(|error| path_error(&folder, &error))?;
    require_search_permission(&folder)?;
    Ok(folder)
}

fn select(only: Option<&str>) -> Result<Vec<&'static Measurement>> {
    let word = only.unwrap_or_default();
    let selected: Vec<_> = MEASUREMENTS.iter().filter(|one| one.name.contains(word)).collect();
    if selected.is_empty() {
        let names: Vec<_> = MEASUREMENTS.iter().map(|one| one.name).collect();
        return Err(format!("unknown measurement `{word}`; choose one of {}", names.join(", ")));
    }
    Ok(selected)
}

/// Synced appends: the upper limit of every server that syncs.
fn disk(testbed: &mut Testbed, rounds: usize) -> Result<Vec<Row>> {
    [(1, 2_000), (16, 8_000)]
        .into_iter()
        .map(|(threads, appends)| {
            let rates = (0..rounds)
                .map(|_| load::disk(&testbed.folder, threads, appends))
                .collect::<Result<Vec<_>>>()?;
            Ok(Row {
                name: format!("limit: synced appends of 4 KiB, threads: {threads}"),
                unit: Unit::Rate,
                pennypost: None,
                peers: vec![("the disk".to_owned(), median(&rates))],
                target: None,
            })
        })
        .collect()
}

impl Testbed {
    /// Starts all three servers with empty mailboxes.
    fn start(folder: &Path, accounts: &Accounts) -> Result<Self> {
        let mail = folder.join("mail");
        for name in ["maildir", "mbox"] {
            let format = mail.join(name);
            fs::create_dir_all(&format)
                .and_then(|()| std::os::unix::fs::chown(&format, Some(OWNER), Some(OWNER)))
                .map_err(|error| path_error(&format, &error))?;
        }
        let pennypost_folder = folder.join("pennypost");
        Pennypost::create_data(&pennypost_folder, accounts, "")?;
        let pennypost = Pennypost::start(&pennypost_folder)?;
        let dovecot_folder = folder.join("dovecot");
        let dovecot = Dovecot::start(&dovecot_folder, &mail, accounts)?;
        let lmtp = dovecot::lmtp_socket(&dovecot_folder);
        let postfix = Postfix::start(&folder.join("postfix"), &mail.join("maildir"), &lmtp, accounts)?;
        Ok(Self { folder: folder.to_owned(), mail, pennypost, postfix, dovecot })
    }

    /// Stops Pennypost, runs `action`, starts Pennypost.
    fn restart_pennypost(&mut self, action: impl FnOnce() -> Result) -> Result {
        self.pennypost.server.stop();
        action()?;
        self.pennypost = Pennypost::start(&self.folder.join("pennypost"))?;
        Ok(())
    }

    /// Measures all of `paths` in turns, `rounds` times. The row holds the medians.
    fn compare(
        &mut self,
        work: &str,
        unit: Unit,
        rounds: usize,
        paths: &[MailPath],
        name: fn(MailPath) -> &'static str,
        measure: impl Fn(&mut Self, MailPath) -> Result<f64>,
    ) -> Result<Row> {
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); paths.len()];
        for round in 1..=rounds {
            for (path, values) in paths.iter().zip(&mut values) {
                let value = measure(self, *path)?;
                print(&format!("{work}, round {round}, {}: {}", name(*path), format_value(unit, value)));
                values.push(value);
            }
        }
        let mut row = Row { name: work.to_owned(), unit, pennypost: None, peers: Vec::new(), target: None };
        for (path, values) in paths.iter().zip(values) {
            match path {
                MailPath::Pennypost => row.pennypost = Some(median(&values)),
                MailPath::Maildir | MailPath::Mbox => {
                    row.peers.push((name(*path).to_owned(), median(&values)));
                }
            }
        }
        Ok(row)
    }
}

/// The peers' processes do not run as root and must be able to reach their folder.
fn require_search_permission(folder: &Path) -> Result {
    for ancestor in folder.ancestors() {
        let mode = ancestor.metadata().map_err(|error| path_error(ancestor, &error))?.permissions().mode();
        if mode & 0o001 == 0 {
            return Err(format!(
                "Postfix and Dovecot work in {} but may not search {}; set CARGO_TARGET_DIR to a world-searchable folder",
                folder.display(),
                ancestor.display()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_selects_measurements_by_a_part_of_their_name() {
        let names = |word| {
            let names =
                |selected: Vec<&'static Measurement>| selected.iter().map(|one| one.name).collect::<Vec<_>>();
            select(word).map(names)
        };
        assert_eq!(names(None).expect("all of them").len(), MEASUREMENTS.len());
        assert_eq!(names(Some("deliver")), Ok(vec!["deliveries"]));
        assert_eq!(names(Some("catcher")), Ok(vec!["catcher"]));
        assert!(names(Some("lunch")).is_err_and(|error| error.contains("deliveries")));
    }
}
