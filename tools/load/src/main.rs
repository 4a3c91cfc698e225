//! `pop3-load`: what `cargo xtask bench --peers` drives servers with where smtp-source has nothing to offer.
//!
//! One thread, one buffer a connection, nothing of a reply read but what is asked for, no call but reads and writes where there
//! is one connection alone: it must cost less than any server that it drives. Each command prints one line of figures. It is
//! no client: it trusts the server that it measures.

mod disk;
mod idle;
mod maildrop;
mod message;
mod session;
mod sessions;
#[cfg(test)]
mod tests;
mod wire;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::Builder;

#[derive(Parser)]
#[command(name = "pop3-load", about = "Drives POP3 and SMTP servers, and says how fast they are")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Whom to sign in as.
#[derive(Args, Clone)]
struct Account {
    /// The server
    address: SocketAddr,
    /// The account's name; `%` stands for a number where there are many
    name: String,
    password: String,
}

#[derive(Subcommand)]
enum Command {
    /// Sessions of login, STAT, QUIT, several at a time; prints the seconds that all of them took
    Sessions {
        #[command(flatten)]
        account: Account,
        /// Sessions in all
        #[arg(long)]
        sessions: usize,
        /// Accounts that take turns, from number 1
        #[arg(long)]
        accounts: usize,
        /// Sessions at a time
        #[arg(long, default_value_t = 20)]
        at_a_time: usize,
    },
    /// One session of login, STAT, QUIT; prints the seconds from the connection to the answer, and the number of messages
    Open {
        #[command(flatten)]
        account: Account,
    },
    /// Removes messages 1 to `count`; prints the seconds from the first DELE to the answer to QUIT
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
        /// RETR commands on their way at a time
        #[arg(long, default_value_t = 1)]
        ahead: usize,
        /// Fetch no more messages than this
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Sends one large message; prints the seconds from the connection to the answer to the final dot
    Send { address: SocketAddr, recipient: String, octets: usize },
    /// Opens SMTP connections, says EHLO, prints `ready`, and holds them until standard input ends
    IdleSmtp {
        address: SocketAddr,
        #[arg(long)]
        connections: usize,
    },
    /// Signs in to as many accounts, prints `ready`, and holds the sessions until standard input ends
    IdlePop3 {
        #[command(flatten)]
        account: Account,
        #[arg(long)]
        connections: usize,
    },
    /// Appends 4 KiB and syncs, each thread to a file of its own; prints the seconds
    Disk {
        folder: PathBuf,
        #[arg(long)]
        threads: usize,
        /// Appends in all
        #[arg(long)]
        appends: usize,
    },
}

fn main() -> ExitCode {
    let outcome = Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(wire::Failure::from)
        .and_then(|runtime| runtime.block_on(run(Arguments::parse().command)));
    match outcome {
        Ok(line) => {
            say(&line);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "pop3-load: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> wire::Result<String> {
    match command {
        Command::Sessions { account, sessions, accounts, at_a_time } => {
            let seconds = sessions::run(&account, sessions, accounts, at_a_time).await?;
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
            Ok(message::send(address, &recipient, octets).await?.to_string())
        }
        Command::IdleSmtp { address, connections } => idle::smtp(address, connections).await,
        Command::IdlePop3 { account, connections } => idle::pop3(&account, connections).await,
        Command::Disk { folder, threads, appends } => {
            Ok(disk::appends(&folder, threads, appends)?.to_string())
        }
    }
}

/// A reader that has gone away is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
