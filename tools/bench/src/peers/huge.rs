//! One message of 20 MiB: speed of delivery and RETR compared with `cp` and sync, and memory.

use std::fs;
use std::time::Instant;

use xtask::shell::{self, Result, command, print};

use super::load::{pop3_load, values};
use super::server_process::{path_error, peak_memory, reset_peak_memory, resident_memory};
use super::table::{Row, Target, Unit, format_value, median};
use super::{Accounts, MailPath, Testbed};

const MESSAGE_BYTES: usize = 20 << 20;
const MIB: f64 = 1024.0 * 1024.0;
const ACCOUNT: &str = "huge";

pub(super) fn accounts() -> Accounts {
    Accounts { plain: vec![ACCOUNT.to_owned()], ..Accounts::default() }
}

pub(super) fn rows(testbed: &mut Testbed, rounds: usize) -> Result<Vec<Row>> {
    let server = testbed.pennypost.server.id();
    // Allocations of the first message are not counted.
    testbed.send(4096)?;
    testbed.fetch(MailPath::Pennypost, ACCOUNT, &[])?;
    let (mut copy, mut delivery, mut retr) = (Vec::new(), Vec::new(), Vec::new());
    let (mut memory_in, mut memory_out) = (0, 0);
    for round in 1..=rounds {
        copy.push(testbed.copy()?);
        let (before, ()) = (resident_memory(server)?, reset_peak_memory(server)?);
        delivery.push(MESSAGE_BYTES as f64 / MIB / testbed.send(MESSAGE_BYTES)?);
        memory_in = memory_in.max(peak_memory(server)?.saturating_sub(before));

        let (before, ()) = (resident_memory(server)?, reset_peak_memory(server)?);
        let [seconds, _, bytes] = values(&mut testbed.load("fetch", MailPath::Pennypost, ACCOUNT)?)?[..]
        else {
            return Err("pop3-load fetch printed unexpected output".to_owned());
        };
        retr.push(bytes / seconds / MIB);
        memory_out = memory_out.max(peak_memory(server)?.saturating_sub(before));
        let speed = |speeds: &[f64]| format_value(Unit::Speed, speeds[round - 1]);
        print(&format!(
            "20 MiB, round {round}: cp {}, delivery {}, RETR {}",
            speed(&copy),
            speed(&delivery),
            speed(&retr)
        ));
    }
    let speed = |name: &str, speeds: &[f64]| Row {
        name: name.to_owned(),
        unit: Unit::Speed,
        pennypost: Some(median(speeds)),
        peers: vec![("cp and sync".to_owned(), median(&copy))],
        target: Some(Target::Ratio(0.5)),
    };
    let memory = |name: &str, bytes: u64| Row {
        name: name.to_owned(),
        unit: Unit::Memory,
        pennypost: Some(bytes as f64),
        peers: Vec::new(),
        target: Some(Target::AtMost(2.0 * MIB)),
    };
    Ok(vec![
        speed("a message of 20 MiB: delivery", &delivery),
        speed("a message of 20 MiB: RETR", &retr),
        memory("a message of 20 MiB: memory at delivery", memory_in),
        memory("a message of 20 MiB: memory at RETR", memory_out),
    ])
}

impl Testbed {
    /// Returns seconds. Uses pop3-load, because smtp-source would be slower than the server.
    fn send(&self, bytes: usize) -> Result<f64> {
        let mut send = pop3_load()?;
        send.arg("send")
            .arg(self.pennypost.smtp.to_string())
            .arg(format!("{ACCOUNT}@{}", MailPath::Pennypost.domain()));
        Ok(values(send.arg(bytes.to_string()))?[0])
    }

    /// Returns MiB/s.
    fn copy(&self) -> Result<f64> {
        let (from, to) = (self.folder.join("copy-from"), self.folder.join("copy-to"));
        fs::write(&from, vec![b'x'; MESSAGE_BYTES]).map_err(|error| path_error(&from, &error))?;
        shell::run(command("sync").arg(&from))?;
        let begin = Instant::now();
        shell::run(command("cp").arg(&from).arg(&to))?;
        shell::run(command("sync").arg(&to))?;
        let seconds = begin.elapsed().as_secs_f64();
        [from, to]
            .iter()
            .try_for_each(|file| fs::remove_file(file).map_err(|error| path_error(file, &error)))?;
        Ok(MESSAGE_BYTES as f64 / MIB / seconds)
    }
}
