//! `cargo xtask bench --peers`: this system beside Postfix and Dovecot, driven by the same programs on the same disk in
//! one run, one after the other in turns; medians, in one table with what they must reach.
//!
//! Postfix and Dovecot come from Debian's packages and run with configurations of their own under `target/peers`, on
//! ports of their own. Postfix must be started by root, and so must this.

mod deliveries;
mod dovecot;
mod figures;
mod growth;
mod huge;
mod idle;
mod large;
mod load;
mod mailboxes;
mod ours;
mod plot;
mod postfix;
mod process;
mod sessions;
mod way;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use self::dovecot::Dovecot;
use self::figures::{Row, Unit, median, spell, table};
use self::ours::Ours;
use self::postfix::{OWNER, Postfix};
use self::process::at;
use self::way::{MAILDIR, MBOX, Way};
use crate::setup;
use crate::shell::{self, Result, cargo, command, output, say, target};

/// Everybody's.
const PASSWORD: &str = "secret";
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure beside Postfix and Dovecot instead (as root; installs them on Debian)
    #[arg(long)]
    pub(super) peers: bool,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 3, requires = "peers", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only the measurements whose name holds this word: disk, deliveries, sessions, large, huge, idle, growth
    #[arg(long, value_name = "WORD", requires = "peers")]
    only: Option<String>,
}

/// By how an account is used.
#[derive(Debug, Default)]
struct Accounts {
    /// Signs in; its password is kept as a hash.
    hashed: Vec<String>,
    /// Signs in; its password is kept as it is.
    plain: Vec<String>,
    /// Only receives.
    silent: Vec<String>,
}

impl Accounts {
    fn all(&self) -> impl Iterator<Item = &String> {
        self.hashed.iter().chain(&self.plain).chain(&self.silent)
    }
}

/// Everything that runs while it is measured.
struct Rig {
    folder: PathBuf,
    /// Of the peers: `maildir` and `mbox`.
    mail: PathBuf,
    ours: Ours,
    postfix: Postfix,
    dovecot: Dovecot,
}

/// One group of rows, with servers of its own.
struct Measurement {
    name: &'static str,
    accounts: fn() -> Accounts,
    rows: fn(&mut Rig, usize) -> Result<Vec<Row>>,
}

const MEASUREMENTS: &[Measurement] = &[
    Measurement { name: "disk", accounts: deliveries::accounts, rows: disk },
    Measurement { name: "deliveries", accounts: deliveries::accounts, rows: deliveries::rows },
    Measurement { name: "sessions", accounts: sessions::accounts, rows: sessions::rows },
    Measurement { name: "large", accounts: large::accounts, rows: large::rows },
    Measurement { name: "huge", accounts: huge::accounts, rows: huge::rows },
    Measurement { name: "idle", accounts: idle::accounts, rows: idle::rows },
    Measurement { name: "growth", accounts: growth::accounts, rows: growth::rows },
];

pub(super) fn run(options: &Options) -> Result {
    let chosen = chosen(options.only.as_deref())?;
    if output(command("id").arg("-u")).as_deref() != Some("0") {
        return Err("Postfix starts as root only, so this must be run by root".to_owned());
    }
    setup::for_peers()?;
    shell::run(
        cargo().args("build --release -p servers --bin pennypost -p load --bin pop3-load".split(' ')),
    )?;
    process::end_with_this_program()?;
    let mut rows = Vec::new();
    for Measurement { name, accounts, rows: measure } in chosen {
        say(&format!("\n{name}"));
        let mut rig = Rig::start(&target()?.join("peers"), &accounts())?;
        rows.extend(measure(&mut rig, options.rounds.into())?);
        if let Some(line) = rig.dovecot.complaint()? {
            return Err(format!("Dovecot complains: {line}"));
        }
    }
    say("");
    table(&rows).iter().for_each(|line| say(line));
    Ok(())
}

fn chosen(only: Option<&str>) -> Result<Vec<&'static Measurement>> {
    let word = only.unwrap_or_default();
    let chosen: Vec<_> = MEASUREMENTS.iter().filter(|one| one.name.contains(word)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = MEASUREMENTS.iter().map(|one| one.name).collect();
        return Err(format!("no measurement is called `{word}`; there are {}", names.join(", ")));
    }
    Ok(chosen)
}

