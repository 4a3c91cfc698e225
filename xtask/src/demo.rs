//! `cargo xtask demo`: builds and starts the servers with demo accounts, and prints how to use them.
//!
//! Configuration, accounts and welcome messages come from `demo/`. The data directory is `target/demo/data` and survives
//! between runs. The welcome messages are submitted through the SMTP server.

mod instructions;
mod welcome;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use xtask::listening::parse_listening;
use xtask::page;
use xtask::shell::{self, Result, command, eprint, print, profile_dir, target_dir, workspace_root};

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Created after the welcome messages are delivered. In the data directory: when that is deleted, they are delivered
/// again.
const WELCOMED: &str = "data/.welcomed";

/// Dev profile, like the terminal client that the instructions run.
const PACKAGES: [&str; 8] =
    ["-p", "servers", "--bin", "pennypost", "-p", "cli-client", "--bin", "mail-client"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Address of the SMTP server; port 0 chooses a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2525")]
    smtp: SocketAddr,
    /// Address of the POP3 server; port 0 chooses a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2110")]
    pop3: SocketAddr,
    /// Address of the page; port 0 chooses a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    web: SocketAddr,
    /// Delete the mail of earlier runs
    #[arg(long)]
    fresh: bool,
}

enum Event {
    Listening {
        protocol: String,
        address: SocketAddr,
    },
    /// The server closed its standard error, so it has ended.
    ServerEnded,
    /// SIGINT or SIGTERM.
    Shutdown,
}

/// Addresses of the running servers.
struct Addresses {
    smtp: SocketAddr,
    pop3: SocketAddr,
    web: SocketAddr,
}

pub(crate) fn run(options: &Options) -> Result {
    require_free("smtp", options.smtp)?;
    require_free("pop3", options.pop3)?;
    require_free("web", options.web)?;
    page::refresh_with(&PACKAGES)?;
    let folder = target_dir()?.join("demo");
    let is_first_run = prepare(&folder, options.fresh)
        .map_err(|error| format!("cannot prepare {}: {error}", folder.display()))?;

    let (sender, events) = channel();
    let shutdown = sender.clone();
    ctrlc::set_handler(move || drop(shutdown.send(Event::Shutdown)))
        .map_err(|error| format!("cannot install the signal handler: {error}"))?;
    let mut server = start(&folder, options, sender)?;
    let result = wait_for_shutdown(&events, &folder, is_first_run);
    let stopped = stop_server(&mut server);
    result.and(stopped)
}

/// Sends the welcome messages and prints the instructions once the servers listen.
fn wait_for_shutdown(events: &Receiver<Event>, folder: &Path, is_first_run: bool) -> Result {
    let Some(addresses) = wait_for_listeners(events)? else { return Ok(()) };
    if is_first_run {
        welcome::submit_all(addresses.smtp, &workspace_root().join("demo/welcome"))?;
        fs::write(folder.join(WELCOMED), "").map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let accounts = accounts().map_err(|error| format!("demo/User.txt: {error}"))?;
    instructions::lines(&addresses, &accounts, folder).iter().for_each(|line| print(line));
    // If the server ended, its exit status is reported later.
    let _ = events.recv();
    Ok(())
}

/// `None` if the user stops the demo first.
fn wait_for_listeners(events: &Receiver<Event>) -> Result<Option<Addresses>> {
    let deadline = Instant::now() + START_TIMEOUT;
    let (mut smtp, mut pop3, mut web) = (None, None, None);
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Listening { protocol, address }) if protocol == "smtp" => smtp = Some(address),
            Ok(Event::Listening { protocol, address }) if protocol == "pop3" => pop3 = Some(address),
            Ok(Event::Listening { protocol, address }) if protocol == "web" => web = Some(address),
            Ok(Event::Listening { .. }) => {}
            Ok(Event::Shutdown) => return Ok(None),
            Ok(Event::ServerEnded) => {
                return Err("the server did not start; see its last log lines above".to_owned());
            }
            Err(_) => {
                return Err(format!(
                    "the server logged no listeners within {} s (if RUST_LOG is set, it must include `info`)",
                    START_TIMEOUT.as_secs()
                ));
            }
        }
        if let (Some(smtp), Some(pop3), Some(web)) = (smtp, pop3, web) {
            return Ok(Some(Addresses { smtp, pop3, web }));
        }
    }
}

