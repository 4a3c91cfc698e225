//! Reads the JSON results that criterion leaves below `target/criterion`.
//!
//! A target applies to a benchmark whose name contains the target's words (`smtp_command/parse` is an "smtp command").

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;
use xtask::shell::Result;

/// Words of a benchmark's name, and its target.
const TARGETS: &[(&str, Rate)] = &[
    ("dot decode", Rate::Bytes(1e9)),
    ("dot encode", Rate::Bytes(1e9)),
    ("record scan", Rate::Bytes(1e9)),
    ("smtp command", Rate::Elements(2e6)),
    ("pop3 command", Rate::Elements(2e6)),
];

/// Per second.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Bytes(f64),
    Elements(f64),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Measurement {
    name: String,
    /// Median time of one iteration.
    nanoseconds: f64,
    rate: Option<Rate>,
}

/// The results written since `start`, sorted by name.
pub(crate) fn read_since(start: SystemTime, folder: &Path) -> Result<Vec<Measurement>> {
    let results = result_folders(start, folder);
    let mut measurements = results
        .iter()
        .map(|folder| {
            read(folder).ok_or_else(|| format!("{}: unexpected criterion result", folder.display()))
        })
        .collect::<Result<Vec<_>>>()?;
    measurements.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(measurements)
}

pub(crate) fn table(measurements: &[Measurement]) -> Vec<String> {
    let mut rows = vec![["benchmark", "time", "throughput", "target", ""].map(str::to_owned)];
    rows.extend(measurements.iter().map(|one| {
        let target = TARGETS.iter().find(|(words, _)| has_words(&one.name, words)).map(|(_, rate)| *rate);
        let verdict =
            target.map_or("", |target| if reaches(one.rate, target) { "reached" } else { "missed" });
        [
            one.name.clone(),
            time(one.nanoseconds),
            throughput(one.rate),
            throughput(target),
            verdict.to_owned(),
        ]
    }));
    let unmeasured =
        TARGETS.iter().filter(|(words, _)| !measurements.iter().any(|one| has_words(&one.name, words)));
    rows.extend(unmeasured.map(|(words, target)| {
        let target = throughput(Some(*target));
        [(*words).to_owned(), String::new(), String::new(), target, "not measured".to_owned()]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4].map(width);
    let line = |row: &[String; 5]| {
        let [name, time, throughput, target, verdict] = row;
        let [a, b, c, d, _] = widths;
        format!("{name:<a$}  {time:>b$}  {throughput:>c$}  {target:>d$}  {verdict}").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn result_folders(start: SystemTime, folder: &Path) -> Vec<PathBuf> {
    let is_new = |file: &Path| {
        file.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|time| time >= start)
    };
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        pending.extend(entries.filter(|path| path.is_dir()));
        if folder.ends_with("new") && is_new(&folder.join("estimates.json")) {
            found.push(folder);
        }
    }
    found
}

fn read(folder: &Path) -> Option<Measurement> {
    let json = |name| serde_json::from_slice(&fs::read(folder.join(name)).ok()?).ok();
    measurement(&json("benchmark.json")?, &json("estimates.json")?)
}

fn measurement(benchmark: &Value, estimates: &Value) -> Option<Measurement> {
    let nanoseconds = estimates["median"]["point_estimate"].as_f64()?;
    let throughput = &benchmark["throughput"];
    let per_second = |count: &Value| count.as_f64().map(|count| count * 1e9 / nanoseconds);
    let bytes = per_second(&throughput["Bytes"]).or_else(|| per_second(&throughput["BytesDecimal"]));
    let rate = bytes.map(Rate::Bytes).or_else(|| per_second(&throughput["Elements"]).map(Rate::Elements));
    Some(Measurement { name: benchmark["full_id"].as_str()?.to_owned(), nanoseconds, rate })
}

/// Ignores case and punctuation.
fn has_words(name: &str, words: &str) -> bool {
    let plain: String = name.to_lowercase().replace(|character: char| !character.is_alphanumeric(), " ");
    plain.contains(words)
}

fn reaches(measured: Option<Rate>, target: Rate) -> bool {
    match (measured, target) {
        (Some(Rate::Bytes(measured)), Rate::Bytes(target))
        | (Some(Rate::Elements(measured)), Rate::Elements(target)) => measured >= target,
        _ => false,
    }
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        short if short < 1e3 => format!("{short:.1} ns"),
        short if short < 1e6 => format!("{:.2} µs", short / 1e3),
        long if long < 1e9 => format!("{:.2} ms", long / 1e6),
        long => format!("{:.2} s", long / 1e9),
    }
}

fn throughput(rate: Option<Rate>) -> String {
    match rate {
        None => String::new(),
        Some(Rate::Bytes(rate)) => format!("{:.2} GB/s", rate / 1e9),
        Some(Rate::Elements(rate)) => format!("{:.2} M/s", rate / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured(name: &str, throughput: &Value, nanoseconds: f64) -> Measurement {
        let benchmark = json!({ "full_id": name, "throughput": throughput });
        let estimates = json!({ "median": { "point_estimate": nanoseconds } });
        measurement(&benchmark, &estimates).expect("both files are complete")
    }

    #[test]
    fn rate_is_throughput_per_median_time() {
        let one = measured("dot/decode", &json!({ "Bytes": 1_000_000 }), 500_000.0);
        assert_eq!(one.rate, Some(Rate::Bytes(2e9)));
        let two = measured("smtp_command/parse", &json!({ "Elements": 10 }), 1_000.0);
        assert_eq!(two.rate, Some(Rate::Elements(1e7)));
        assert_eq!(measured("plain", &Value::Null, 7.0).rate, None);
    }

    #[test]
    fn table_lists_each_result_with_its_target() {
        let lines = table(&[
            measured("dot/decode", &json!({ "Bytes": 1_000_000 }), 500_000.0),
            measured("smtp_command/parse", &json!({ "Elements": 1 }), 1_000.0),
        ]);
        assert!(lines[1].starts_with("dot/decode") && lines[1].ends_with("reached"), "{lines:#?}");
        assert!(lines[1].contains("500.00 µs") && lines[1].contains("2.00 GB/s"), "{lines:#?}");
        assert!(lines[2].contains("1.00 M/s") && lines[2].ends_with("missed"), "{lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.ends_with("not measured")).count(), 3, "{lines:#?}");
    }

    #[test]
    fn result_without_a_median_is_rejected() {
        assert_eq!(measurement(&json!({ "full_id": "x" }), &json!({})), None);
    }
}
