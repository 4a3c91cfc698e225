//! The measured servers as child processes, which are stopped when this program ends or receives a signal.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use xtask::shell::{self, Result, command};

/// Open files of a server or load program with 10,000 connections.
const OPEN_FILES: u32 = 100_000;
/// Limit for a start or a stop.
const START_STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Process ids of the running servers.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A running server; dropping it stops the server.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    name: &'static str,
}

/// Stops the servers on SIGINT and SIGTERM.
pub(super) fn stop_servers_on_signal() -> Result {
    ctrlc::set_handler(|| {
        running().iter().for_each(|id| terminate(*id));
        std::process::exit(130);
    })
    .map_err(|error| format!("cannot install the signal handler: {error}"))
}

/// `program` with the limit of open files raised as far as permitted.
pub(super) fn with_raised_file_limit(program: &Path) -> Command {
    let mut shell = command("sh");
    let raise =
        format!("ulimit -n {OPEN_FILES} 2>/dev/null || ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\"");
    shell.args(["-c", &raise]).arg(program);
    shell
}

/// The limit of open files set by [`with_raised_file_limit`].
pub(super) fn open_files_max() -> Result<usize> {
    let raised = shell::stdout_of(with_raised_file_limit(Path::new("sh")).args(["-c", "ulimit -n"]));
    raised
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| "cannot read the limit of open files".to_owned())
}

impl Server {
    /// Starts the server with its output redirected to a file.
    pub(super) fn start(name: &'static str, command: &mut Command, output: &Path) -> Result<Self> {
        let file = || File::options().create(true).append(true).open(output);
        let (stdout, stderr) =
            file().and_then(|one| Ok((one, file()?))).map_err(|error| path_error(output, &error))?;
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
        let child =
            child.map_err(|error| format!("cannot run `{}`: {error}", shell::command_line(command)))?;
        running().push(child.id());
        Ok(Self { child, name })
    }

    /// Polls `ready` until it returns a value.
    pub(super) fn wait_for<T>(&mut self, output: &Path, ready: impl Fn() -> Option<T>) -> Result<T> {
        let begin = Instant::now();
        while begin.elapsed() < START_STOP_TIMEOUT {
            if let Some(value) = ready() {
                return Ok(value);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let text = fs::read_to_string(output).unwrap_or_default();
                return Err(format!("{} exited during start-up ({status}):\n{text}", self.name));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Err(format!(
            "{} did not start within {} s; see {}",
            self.name,
            START_STOP_TIMEOUT.as_secs(),
            output.display()
        ))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits for the end; sends SIGKILL after the timeout.
    pub(super) fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            terminate(self.child.id());
        }
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > START_STOP_TIMEOUT {
                let _ = self.child.kill();
            }
            thread::sleep(POLL_INTERVAL);
        }
        running().retain(|id| *id != self.child.id());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Proportional set size of a process and its descendants, in bytes.
pub(super) fn tree_memory(root: u32) -> u64 {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The parent id follows the process name, which is in parentheses and may contain any byte.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parents.extend(parent.map(|parent| (id, parent)));
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    tree.iter().map(|id| proportional_set_size(*id)).sum()
}

fn proportional_set_size(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    // The process may have ended since it was listed.
    kibibytes(&text, "Pss:").unwrap_or(0)
}

/// Resident set size, in bytes.
pub(super) fn resident_memory(id: u32) -> Result<u64> {
    status(id, "VmRSS:")
}

/// Peak resident set size since [`reset_peak_memory`], in bytes.
pub(super) fn peak_memory(id: u32) -> Result<u64> {
    status(id, "VmHWM:")
}

pub(super) fn reset_peak_memory(id: u32) -> Result {
    let file = PathBuf::from(format!("/proc/{id}/clear_refs"));
    fs::write(&file, "5").map_err(|error| path_error(&file, &error))
}

fn status(id: u32, field: &str) -> Result<u64> {
    let file = PathBuf::from(format!("/proc/{id}/status"));
    let text = fs::read_to_string(&file).map_err(|error| path_error(&file, &error))?;
    kibibytes(&text, field).ok_or_else(|| format!("{} has no {field}", file.display()))
}

/// Value of a field in `kB`, in bytes.
fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    value.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// A currently unused port, for programs that cannot bind port 0.
pub(super) fn free_port() -> Result<u16> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

pub(super) fn accepts(address: SocketAddr) -> Option<()> {
    TcpStream::connect(address).ok().map(drop)
}

/// Reads the lines appended to a log file.
#[derive(Debug)]
pub(super) struct LogReader {
    path: PathBuf,
    position: u64,
    /// Incomplete last line.
    partial: String,
}

impl LogReader {
    /// Skips the present content.
    pub(super) fn from_end(path: &Path) -> Self {
        let position = path.metadata().map_or(0, |metadata| metadata.len());
        Self { path: path.to_owned(), position, partial: String::new() }
    }

    pub(super) fn from_start(path: &Path) -> Self {
        Self { path: path.to_owned(), position: 0, partial: String::new() }
    }

    /// The complete lines appended since the last call.
    pub(super) fn lines(&mut self) -> Result<Vec<String>> {
        let mut text = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.position))?;
            file.read_to_end(&mut text)
        });
        self.position += read.map_err(|error| path_error(&self.path, &error))? as u64;
        self.partial.push_str(&String::from_utf8_lossy(&text));
        let complete = self.partial.rfind('\n').map_or(0, |end| end + 1);
        let partial = self.partial.split_off(complete);
        let lines = self.partial.lines().map(str::to_owned).collect();
        self.partial = partial;
        Ok(lines)
    }
}

pub(super) fn path_error(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn running() -> std::sync::MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends SIGTERM; the process may have ended already.
fn terminate(id: u32) {
    let _ = shell::run(command("sh").args(["-c", "kill -TERM \"$1\" 2>/dev/null", "sh", &id.to_string()]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_field_in_kibibytes_is_converted_to_bytes() {
        let text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kibibytes(text, "VmRSS:"), Some(1 << 20));
        assert_eq!(kibibytes(text, "Pss:"), None);
    }

    #[test]
    fn dropped_server_is_stopped_and_has_no_memory() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let id = std::process::id();
        assert!(tree_memory(id) > 0);
        let output = folder.path().join("output");
        let server = Server::start("sleep", command("sleep").arg("60"), &output).expect("it starts");
        assert!(tree_memory(server.id()) > 0, "the child runs");
        let child = server.id();
        drop(server);
        assert_eq!(tree_memory(child), 0, "the child has ended");
    }

    #[test]
    fn server_that_exits_during_start_up_is_an_error_with_its_output() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let output = folder.path().join("output");
        let mut server =
            Server::start("sh", command("sh").args(["-c", "echo no such luck"]), &output).expect("it starts");
        let error = server.wait_for(&output, || None::<()>).expect_err("it has ended");
        assert!(error.contains("sh exited during start-up") && error.contains("no such luck"), "{error}");
    }
}
