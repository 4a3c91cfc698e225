//! `cargo xtask demo`: the servers and the page on a configuration to play with, and what to do next.
//!
//! The configuration, the accounts and the first mails lie in `demo/`. They are copied to `target/demo`, where the mail
//! stays from one run to the next. The first mails go in through the SMTP server, as all mail does.

mod greeting;
mod submission;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use xtask::page;
use xtask::shell::{self, Result, cargo, command, eprint, print, profile_dir, target_dir, workspace_root};

/// The longest start that is still a start.
const START_MAX: Duration = Duration::from_secs(60);

/// Exists once the first mails are delivered. In the data directory, so that they come again when it is deleted.
const WELCOMED: &str = "data/.welcomed";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Address of the SMTP server; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2525")]
    smtp: SocketAddr,
    /// Address of the POP3 server; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2110")]
    pop3: SocketAddr,
    /// Address of the page; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    web: SocketAddr,
    /// Forget the mail of earlier runs
    #[arg(long)]
    fresh: bool,
}

/// What the demo waits for.
enum Event {
    Listening {
        protocol: String,
        address: SocketAddr,
    },
    /// The server has closed its standard error: it has ended.
    Ended,
    /// Ctrl-C, or a termination signal.
    Stop,
}

/// Where the servers listen.
struct Doors {
    smtp: SocketAddr,
    pop3: SocketAddr,
    web: SocketAddr,
}

pub(crate) fn run(options: &Options) -> Result {
    require_free("smtp", options.smtp)?;
    require_free("pop3", options.pop3)?;
    require_free("web", options.web)?;
    page::refresh()?;
    shell::run(cargo().args("build -p servers --bin pennypost -p cli-client --bin mail-client".split(' ')))?;
    let folder = target_dir()?.join("demo");
    let is_first_run = lay_out(&folder, options.fresh)
        .map_err(|error| format!("cannot prepare {}: {error}", folder.display()))?;

    let (sender, events) = channel();
    let stop = sender.clone();
    ctrlc::set_handler(move || drop(stop.send(Event::Stop)))
        .map_err(|error| format!("cannot catch Ctrl-C: {error}"))?;
    let mut server = start(&folder, options, sender)?;
    let outcome = converse(&events, &folder, is_first_run);
    let stopped = stop_server(&mut server);
    outcome.and(stopped)
}

/// Waits for the servers, fills their mailboxes, says what to type, and stays until it is told to stop.
fn converse(events: &Receiver<Event>, folder: &Path, is_first_run: bool) -> Result {
    let Some(doors) = wait_for_doors(events)? else { return Ok(()) };
    if is_first_run {
        submission::submit_all(doors.smtp, &workspace_root().join("demo/welcome"))?;
        // From here on the mail counts as the user's own.
        fs::write(folder.join(WELCOMED), "").map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let accounts = accounts().map_err(|error| format!("demo/User.txt: {error}"))?;
    greeting::lines(&doors, &accounts, folder).iter().for_each(|line| print(line));
    // Either the user has had enough, or the server has ended: its exit status will tell.
    let _ = events.recv();
    Ok(())
}

/// `None` when the user stops it first.
fn wait_for_doors(events: &Receiver<Event>) -> Result<Option<Doors>> {
    let deadline = Instant::now() + START_MAX;
    let (mut smtp, mut pop3, mut web) = (None, None, None);
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Listening { protocol, address }) if protocol == "smtp" => smtp = Some(address),
            Ok(Event::Listening { protocol, address }) if protocol == "pop3" => pop3 = Some(address),
            Ok(Event::Listening { protocol, address }) if protocol == "web" => web = Some(address),
            Ok(Event::Listening { .. }) => {}
            Ok(Event::Stop) => return Ok(None),
            Ok(Event::Ended) => return Err("the server did not start; its last lines say why".to_owned()),
            Err(_) => {
                return Err(format!(
                    "the server did not say within {} s that it listens (RUST_LOG, if set, must let `info` pass)",
                    START_MAX.as_secs()
                ));
            }
        }
        if let (Some(smtp), Some(pop3), Some(web)) = (smtp, pop3, web) {
            return Ok(Some(Doors { smtp, pop3, web }));
        }
    }
}

/// A sentence now is better than a server that starts by half.
fn require_free(flag: &str, address: SocketAddr) -> Result {
    TcpListener::bind(address).map(drop).map_err(|error| {
        format!("{address} cannot be had ({error}). Choose another with --{flag} 127.0.0.1:PORT, or --{flag} 127.0.0.1:0")
    })
}

