//! Costs by mailbox size, from ten messages to a million. Writes `target/bench/growth.csv`.

use std::fmt::Write;
use std::fs;

use xtask::shell::{self, Result, command, print, relative_path, target_dir};

use super::deliveries::{LOAD, Load};
use super::mailboxes::MailboxContents;
use super::server_process::path_error;
use super::table::{Row, Target, Unit, format_value, median};
use super::{Accounts, MailPath, Testbed};

const SIZES: [usize; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// Small messages: only their number matters here.
const MESSAGE_BYTES: usize = 512;
/// Number of messages retrieved per measurement.
const RETRIEVED: &str = "5000";

/// Costs with one mailbox size.
#[derive(Clone, Copy, Debug)]
struct Costs {
    messages: usize,
    /// Deliveries per second into the mailbox.
    delivery_rate: f64,
    retrieval_rate: f64,
    /// Seconds for login and STAT.
    open: f64,
    /// Seconds for DELE 1 and QUIT.
    remove: f64,
}

fn account(size: usize) -> String {
    format!("g{size}")
}

pub(super) fn accounts() -> Accounts {
    Accounts { plain: SIZES.into_iter().map(account).collect(), ..Accounts::default() }
}

pub(super) fn rows(testbed: &mut Testbed, rounds: usize) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    for size in SIZES {
        for path in MailPath::ALL {
            let costs = testbed.costs(path, size, rounds)?;
            print(&format!(
                "{size} messages, {}: delivery {}, RETR {}, login and STAT {}, DELE 1 and QUIT {}",
                path.pop3_name(),
                format_value(Unit::Rate, costs.delivery_rate),
                format_value(Unit::Rate, costs.retrieval_rate),
                format_value(Unit::Time, costs.open),
                format_value(Unit::Time, costs.remove)
            ));
            all.push((path, costs));
        }
    }
    let file = target_dir()?.join("bench/growth.csv");
    fs::create_dir_all(file.parent().unwrap_or(&file))
        .and_then(|()| fs::write(&file, csv(&all)))
        .map_err(|error| path_error(&file, &error))?;
    print(&format!("results by mailbox size: {}", relative_path(&file)));
    let pennypost = all.iter().filter(|(path, _)| *path == MailPath::Pennypost).map(|(_, costs)| *costs);
    Ok(compare_with_a_thousand(&pennypost.collect::<Vec<_>>()))
}

/// Targets: with a million messages at most twice the costs of a thousand.
fn compare_with_a_thousand(costs: &[Costs]) -> Vec<Row> {
    let with = |size| costs.iter().find(|costs| costs.messages == size);
    let Some((small, large)) = with(1_000).zip(with(1_000_000)) else { return Vec::new() };
    let row = |work: &str, unit, value: fn(&Costs) -> f64| Row {
        name: format!("1,000,000 messages: {work}"),
        unit,
        pennypost: Some(value(large)),
        peers: vec![("with 1,000 messages".to_owned(), value(small))],
        target: Some(Target::Ratio(0.5)),
    };
    vec![
        row("delivery", Unit::Rate, |costs| costs.delivery_rate),
        row("login and STAT, warm", Unit::Time, |costs| costs.open),
        row("DELE 1 and QUIT", Unit::Time, |costs| costs.remove),
    ]
}

fn csv(all: &[(MailPath, Costs)]) -> String {
    let mut csv = "messages,smtp,pop3,deliveries_per_second,retrievals_per_second,login_stat_seconds,dele_quit_seconds\n"
        .to_owned();
    for (path, costs) in all {
        let Costs { messages, delivery_rate, retrieval_rate, open, remove } = costs;
        let (smtp, pop3) = (path.smtp_name(), path.pop3_name());
        let _ = writeln!(
            csv,
            "{messages},{smtp},{pop3},{delivery_rate:.1},{retrieval_rate:.1},{open:.6},{remove:.6}"
        );
    }
    csv
}

impl Testbed {
    fn costs(&self, path: MailPath, size: usize, rounds: usize) -> Result<Costs> {
        let account = account(size);
        let contents = MailboxContents { messages: size, message_bytes: MESSAGE_BYTES, share_files: true };
        self.fill(path, &account, contents)?;
        shell::run(&mut command("sync"))?;
        self.open(path, &account)?;
        // A round with a peer takes up to a minute, so there is only one.
        let rounds = if path == MailPath::Pennypost || size < 100_000 { rounds } else { 1 };
        let median_of = |rounds, measure: &dyn Fn() -> Result<f64>| {
            (0..rounds).map(|_| measure()).collect::<Result<Vec<f64>>>().map(|values| median(&values))
        };
        let open = median_of(3 * rounds, &|| self.open(path, &account))?;
        let retrieval_rate = median_of(rounds, &|| self.fetch(path, &account, &["--limit", RETRIEVED]))?;
        let messages = match path {
            MailPath::Pennypost => 4_000,
            MailPath::Maildir => 1_000,
            MailPath::Mbox if size < 100_000 => 20,
            MailPath::Mbox => 5,
        };
        let load = Load { messages, one_mailbox: Some(&account), message_bytes: MESSAGE_BYTES, ..LOAD };
        let delivery_rate = median_of(rounds, &|| self.deliver(path, load))?;
        // Indexes the delivered messages, which is not part of the removal.
        self.open(path, &account)?;
        let remove = median_of(rounds, &|| self.remove(path, &account))?;
        Ok(Costs { messages: size, delivery_rate, retrieval_rate, open, remove })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(messages: usize, value: f64) -> Costs {
        Costs { messages, delivery_rate: value, retrieval_rate: value, open: value, remove: value }
    }

    #[test]
    fn million_messages_are_compared_with_a_thousand() {
        let rows = compare_with_a_thousand(&[costs(10, 9.0), costs(1_000, 1.0), costs(1_000_000, 2.0)]);
        let ratios: Vec<_> = rows.iter().map(|row| (row.ratio(), row.is_reached())).collect();
        assert_eq!(ratios, [(Some(2.0), Some(true)), (Some(0.5), Some(true)), (Some(0.5), Some(true))]);
        let rows = compare_with_a_thousand(&[costs(1_000, 1.0), costs(1_000_000, 2.1)]);
        assert_eq!(rows[1].is_reached(), Some(false));
        assert!(compare_with_a_thousand(&[costs(10, 9.0)]).is_empty());
    }

    #[test]
    fn csv_has_a_line_per_size_and_mail_path() {
        let csv = csv(&[(MailPath::Pennypost, costs(10, 0.25)), (MailPath::Mbox, costs(1_000_000, 2.0))]);
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(
            lines[1..],
            [
                "10,Pennypost,Pennypost,0.2,0.2,0.250000,0.250000",
                "1000000,Postfix by LMTP to Dovecot mbox,Dovecot mbox,2.0,2.0,2.000000,2.000000"
            ]
        );
        assert!(lines.iter().all(|line| line.matches(',').count() == 6), "{csv}");
    }
}
