//! What was measured, beside what it must reach: medians, ratios, the table.

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    /// So many a second: more is better.
    Rate,
    /// Mebibytes a second: more is better.
    Speed,
    /// Seconds: less is better.
    Time,
    /// Octets of memory: less is better.
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// So many times as good as the best of the others.
    Times(f64),
    /// At most so much.
    AtMost(f64),
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) work: String,
    pub(super) unit: Unit,
    /// `None` where the row shows a limit of the machine.
    pub(super) ours: Option<f64>,
    /// Whose figure, and the figure.
    pub(super) others: Vec<(String, f64)>,
    pub(super) target: Option<Target>,
}

impl Row {
    /// How many times as good as the best of the others.
    pub(super) fn ratio(&self) -> Option<f64> {
        let others = self.others.iter().map(|(_, figure)| *figure);
        match self.unit {
            Unit::Rate | Unit::Speed => {
                others.reduce(f64::max).zip(self.ours).map(|(best, ours)| ours / best)
            }
            Unit::Time | Unit::Memory => {
                others.reduce(f64::min).zip(self.ours).map(|(best, ours)| best / ours)
            }
        }
    }

    pub(super) fn reached(&self) -> Option<bool> {
        Some(match self.target? {
            Target::Times(times) => self.ratio()? >= times,
            Target::AtMost(limit) => self.ours? <= limit,
        })
    }

    fn cells(&self) -> [String; 6] {
        let others: Vec<String> = self
            .others
            .iter()
            .map(|(name, figure)| format!("{name} {}", spell(self.unit, *figure)))
            .collect();
        let target = self.target.map_or(String::new(), |target| match target {
            Target::Times(times) => format!("x {times}"),
            Target::AtMost(limit) => format!("<= {}", spell(self.unit, limit)),
        });
        let verdict = self.reached().map_or("", |reached| if reached { "reached" } else { "missed" });
        [
            self.work.clone(),
            self.ours.map_or(String::new(), |figure| spell(self.unit, figure)),
            others.join(", "),
            self.ratio().map_or(String::new(), |ratio| format!("x {}", digits(ratio))),
            target,
            verdict.to_owned(),
        ]
    }
}

/// The middle one, or the mean of the two in the middle.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

pub(super) fn table(rows: &[Row]) -> Vec<String> {
    let head = ["work", "Pennypost", "others", "ratio", "target", ""].map(str::to_owned);
    let cells: Vec<_> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(width);
    let line = |[work, ours, others, ratio, target, verdict]: &[String; 6]| {
        let line = format!("{work:<a$}  {ours:>b$}  {others:<c$}  {ratio:>d$}  {target:>e$}  {verdict}");
        line.trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

pub(super) fn spell(unit: Unit, figure: f64) -> String {
    match unit {
        Unit::Rate => format!("{}/s", digits(figure)),
        Unit::Speed => format!("{} MiB/s", digits(figure)),
        Unit::Time if figure < 1.0 => format!("{} ms", digits(figure * 1e3)),
        Unit::Time => format!("{} s", digits(figure)),
        Unit::Memory if figure < 1024.0 * 1024.0 => format!("{} KiB", digits(figure / 1024.0)),
        Unit::Memory => format!("{} MiB", digits(figure / 1024.0 / 1024.0)),
    }
}

/// Three digits, as many as such a measurement is good for.
fn digits(figure: f64) -> String {
    match figure.abs() {
        small if small < 1.0 => format!("{figure:.3}"),
        small if small < 10.0 => format!("{figure:.2}"),
        middle if middle < 100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: Unit, ours: f64, others: &[f64], target: Target) -> Row {
        let others = others.iter().map(|figure| ("peer".to_owned(), *figure)).collect();
        Row { work: "work".to_owned(), unit, ours: Some(ours), others, target: Some(target) }
    }

    #[test]
    fn the_middle_is_no_outlier() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[1.0, 3.0]), 2.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_is_against_the_best_and_above_one_when_ours_is_better() {
        let deliveries = row(Unit::Rate, 6000.0, &[900.0, 300.0], Target::Times(6.0));
        assert_eq!((deliveries.ratio(), deliveries.reached()), (Some(6000.0 / 900.0), Some(true)));
        let open = row(Unit::Time, 0.5, &[3.4, 5.5], Target::Times(8.0));
        assert_eq!((open.ratio(), open.reached()), (Some(3.4 / 0.5), Some(false)));
        let memory = row(Unit::Memory, 8193.0, &[], Target::AtMost(8192.0));
        assert_eq!((memory.ratio(), memory.reached()), (None, Some(false)));
    }

    #[test]
    fn the_table_stands_in_columns() {
        let lines = table(&[
            row(Unit::Rate, 6000.0, &[900.0], Target::Times(6.0)),
            row(Unit::Time, 0.0041, &[3.4], Target::Times(8.0)),
            Row { work: "disk".to_owned(), unit: Unit::Rate, ours: None, others: Vec::new(), target: None },
        ]);
        assert_eq!(
            lines,
            [
                "work  Pennypost  others        ratio  target",
                "work     6000/s  peer 900/s   x 6.67     x 6  reached",
                "work    4.10 ms  peer 3.40 s   x 829     x 8  reached",
                "disk",
            ]
        );
    }
}
