//! The cost of a password hash: Argon2id (RFC 9106) with one lane, the configured memory, and as many passes as take the
//! configured time on this host.
//!
//! The cost is measured once, for the first hash, and stored (in the data directory or the database), so that all hashes of a site cost the same
//! whatever the load of the host. A hash contains its parameters, so verification measures nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use argon2::Argon2;
pub use argon2::Params;
use config::Auth;
use rustix::time::{ClockId, clock_gettime};

/// OWASP's minimum for 19 MiB.
const PASSES_MIN: u32 = 2;
/// Only tests configure so little memory that this is reached.
const PASSES_MAX: u32 = 10_000;

const FILE: &str = ".hash-cost";

/// The parameters of new hashes in this data directory.
///
/// # Errors
/// They cannot be stored.
pub(crate) fn cost(data: &Path, auth: &Auth) -> io::Result<Params> {
    let path = data.join(FILE);
    if let Some(params) = fs::read_to_string(&path).ok().and_then(|text| stored(&text, auth)) {
        return Ok(params);
    }
    let params = measured(auth);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    if let Err(error) = writeln!(file, "{}", description(&params, auth)) {
        // The disk is full.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(params)
}

/// Whether the data directory has stored parameters.
pub(crate) fn is_stored(data: &Path) -> bool {
    data.join(FILE).exists()
}

/// Removes the stored parameters. The next hash measures them again.
pub(crate) fn remove(data: &Path) {
    // Without the file there is nothing to remove.
    let _ = fs::remove_file(data.join(FILE));
}

/// The parameters that take the configured memory and time on this host. Blocks for some hashes.
#[must_use]
pub fn measured(auth: &Auth) -> Params {
    let memory_kib = memory_kib(auth);
    params(memory_kib, measure(memory_kib, Duration::from_millis(auth.hash_milliseconds)))
}

/// The stored form of measured parameters.
#[must_use]
pub fn description(params: &Params, auth: &Auth) -> String {
    let (memory, passes) = (params.m_cost(), params.t_cost());
    format!("m={memory},t={passes},p=1 for {} ms", auth.hash_milliseconds)
}

/// The parameters of a [`description`], if they were measured for this configuration.
#[must_use]
pub fn stored(text: &str, auth: &Auth) -> Option<Params> {
    let (cost, milliseconds) = text.trim_end().strip_suffix(" ms")?.split_once(" for ")?;
    let cost: Params = cost.parse().ok()?;
    let matches = cost.m_cost() == memory_kib(auth)
        && cost.p_cost() == 1
        && cost.t_cost() >= PASSES_MIN
        && milliseconds.parse() == Ok(auth.hash_milliseconds);
    matches.then_some(cost)
}

fn memory_kib(auth: &Auth) -> u32 {
    u32::try_from(auth.hash_memory.get() >> 10).expect("the configuration allows 1 GiB at most")
}

/// The number of passes that take the wanted time: the fastest of three attempts, by the CPU time of this thread, so that other
/// load does not make the hashes cheap.
fn measure(memory_kib: u32, wanted: Duration) -> u32 {
    let argon2 = Argon2::from(params(memory_kib, PASSES_MIN));
    let quickest = (0..3).map(|_| {
        let start = thread_time();
        argon2
            .hash_password_into(b"a password", b"some salt", &mut [0; Params::DEFAULT_OUTPUT_LEN])
            .expect("the parameters and the lengths are valid");
        thread_time().saturating_sub(start)
    });
    let pass = quickest.min().expect("there were some attempts") / PASSES_MIN;
    let passes = wanted.as_nanos() / pass.as_nanos().max(1);
    u32::try_from(passes).unwrap_or(PASSES_MAX).clamp(PASSES_MIN, PASSES_MAX)
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("a thread's time is never negative")
}

fn params(memory_kib: u32, passes: u32) -> Params {
    Params::new(memory_kib, passes, 1, None)
        .expect("the configured memory, and two passes or more, are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_measured_once_for_each_configuration() {
        let data = tempfile::tempdir().expect("a temporary directory");
        let small =
            Auth { hash_memory: "1 MiB".parse().expect("a size"), hash_milliseconds: 5, ..Auth::default() };
        let first = cost(data.path(), &small).expect("written");
        assert!(first.m_cost() == 1_024 && first.t_cost() >= PASSES_MIN && first.p_cost() == 1);
        // The stored value is used, although no host measures it.
        let remembered = PASSES_MAX + 1;
        fs::write(data.path().join(FILE), format!("m=1024,t={remembered},p=1 for 5 ms\n")).expect("written");
        assert_eq!(cost(data.path(), &small).expect("read").t_cost(), remembered);

        let longer = Auth { hash_milliseconds: 40, ..small.clone() };
        assert!(cost(data.path(), &longer).expect("written").t_cost() != remembered);
        let text = fs::read_to_string(data.path().join(FILE)).expect("read");
        assert!(text.starts_with("m=1024,t=") && text.ends_with(",p=1 for 40 ms\n"), "{text}");
        let larger = Auth { hash_memory: "2 MiB".parse().expect("a size"), ..longer };
        assert_eq!(cost(data.path(), &larger).expect("written").m_cost(), 2_048);
    }

    #[test]
    fn weaker_stored_cost_is_ignored() {
        let auth = Auth::default();
        for text in [
            "",
            "m=19456,t=1,p=1 for 50 ms",
            "m=8,t=5,p=1 for 50 ms",
            "m=19456,t=5,p=1 for 5 ms",
            "m=19456,t=5,p=1",
            "m=19456,t=5,p=2 for 50 ms",
        ] {
            assert!(stored(text, &auth).is_none(), "{text}");
        }
        assert!(stored("m=19456,t=5,p=1 for 50 ms\n", &auth).is_some());
    }
}