/// What the disk itself can do: no server that syncs is faster.
fn disk(rig: &mut Rig, rounds: usize) -> Result<Vec<Row>> {
    [(1, 2_000), (16, 8_000)]
        .into_iter()
        .map(|(threads, appends)| {
            let figures =
                (0..rounds).map(|_| load::disk(&rig.folder, threads, appends)).collect::<Result<Vec<_>>>()?;
            Ok(Row {
                work: format!("limit: synced appends of 4 KiB, threads: {threads}"),
                unit: Unit::Rate,
                ours: None,
                others: vec![("the disk".to_owned(), median(&figures))],
                target: None,
            })
        })
        .collect()
}

impl Rig {
    /// Starts all three anew, with empty mailboxes.
    fn start(folder: &Path, accounts: &Accounts) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|error| at(folder, &error))?;
        }
        let mail = folder.join("mail");
        for name in ["maildir", "mbox"] {
            let place = mail.join(name);
            fs::create_dir_all(&place)
                .and_then(|()| std::os::unix::fs::chown(&place, Some(OWNER), Some(OWNER)))
                .map_err(|error| at(&place, &error))?;
        }
        require_passage(folder)?;
        let ours_folder = folder.join("ours");
        Ours::lay_out(&ours_folder, accounts)?;
        let ours = Ours::start(&ours_folder)?;
        let dovecot_folder = folder.join("dovecot");
        let dovecot = Dovecot::start(&dovecot_folder, &mail, accounts)?;
        let lmtp = dovecot::lmtp(&dovecot_folder);
        let postfix = Postfix::start(&folder.join("postfix"), &mail.join("maildir"), &lmtp, accounts)?;
        Ok(Self { folder: folder.to_owned(), mail, ours, postfix, dovecot })
    }

    /// Does something while this system does not run.
    fn restart_ours(&mut self, meanwhile: impl FnOnce() -> Result) -> Result {
        self.ours.server.stop();
        meanwhile()?;
        self.ours = Ours::start(&self.folder.join("ours"))?;
        Ok(())
    }

    /// Measures all of `ways` in turns, and again. The row holds the medians.
    fn compare(
        &mut self,
        work: &str,
        unit: Unit,
        rounds: usize,
        ways: &[Way],
        name: fn(Way) -> &'static str,
        measure: impl Fn(&mut Self, Way) -> Result<f64>,
    ) -> Result<Row> {
        let mut figures: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
        for round in 1..=rounds {
            for (way, figures) in ways.iter().zip(&mut figures) {
                let figure = measure(self, *way)?;
                say(&format!("{work}, round {round}, {}: {}", name(*way), spell(unit, figure)));
                figures.push(figure);
            }
        }
        let mut row = Row { work: work.to_owned(), unit, ours: None, others: Vec::new(), target: None };
        for (way, figures) in ways.iter().zip(figures) {
            match way {
                Way::Ours => row.ours = Some(median(&figures)),
                Way::Maildir | Way::Mbox => row.others.push((name(*way).to_owned(), median(&figures))),
            }
        }
        Ok(row)
    }
}

/// The peers' processes are not root's: they must get to where they work.
fn require_passage(folder: &Path) -> Result {
    for place in folder.ancestors() {
        let mode = place.metadata().map_err(|error| at(place, &error))?.permissions().mode();
        if mode & 0o001 == 0 {
            return Err(format!(
                "Postfix and Dovecot work in {} and cannot pass {}; set CARGO_TARGET_DIR to a folder that everybody can reach",
                folder.display(),
                place.display()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_chooses_its_measurements() {
        let names = |word| chosen(word).map(|chosen| chosen.iter().map(|one| one.name).collect::<Vec<_>>());
        assert_eq!(names(None).expect("all of them").len(), MEASUREMENTS.len());
        assert_eq!(names(Some("deliver")), Ok(vec!["deliveries"]));
        assert!(names(Some("lunch")).is_err_and(|sentence| sentence.contains("deliveries")));
    }
}
