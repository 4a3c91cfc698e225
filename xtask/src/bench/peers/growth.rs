//! What a mailbox costs as it grows from ten messages to a million.

use super::deliveries::Load;
use super::figures::{Row, Target, Unit, median, spell};
use super::mailboxes::Filling;
use super::plot::{Panel, Series, draw};
use super::{Accounts, Rig, Way};
use crate::shell::{self, Result, command, say};

const SIZES: [usize; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// Small messages: it is their number that matters here.
const OCTETS: usize = 512;
/// How many of them are fetched.
const FETCHED: &str = "5000";

/// With a mailbox of one size.
#[derive(Clone, Copy, Debug)]
struct Cost {
    messages: usize,
    /// A second, into that mailbox.
    deliveries: f64,
    retrievals: f64,
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

pub(super) fn rows(rig: &mut Rig, rounds: usize) -> Result<Vec<Row>> {
    let mut costs: [Vec<Cost>; 3] = Default::default();
    for size in SIZES {
        for (way, costs) in Way::ALL.into_iter().zip(&mut costs) {
            let cost = rig.cost(way, size, rounds)?;
            say(&format!(
                "{size} messages, {}: delivery {}, RETR {}, login and STAT {}, DELE 1 and QUIT {}",
                way.pop3(),
                spell(Unit::Rate, cost.deliveries),
                spell(Unit::Rate, cost.retrievals),
                spell(Unit::Time, cost.open),
                spell(Unit::Time, cost.remove)
            ));
            costs.push(cost);
        }
    }
    draw(&panels(&costs))?;
    let [ours, ..] = &costs;
    Ok(beside_a_thousand(ours))
}

/// A million beside a thousand: within a factor of two.
fn beside_a_thousand(costs: &[Cost]) -> Vec<Row> {
    let at = |size| costs.iter().find(|cost| cost.messages == size);
    let Some((small, large)) = at(1_000).zip(at(1_000_000)) else { return Vec::new() };
    let row = |work: &str, unit, figure: fn(&Cost) -> f64| Row {
        work: format!("1,000,000 messages: {work}"),
        unit,
        ours: Some(figure(large)),
        others: vec![("with 1,000 messages".to_owned(), figure(small))],
        target: Some(Target::Times(0.5)),
    };
    vec![
        row("delivery", Unit::Rate, |cost| cost.deliveries),
        row("login and STAT, warm", Unit::Time, |cost| cost.open),
        row("DELE 1 and QUIT", Unit::Time, |cost| cost.remove),
    ]
}

fn panels(costs: &[Vec<Cost>; 3]) -> Vec<Panel> {
    let panel = |title: &str, unit, name: fn(Way) -> &'static str, figure: fn(&Cost) -> f64| Panel {
        title: title.to_owned(),
        unit,
        series: Way::ALL
            .into_iter()
            .zip(costs)
            .map(|(way, costs)| Series {
                name: name(way).to_owned(),
                points: costs.iter().map(|cost| (cost.messages as f64, figure(cost))).collect(),
            })
            .collect(),
    };
    vec![
        panel("Deliveries a second, 20 sessions", Unit::Rate, Way::smtp, |cost| cost.deliveries),
        panel("RETR a second", Unit::Rate, Way::pop3, |cost| cost.retrievals),
        panel("Login and STAT, warm", Unit::Time, Way::pop3, |cost| cost.open),
        panel("DELE 1 and QUIT", Unit::Time, Way::pop3, |cost| cost.remove),
    ]
}

impl Rig {
    fn cost(&self, way: Way, size: usize, rounds: usize) -> Result<Cost> {
        let account = account(size);
        self.fill(way, &account, Filling { messages: size, octets: OCTETS, share_files: true })?;
        shell::run(&mut command("sync"))?;
        self.open(way, &account)?;
        // With the peers a round may take a minute, and shows the same.
        let rounds = if way == Way::Ours || size < 100_000 { rounds } else { 1 };
        let median_of = |times, measure: &dyn Fn() -> Result<f64>| {
            (0..times).map(|_| measure()).collect::<Result<Vec<f64>>>().map(|figures| median(&figures))
        };
        let open = median_of(3 * rounds, &|| self.open(way, &account))?;
        let retrievals = median_of(rounds, &|| self.fetch(way, &account, &["--limit", FETCHED]))?;
        let messages = match way {
            Way::Ours => 4_000,
            Way::Maildir => 1_000,
            Way::Mbox if size < 100_000 => 20,
            Way::Mbox => 5,
        };
        let load = Load { sessions: 20, messages, one_mailbox: Some(&account), octets: OCTETS, stay: true };
        let deliveries = median_of(rounds, &|| self.deliver(way, load))?;
        // What came since then is known before it is timed.
        self.open(way, &account)?;
        let remove = median_of(rounds, &|| self.remove(way, &account))?;
        Ok(Cost { messages: size, deliveries, retrievals, open, remove })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(messages: usize, figure: f64) -> Cost {
        Cost { messages, deliveries: figure, retrievals: figure, open: figure, remove: figure }
    }

    #[test]
    fn a_million_stands_beside_a_thousand() {
        let rows = beside_a_thousand(&[cost(10, 9.0), cost(1_000, 1.0), cost(1_000_000, 2.0)]);
        let ratios: Vec<_> = rows.iter().map(|row| (row.ratio(), row.reached())).collect();
        assert_eq!(ratios, [(Some(2.0), Some(true)), (Some(0.5), Some(true)), (Some(0.5), Some(true))]);
        let rows = beside_a_thousand(&[cost(1_000, 1.0), cost(1_000_000, 2.1)]);
        assert_eq!(rows[1].reached(), Some(false));
        assert!(beside_a_thousand(&[cost(10, 9.0)]).is_empty());
    }
}
