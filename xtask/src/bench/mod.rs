//! `cargo xtask bench`: runs the benchmarks of mail-core and the bridge and prints them as one table beside their targets;
//! then measures the page in a browser. With `--peers` it measures the servers [beside others](peers) instead.
//!
//! Criterion leaves its figures as JSON under `target/criterion`. A benchmark has a target when its name holds the
//! target's words (`smtp_command/parse` is an "smtp command"). The figures are shown, not judged: how fast this
//! machine is today is no property of the code.

mod peers;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use crate::page;
use crate::shell::{self, Result, cargo, command, complain, say, target};

pub(crate) use self::peers::Options;

/// Words of a benchmark's name, and the bytes or elements a second that it should reach.
const TARGETS: &[(&str, Rate)] = &[
    ("dot decode", Rate::Bytes(1e9)),
    ("dot encode", Rate::Bytes(1e9)),
    ("record scan", Rate::Bytes(1e9)),
    ("smtp command", Rate::Elements(2e6)),
    ("pop3 command", Rate::Elements(2e6)),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Bytes(f64),
    Elements(f64),
}

#[derive(Debug, PartialEq)]
struct Measurement {
    name: String,
    /// The median of one iteration.
    nanoseconds: f64,
    rate: Option<Rate>,
}

pub(crate) fn run(options: &Options) -> Result {
    if options.peers { peers::run(options) } else { measure() }
}

fn measure() -> Result {
    let start = SystemTime::now();
    let mut benches = cargo();
    benches.args(["bench", "-p", "mail-core", "-p", "ws-bridge", "--bench", "*"]);
    if let Some(websockify) = websockify()? {
        benches.env("PENNYPOST_WEBSOCKIFY", websockify);
    }
    shell::run(&mut benches)?;
    let mut measurements = Vec::new();
    for folder in folders_since(start, &target()?.join("criterion")) {
        measurements.push(read(&folder).ok_or_else(|| format!("{} holds no measurement", folder.display()))?);
    }
    measurements.sort_by(|one, other| one.name.cmp(&other.name));
    say("");
    table(&measurements).iter().for_each(|line| say(line));
    measure_page()
}

/// With everything built for use: the program beside the measuring one, and the page.
fn measure_page() -> Result {
    page::refresh()?;
    shell::run(cargo().args(["build", "--release", "-p", "servers", "--bin", "pennypost"]))?;
    shell::run(cargo().args(["bench", "-p", "browser-tests", "--bench", "page"]))
}

/// The bridge's fellow, from PyPI, in an environment of its own; its rows are missing where it cannot be had.
fn websockify() -> Result<Option<PathBuf>> {
    let folder = target()?.join("websockify");
    let program = folder.join("bin/websockify");
    if program.exists() {
        return Ok(Some(program));
    }
    say("bench: installing websockify from PyPI, to measure the bridge beside it");
    let installed = shell::run(command("python3").args(["-m", "venv"]).arg(&folder)).and_then(|()| {
        let pip = folder.join("bin/pip");
        shell::run(command(&pip.to_string_lossy()).args(["install", "--quiet", "websockify"]))
    });
    if let Err(sentence) = installed {
        complain(&format!("bench: no websockify ({sentence}); on Debian, python3-venv may be missing"));
        return Ok(None);
    }
    Ok(Some(program))
}

/// The folders of the benchmarks that have run since: what an earlier version measured stays out.
fn folders_since(start: SystemTime, folder: &Path) -> Vec<PathBuf> {
    let fresh =
        |file: &Path| file.metadata().and_then(|about| about.modified()).is_ok_and(|time| time >= start);
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        pending.extend(entries.filter(|path| path.is_dir()));
        if folder.ends_with("new") && fresh(&folder.join("estimates.json")) {
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

fn table(measurements: &[Measurement]) -> Vec<String> {
    let mut rows = vec![["benchmark", "time", "throughput", "target", ""].map(str::to_owned)];
    rows.extend(measurements.iter().map(|one| {
        let target = TARGETS.iter().find(|(words, _)| is_called(&one.name, words)).map(|(_, rate)| *rate);
        let verdict =
            target.map_or("", |target| if reaches(one.rate, target) { "reached" } else { "missed" });
        [one.name.clone(), time(one.nanoseconds), spell(one.rate), spell(target), verdict.to_owned()]
    }));
    let unmeasured =
        TARGETS.iter().filter(|(words, _)| !measurements.iter().any(|one| is_called(&one.name, words)));
    rows.extend(unmeasured.map(|(words, target)| {
        [(*words).to_owned(), String::new(), String::new(), spell(Some(*target)), "not measured".to_owned()]
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

fn is_called(name: &str, words: &str) -> bool {
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

fn spell(rate: Option<Rate>) -> String {
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
        measurement(&benchmark, &estimates).expect("the figures are whole")
    }

    #[test]
    fn a_rate_comes_from_the_time_and_the_throughput() {
        let one = measured("dot/decode", &json!({ "Bytes": 1_000_000 }), 500_000.0);
        assert_eq!(one.rate, Some(Rate::Bytes(2e9)));
        let two = measured("smtp_command/parse", &json!({ "Elements": 10 }), 1_000.0);
        assert_eq!(two.rate, Some(Rate::Elements(1e7)));
        assert_eq!(measured("plain", &Value::Null, 7.0).rate, None);
    }

    #[test]
    fn the_table_sets_each_figure_beside_its_target() {
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
    fn a_measurement_without_its_time_is_none() {
        assert_eq!(measurement(&json!({ "full_id": "x" }), &json!({})), None);
    }
}
