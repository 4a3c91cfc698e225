//! `pop3-load`: load generator for measurements that smtp-source does not cover.
//!
//! It must cost less CPU than the servers it measures: one thread, one buffer per connection, minimal parsing, and only
//! reads and writes for a single connection. Each command prints one line of figures. It trusts the server.

mod connection;
mod disk;
mod idle;
mod large_message;
mod login;
mod maildrop;
mod sessions;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::Builder;

#[derive(Parser)]
#[command(name = "pop3-load", about = "Measures the speed of POP3 and SMTP servers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The server and the account to log in to.
#[derive(Args, Clone)]
struct Account {
    /// The server
    address: SocketAddr,
    /// Name of the account; `%` is replaced by a number if there are several
    name: String,
    password: String,
}

#[derive(Subcommand)]
enum Command {
    /// Runs concurrent sessions of login, STAT and QUIT; prints the seconds for all of them
    Sessions {
        #[command(flatten)]
        account: Account,
        /// Total number of sessions
        #[arg(long)]
        sessions: usize,
        /// Number of accounts, used in turn, from number 1
        #[arg(long)]
        accounts: usize,
        /// Concurrent sessions
        #[arg(long = "at-a-time", default_value_t = 20)]
        concurrency: usize,
    },
    /// Runs one session of login, STAT and QUIT; prints the seconds from connecting to the reply, and the number of messages
    Open {
        #[command(flatten)]
        account: Account,
    },
    /// Removes messages 1 to `count`; prints the seconds from the first DELE to the reply to QUIT
    Remove {
        #[command(flatten)]
        account: Account,
        #[arg(long, default_value_t = 1)]
        count: usize,
    },
    /// Fetches every message; prints the seconds from the first RETR, the number of messages and the octets
    Fetch {
        #[command(flatten)]
        account: Account,
        /// RETR commands in flight
        #[arg(long, default_value_t = 1)]
        ahead: usize,
        /// Fetch no more messages than this
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Sends one large message; prints the seconds from connecting to the reply to the final dot
    Send { address: SocketAddr, recipient: String, octets: usize },
    /// Opens SMTP connections, sends EHLO, prints `ready` and holds them until standard input ends
    IdleSmtp {
        address: SocketAddr,
        #[arg(long)]
        connections: usize,
    },
    /// Logs in to as many accounts, prints `ready` and holds the sessions until standard input ends
    IdlePop3 {
        #[command(flatten)]
        account: Account,
        #[arg(long)]
        connections: usize,
    },
    /// Appends 4 KiB and syncs, each thread to its own file; prints the seconds
    Disk {
        folder: PathBuf,
        #[arg(long)]
        threads: usize,
        /// Total number of appends
        #[arg(long)]
        appends: usize,
    },
}

fn main() -> ExitCode {
    let outcome = Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(connection::Error::from)
        .and_then(|runtime| runtime.block_on(run(Arguments::parse().command)));
    match outcome {
        Ok(line) => {
            print_line(&line);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "pop3-load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> connection::Result<String> {
    match command {
        Command::Sessions { account, sessions, accounts, concurrency } => {
            let seconds = sessions::run(&account, sessions, accounts, concurrency).await?;
            Ok(format!("{seconds}"))
        }
        Command::Open { account } => {
            let (seconds, messages) = maildrop::open(&account).await?;
            Ok(format!("{seconds} {messages}"))
        }
        Command::Remove { account, count } => Ok(maildrop::remove(&account, count).await?.to_string()),
        Command::Fetch { account, ahead, limit } => {
            let maildrop::Fetched { seconds, messages, octets } =
                maildrop::fetch(&account, ahead.max(1), limit).await?;
            Ok(format!("{seconds} {messages} {octets}"))
        }
        Command::Send { address, recipient, octets } => {
            Ok(large_message::send(address, &recipient, octets).await?.to_string())
        }
        Command::IdleSmtp { address, connections } => idle::smtp(address, connections).await,
        Command::IdlePop3 { account, connections } => idle::pop3(&account, connections).await,
        Command::Disk { folder, threads, appends } => {
            Ok(disk::appends(&folder, threads, appends)?.to_string())
        }
    }
}

/// Prints a line; a closed standard output is ignored.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
