//! Results as a table: medians, ratios, targets.

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    /// Operations per second; more is better.
    Rate,
    /// MiB/s; more is better.
    Speed,
    /// Seconds; less is better.
    Time,
    /// Bytes; less is better.
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// Minimum ratio to the best peer.
    Ratio(f64),
    /// Maximum value.
    AtMost(f64),
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) unit: Unit,
    /// `None` if the row shows a limit of the machine.
    pub(super) pennypost: Option<f64>,
    /// Name and value of each peer.
    pub(super) peers: Vec<(String, f64)>,
    pub(super) target: Option<Target>,
}

impl Row {
    /// Ratio of Pennypost to the best peer; more is better.
    pub(super) fn ratio(&self) -> Option<f64> {
        let peers = self.peers.iter().map(|(_, value)| *value);
        match self.unit {
            Unit::Rate | Unit::Speed => {
                peers.reduce(f64::max).zip(self.pennypost).map(|(best, value)| value / best)
            }
            Unit::Time | Unit::Memory => {
                peers.reduce(f64::min).zip(self.pennypost).map(|(best, value)| best / value)
            }
        }
    }

    /// `None` if the row has no target.
    pub(super) fn is_reached(&self) -> Option<bool> {
        Some(match self.target? {
            Target::Ratio(ratio) => self.ratio()? >= ratio,
            Target::AtMost(limit) => self.pennypost? <= limit,
        })
    }

    fn cells(&self) -> [String; 6] {
        let peers: Vec<String> = self
            .peers
            .iter()
            .map(|(name, value)| format!("{name} {}", format_value(self.unit, *value)))
            .collect();
        let target = self.target.map_or(String::new(), |target| match target {
            Target::Ratio(ratio) => format!("x {ratio}"),
            Target::AtMost(limit) => format!("<= {}", format_value(self.unit, limit)),
        });
        let verdict = self.is_reached().map_or("", |reached| if reached { "reached" } else { "missed" });
        [
            self.name.clone(),
            self.pennypost.map_or(String::new(), |value| format_value(self.unit, value)),
            peers.join(", "),
            self.ratio().map_or(String::new(), |ratio| format!("x {}", three_digits(ratio))),
            target,
            verdict.to_owned(),
        ]
    }
}

/// NaN if there are no values.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

pub(super) fn table(rows: &[Row]) -> Vec<String> {
    let head = ["measurement", "Pennypost", "peers", "ratio", "target", ""].map(str::to_owned);
    let cells: Vec<_> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(width);
    let line = |[name, pennypost, peers, ratio, target, verdict]: &[String; 6]| {
        let line = format!("{name:<a$}  {pennypost:>b$}  {peers:<c$}  {ratio:>d$}  {target:>e$}  {verdict}");
        line.trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

pub(super) fn format_value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Rate => format!("{}/s", three_digits(value)),
        Unit::Speed => format!("{} MiB/s", three_digits(value)),
        Unit::Time if value < 1.0 => format!("{} ms", three_digits(value * 1e3)),
        Unit::Time => format!("{} s", three_digits(value)),
        Unit::Memory if value < 1024.0 * 1024.0 => format!("{} KiB", three_digits(value / 1024.0)),
        Unit::Memory => format!("{} MiB", three_digits(value / 1024.0 / 1024.0)),
    }
}

/// Three significant digits; the measurements are no more precise.
fn three_digits(value: f64) -> String {
    match value.abs() {
        small if small < 1.0 => format!("{value:.3}"),
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: Unit, pennypost: f64, peers: &[f64], target: Target) -> Row {
        let peers = peers.iter().map(|value| ("peer".to_owned(), *value)).collect();
        Row { name: "work".to_owned(), unit, pennypost: Some(pennypost), peers, target: Some(target) }
    }

    #[test]
    fn median_ignores_outliers() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[1.0, 3.0]), 2.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratio_compares_with_the_best_peer_and_exceeds_one_if_pennypost_is_better() {
        let deliveries = row(Unit::Rate, 6000.0, &[900.0, 300.0], Target::Ratio(6.0));
        assert_eq!((deliveries.ratio(), deliveries.is_reached()), (Some(6000.0 / 900.0), Some(true)));
        let open = row(Unit::Time, 0.5, &[3.4, 5.5], Target::Ratio(8.0));
        assert_eq!((open.ratio(), open.is_reached()), (Some(3.4 / 0.5), Some(false)));
        let memory = row(Unit::Memory, 8193.0, &[], Target::AtMost(8192.0));
        assert_eq!((memory.ratio(), memory.is_reached()), (None, Some(false)));
    }

    #[test]
    fn table_aligns_its_columns() {
        let lines = table(&[
            row(Unit::Rate, 6000.0, &[900.0], Target::Ratio(6.0)),
            row(Unit::Time, 0.0041, &[3.4], Target::Ratio(8.0)),
            Row {
                name: "disk".to_owned(),
                unit: Unit::Rate,
                pennypost: None,
                peers: Vec::new(),
                target: None,
            },
        ]);
        assert_eq!(
            lines,
            [
                "measurement  Pennypost  peers         ratio  target",
                "work            6000/s  peer 900/s   x 6.67     x 6  reached",
                "work           4.10 ms  peer 3.40 s   x 829     x 8  reached",
                "disk",
            ]
        );
    }
}