/// Copies `demo/` and makes each account's folder. Says whether the first mails are still to come.
fn lay_out(folder: &Path, fresh: bool) -> std::io::Result<bool> {
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

/// Names and passwords of the demo.
fn accounts() -> std::io::Result<Vec<(String, String)>> {
    let text = fs::read_to_string(workspace_root().join("demo/User.txt"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.filter_map(|line| line.split_once(' ')).map(|(name, word)| (name.into(), word.into())).collect())
}

/// Starts the server. Its log is shown as it comes, and read on the way for the listeners' lines.
fn start(folder: &Path, options: &Options, events: Sender<Event>) -> Result<Child> {
    let pennypost: PathBuf = profile_dir()?.join("pennypost");
    let mut server = command(&pennypost.to_string_lossy());
    server.arg("serve").arg("--config").arg(folder.join("pennypost.toml"));
    server.args(["--smtp", &options.smtp.to_string(), "--pop3", &options.pop3.to_string()]);
    server.args(["--web", &options.web.to_string()]).arg("--root").arg(workspace_root().join("dist"));
    // Colours would stand between a field's name and its value.
    server.env("NO_COLOR", "1").stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = server.spawn().map_err(|error| format!("cannot run {}: {error}", pennypost.display()))?;
    let log = child.stderr.take().expect("standard error was asked for");
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(std::result::Result::ok) {
            eprint(&line);
            if let Some(event) = listening(&line) {
                let _ = events.send(event);
            }
        }
        let _ = events.send(Event::Ended);
    });
    Ok(child)
}

/// Reads `... listening protocol=smtp address=127.0.0.1:2525`, in whatever order and with or without quotes.
fn listening(line: &str) -> Option<Event> {
    let field = |name: &str| {
        let (_, value) = line.split_once(&format!("{name}="))?;
        value.split_whitespace().next().map(|value| value.trim_matches('"'))
    };
    line.contains("listening").then_some(())?;
    Some(Event::Listening {
        protocol: field("protocol")?.to_owned(),
        address: field("address")?.parse().ok()?,
    })
}

/// Asks the server to end, unless it has, and waits. At Ctrl-C the terminal has asked it too; twice does no harm.
fn stop_server(server: &mut Child) -> Result {
    let cannot_wait = |error| format!("cannot wait for the server: {error}");
    if server.try_wait().map_err(cannot_wait)?.is_none() {
        print("\nStopping; sessions that are receiving a mail may finish.");
        shell::run(command("sh").args(["-c", "kill -TERM \"$1\"", "sh", &server.id().to_string()]))?;
    }
    let status = server.wait().map_err(cannot_wait)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the server ended with {status}; its last lines say why"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(line: &str) -> Option<(String, SocketAddr)> {
        match listening(line)? {
            Event::Listening { protocol, address } => Some((protocol, address)),
            Event::Ended | Event::Stop => None,
        }
    }

    #[test]
    fn a_listener_is_heard_in_the_log() {
        let smtp = ("smtp".to_owned(), "127.0.0.1:2525".parse().expect("an address"));
        let line =
            "2026-11-22T19:15:06Z  INFO servers::listener: listening protocol=smtp address=127.0.0.1:2525";
        assert_eq!(heard(line), Some(smtp.clone()));
        assert_eq!(heard("INFO listening address=127.0.0.1:2525 protocol=\"smtp\""), Some(smtp));
        assert_eq!(heard("INFO accepted protocol=smtp address=127.0.0.1:2525"), None);
        assert_eq!(heard("INFO listening protocol=smtp address=nowhere"), None);
    }

    #[test]
    fn the_doors_are_known_when_all_listen() {
        let (sender, events) = channel();
        let listens = |protocol: &str, port| Event::Listening {
            protocol: protocol.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        for event in [listens("pop3", 2), listens("smtp-proxy", 4), listens("web", 3), listens("smtp", 1)] {
            sender.send(event).expect("the receiver is here");
        }
        let doors = wait_for_doors(&events).expect("no failure").expect("not stopped");
        assert_eq!((doors.smtp.port(), doors.pop3.port(), doors.web.port()), (1, 2, 3));
        sender.send(Event::Ended).expect("the receiver is here");
        assert!(wait_for_doors(&events).is_err());
        sender.send(Event::Stop).expect("the receiver is here");
        assert!(wait_for_doors(&events).expect("no failure").is_none());
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_its_flag() {
        let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = holder.local_addr().expect("it is bound");
        let sentence = require_free("smtp", address).expect_err("the port is taken");
        assert!(sentence.contains(&address.to_string()) && sentence.contains("--smtp"), "{sentence}");
    }

    #[test]
    fn the_demo_has_two_accounts() {
        let names: Vec<String> =
            accounts().expect("demo/User.txt").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["ag", "gb"]);
    }
}
