//! The programs that are measured, as children that end with this one: by their ids, also at Ctrl-C.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::shell::{self, Result, command};

/// Open files that a server and the program that drives it may need: ten thousand connections, and what lies behind them.
const FILES: u32 = 100_000;
/// The longest start, and the longest end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a file or a port is looked at again.
const PULSE: Duration = Duration::from_millis(5);

/// The ids of what runs now.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    name: &'static str,
}

/// Ctrl-C and SIGTERM end the servers first.
pub(super) fn end_with_this_program() -> Result {
    ctrlc::set_handler(|| {
        running().iter().for_each(|id| terminate(*id));
        std::process::exit(130);
    })
    .map_err(|error| format!("cannot catch Ctrl-C: {error}"))
}

/// `program`, allowed as many open files as the system lets it have.
pub(super) fn with_many_files(program: &Path) -> Command {
    let mut shell = command("sh");
    let raise = format!("ulimit -n {FILES} 2>/dev/null || ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\"");
    shell.args(["-c", &raise]).arg(program);
    shell
}

/// How many that are.
pub(super) fn files_max() -> Result<usize> {
    let raised = shell::output(with_many_files(Path::new("sh")).args(["-c", "ulimit -n"]));
    raised
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| "cannot tell how many files may be open".to_owned())
}

impl Server {
    /// Starts it, with what it prints going to a file.
    pub(super) fn start(name: &'static str, command: &mut Command, output: &Path) -> Result<Self> {
        let file = || File::options().create(true).append(true).open(output);
        let (stdout, stderr) =
            file().and_then(|one| Ok((one, file()?))).map_err(|error| at(output, &error))?;
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
        let child = child.map_err(|error| format!("cannot run `{}`: {error}", shell::spell(command)))?;
        running().push(child.id());
        Ok(Self { child, name })
    }

    /// Waits until `ready` gives something.
    pub(super) fn wait_for<T>(&mut self, output: &Path, ready: impl Fn() -> Option<T>) -> Result<T> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(found) = ready() {
                return Ok(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let words = fs::read_to_string(output).unwrap_or_default();
                return Err(format!("{} ended at once ({status}):\n{words}", self.name));
            }
            thread::sleep(PULSE);
        }
        Err(format!("{} does not listen after {} s; see {}", self.name, PATIENCE.as_secs(), output.display()))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits.
    pub(super) fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            terminate(self.child.id());
        }
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > PATIENCE {
                // Its own children may then live on; nothing more can be done by its id.
                let _ = self.child.kill();
            }
            thread::sleep(PULSE);
        }
        running().retain(|id| *id != self.child.id());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The memory that is a process's and its descendants' own (shared pages by their share), in octets.
pub(super) fn memory(root: u32) -> u64 {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name before it stands in parentheses and may hold anything.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parents.extend(parent.map(|parent| (id, parent)));
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    family.iter().map(|id| proportional(*id)).sum()
}

fn proportional(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    // A process may have ended since it was listed.
    kibibytes(&text, "Pss:").unwrap_or(0)
}

/// What a process has in memory now, in octets.
pub(super) fn memory_now(id: u32) -> Result<u64> {
    status(id, "VmRSS:")
}

/// The most that it had since [`reset_high_water`].
pub(super) fn high_water(id: u32) -> Result<u64> {
    status(id, "VmHWM:")
}

pub(super) fn reset_high_water(id: u32) -> Result {
    let file = PathBuf::from(format!("/proc/{id}/clear_refs"));
    fs::write(&file, "5").map_err(|error| at(&file, &error))
}

fn status(id: u32, field: &str) -> Result<u64> {
    let file = PathBuf::from(format!("/proc/{id}/status"));
    let text = fs::read_to_string(&file).map_err(|error| at(&file, &error))?;
    kibibytes(&text, field).ok_or_else(|| format!("{} has no {field}", file.display()))
}

/// A field that is given in `kB`, in octets.
fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    value.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// A port that nobody has at this moment; for programs that cannot take one by themselves.
pub(super) fn free_port() -> Result<u16> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

pub(super) fn accepts(address: SocketAddr) -> Option<()> {
    TcpStream::connect(address).ok().map(drop)
}

/// A log that is read on from where it was read last.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    position: u64,
    /// What stands behind the last line end.
    rest: String,
}

impl Log {
    /// From the present end.
    pub(super) fn at_end(path: &Path) -> Self {
        let position = path.metadata().map_or(0, |about| about.len());
        Self { path: path.to_owned(), position, rest: String::new() }
    }

    /// From its first line.
    pub(super) fn at_start(path: &Path) -> Self {
        Self { path: path.to_owned(), position: 0, rest: String::new() }
    }

    /// The whole lines that are new.
    pub(super) fn lines(&mut self) -> Result<Vec<String>> {
        let mut text = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.position))?;
            file.read_to_end(&mut text)
        });
        self.position += read.map_err(|error| at(&self.path, &error))? as u64;
        self.rest.push_str(&String::from_utf8_lossy(&text));
        let whole = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.rest.split_off(whole);
        let lines = self.rest.lines().map(str::to_owned).collect();
        self.rest = rest;
        Ok(lines)
    }
}

/// An error of a file, as a sentence.
pub(super) fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn running() -> std::sync::MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// It may have ended by itself meanwhile.
fn terminate(id: u32) {
    let _ = shell::run(command("sh").args(["-c", "kill -TERM \"$1\" 2>/dev/null", "sh", &id.to_string()]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_kernels_is_read_in_octets() {
        let text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kibibytes(text, "VmRSS:"), Some(1 << 20));
        assert_eq!(kibibytes(text, "Pss:"), None);
    }

    #[test]
    fn a_family_is_larger_than_its_parent() {
        let id = std::process::id();
        let alone = memory(id);
        assert!(alone > 0);
        let output = shell::target().expect("a target directory").join("peers-family");
        let server = Server::start("sleep", command("sleep").arg("60"), &output).expect("it starts");
        assert!(memory(server.id()) > 0, "the child has memory of its own");
        let child = server.id();
        drop(server);
        assert_eq!(memory(child), 0, "the child has ended with its owner");
        fs::remove_file(&output).expect("removed");
    }

    #[test]
    fn a_program_that_ends_at_once_is_an_error_with_its_words() {
        let output = shell::target().expect("a target directory").join("peers-ends");
        let mut server =
            Server::start("sh", command("sh").args(["-c", "echo no such luck"]), &output).expect("it starts");
        let sentence = server.wait_for(&output, || None::<()>).expect_err("it has ended");
        assert!(sentence.contains("sh ended at once") && sentence.contains("no such luck"), "{sentence}");
        fs::remove_file(&output).expect("removed");
    }
}
