//! One message of 20 MiB, in and out, beside `cp` with sync; and the memory that it takes.

use std::fs;
use std::time::Instant;

use super::figures::{Row, Target, Unit, median, spell};
use super::load::{figures, program};
use super::process::{at, high_water, memory_now, reset_high_water};
use super::{Accounts, Rig, Way};
use crate::shell::{self, Result, command, say};

const OCTETS: usize = 20 << 20;
const MIB: f64 = 1024.0 * 1024.0;
const ACCOUNT: &str = "huge";

pub(super) fn accounts() -> Accounts {
    Accounts { plain: vec![ACCOUNT.to_owned()], ..Accounts::default() }
}

pub(super) fn rows(rig: &mut Rig, rounds: usize) -> Result<Vec<Row>> {
    let server = rig.ours.server.id();
    // What is made once is no message's.
    rig.send(4096)?;
    rig.fetch(Way::Ours, ACCOUNT, &[])?;
    let (mut copy, mut delivery, mut retr) = (Vec::new(), Vec::new(), Vec::new());
    let (mut memory_in, mut memory_out) = (0, 0);
    for round in 1..=rounds {
        copy.push(rig.copy()?);
        let (before, ()) = (memory_now(server)?, reset_high_water(server)?);
        delivery.push(OCTETS as f64 / MIB / rig.send(OCTETS)?);
        memory_in = memory_in.max(high_water(server)?.saturating_sub(before));

        let (before, ()) = (memory_now(server)?, reset_high_water(server)?);
        let [seconds, _, octets] = figures(&mut rig.load("fetch", Way::Ours, ACCOUNT)?)?[..] else {
            return Err("pop3-load fetch printed something else than three figures".to_owned());
        };
        retr.push(octets / seconds / MIB);
        memory_out = memory_out.max(high_water(server)?.saturating_sub(before));
        let speed = |figures: &[f64]| spell(Unit::Speed, figures[round - 1]);
        say(&format!(
            "20 MiB, round {round}: cp {}, delivery {}, RETR {}",
            speed(&copy),
            speed(&delivery),
            speed(&retr)
        ));
    }
    let speed = |work: &str, figures: &[f64]| Row {
        work: work.to_owned(),
        unit: Unit::Speed,
        ours: Some(median(figures)),
        others: vec![("cp and sync".to_owned(), median(&copy))],
        target: Some(Target::Times(0.5)),
    };
    let memory = |work: &str, octets: u64| Row {
        work: work.to_owned(),
        unit: Unit::Memory,
        ours: Some(octets as f64),
        others: Vec::new(),
        target: Some(Target::AtMost(2.0 * MIB)),
    };
    Ok(vec![
        speed("a message of 20 MiB: delivery", &delivery),
        speed("a message of 20 MiB: RETR", &retr),
        memory("a message of 20 MiB: memory at delivery", memory_in),
        memory("a message of 20 MiB: memory at RETR", memory_out),
    ])
}

impl Rig {
    /// Seconds. Not by smtp-source, which would be the slower one of the two.
    fn send(&self, octets: usize) -> Result<f64> {
        let mut send = program()?;
        send.arg("send").arg(self.ours.smtp.to_string()).arg(format!("{ACCOUNT}@{}", Way::Ours.domain()));
        Ok(figures(send.arg(octets.to_string()))?[0])
    }

    /// Mebibytes a second.
    fn copy(&self) -> Result<f64> {
        let (from, to) = (self.folder.join("copy-from"), self.folder.join("copy-to"));
        fs::write(&from, vec![b'x'; OCTETS]).map_err(|error| at(&from, &error))?;
        shell::run(command("sync").arg(&from))?;
        let begin = Instant::now();
        shell::run(command("cp").arg(&from).arg(&to))?;
        shell::run(command("sync").arg(&to))?;
        let seconds = begin.elapsed().as_secs_f64();
        [from, to].iter().try_for_each(|file| fs::remove_file(file).map_err(|error| at(file, &error)))?;
        Ok(OCTETS as f64 / MIB / seconds)
    }
}