/// Reports an address in use before the build starts.
fn require_free(flag: &str, address: SocketAddr) -> Result {
    TcpListener::bind(address).map(drop).map_err(|error| {
        format!(
            "cannot listen on {address} ({error}); choose another address with --{flag} 127.0.0.1:PORT, or --{flag} 127.0.0.1:0"
        )
    })
}

/// Copies `demo/` and creates the mailboxes. Returns whether the welcome messages are to be sent.
fn prepare(folder: &Path, fresh: bool) -> std::io::Result<bool> {
    if fresh && folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let data = folder.join("data");
    for (name, _) in accounts()? {
        fs::create_dir_all(data.join(name))?;
    }
    fs::copy(workspace_root().join("demo/pennypost.toml"), folder.join("pennypost.toml"))?;
    if !data.join("User.txt").exists() {
        fs::copy(workspace_root().join("demo/User.txt"), data.join("User.txt"))?;
    }
    Ok(!folder.join(WELCOMED).exists())
}

/// Names and passwords.
fn accounts() -> std::io::Result<Vec<(String, String)>> {
    let text = fs::read_to_string(workspace_root().join("demo/User.txt"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| line.split_once(' '))
        .map(|(name, password)| (name.into(), password.into()))
        .collect())
}

/// Starts the server. Its log is printed, and its listeners are reported as events.
fn start(folder: &Path, options: &Options, events: Sender<Event>) -> Result<Child> {
    let pennypost: PathBuf = profile_dir()?.join("pennypost");
    let mut server = command(&pennypost.to_string_lossy());
    server.arg("serve").arg("--config").arg(folder.join("pennypost.toml"));
    server.args(["--smtp", &options.smtp.to_string(), "--pop3", &options.pop3.to_string()]);
    server.args(["--web", &options.web.to_string()]).arg("--root").arg(workspace_root().join("dist"));
    // Colour sequences would separate the names of log fields from their values.
    server.env("NO_COLOR", "1").stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = server.spawn().map_err(|error| format!("cannot run {}: {error}", pennypost.display()))?;
    let log = child.stderr.take().expect("stderr is piped");
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(std::result::Result::ok) {
            eprint(&line);
            if let Some((protocol, address)) = parse_listening(&line) {
                let _ = events.send(Event::Listening { protocol: protocol.to_owned(), address });
            }
        }
        let _ = events.send(Event::ServerEnded);
    });
    Ok(child)
}

/// Sends SIGTERM unless the server has ended, and waits. At Ctrl-C the terminal has sent SIGINT already.
fn stop_server(server: &mut Child) -> Result {
    let cannot_wait = |error| format!("cannot wait for the server: {error}");
    if server.try_wait().map_err(cannot_wait)?.is_none() {
        print("\nStopping the servers; sessions that are receiving a message may finish.");
        shell::run(command("sh").args(["-c", "kill -TERM \"$1\"", "sh", &server.id().to_string()]))?;
    }
    let status = server.wait().map_err(cannot_wait)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the server ended with {status}; see its last log lines above"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_complete_when_all_servers_listen() {
        let (sender, events) = channel();
        let listening = |protocol: &str, port| Event::Listening {
            protocol: protocol.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        for event in
            [listening("pop3", 2), listening("smtp-proxy", 4), listening("web", 3), listening("smtp", 1)]
        {
            sender.send(event).expect("the receiver exists");
        }
        let addresses = wait_for_listeners(&events).expect("no failure").expect("not stopped");
        assert_eq!((addresses.smtp.port(), addresses.pop3.port(), addresses.web.port()), (1, 2, 3));
        sender.send(Event::ServerEnded).expect("the receiver exists");
        assert!(wait_for_listeners(&events).is_err());
        sender.send(Event::Shutdown).expect("the receiver exists");
        assert!(wait_for_listeners(&events).expect("no failure").is_none());
    }

    #[test]
    fn address_in_use_is_reported_with_its_flag() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let error = require_free("smtp", address).expect_err("the port is in use");
        assert!(error.contains(&address.to_string()) && error.contains("--smtp"), "{error}");
    }

    #[test]
    fn demo_has_two_accounts() {
        let names: Vec<String> =
            accounts().expect("demo/User.txt").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["ag", "gb"]);
    }
}
