//! `pennypost catch`, next to MailDev (npm): start, memory, mail from 20 connections; and its own waits and searches.
//!
//! Both get the same mails from the same client, whose threads share the machine with the servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use xtask::setup;
use xtask::shell::{self, Result, cargo, command, print, target_dir};

use super::server_process::{free_port, resident_memory};
use super::table::{Row, Target, Unit, format_value, median};

const CONNECTIONS: usize = 20;
const MAIL_BYTES: usize = 4 << 10;
/// Mails of a round. MailDev takes about a second, too.
const MAILS: usize = 20_000;
const MAILS_MAILDEV: usize = 2_000;
const STORED: usize = 100_000;
/// Mails before the memory is measured the first time.
const WARM_UP: usize = 5_000;
const WAITS: usize = 200;
const STARTS: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(60);
const MIB: f64 = 1024.0 * 1024.0;

/// A running catcher; dropping it ends the process.
struct Catcher {
    child: Child,
    smtp: SocketAddr,
    web: SocketAddr,
    /// Seconds until it was ready.
    start: f64,
}

/// Measures, with MailDev if `with_maildev`. The program must be built.
pub(super) fn rows(rounds: usize, with_maildev: bool) -> Result<Vec<Row>> {
    let folder = if with_maildev { Some(setup::maildev()?) } else { None };
    let start_maildev =
        || folder.as_ref().map(|folder| Catcher::maildev(&folder.to_string_lossy())).transpose();
    let (mut starts, mut maildev_starts, mut memory, mut maildev_memory) = (vec![], vec![], vec![], vec![]);
    for _ in 0..STARTS {
        let catcher = Catcher::pennypost(&[])?;
        starts.push(catcher.start);
        memory.push(catcher.memory()?);
    }
    for _ in 0..rounds {
        if let Some(maildev) = start_maildev()? {
            maildev_starts.push(maildev.start);
            maildev_memory.push(maildev.memory()?);
        }
    }
    let (mut rates, mut maildev_rates) = (vec![], vec![]);
    for round in 1..=rounds {
        let rate = Catcher::pennypost(&[])?.receive(MAILS)?;
        rates.push(rate);
        print(&format!("mails, round {round}, Pennypost: {}", format_value(Unit::Rate, rate)));
        if let Some(maildev) = start_maildev()? {
            let rate = maildev.receive(MAILS_MAILDEV)?;
            maildev_rates.push(rate);
            print(&format!("mails, round {round}, MailDev: {}", format_value(Unit::Rate, rate)));
        }
    }
    let row = |name: &str, unit, own: &[f64], peer: &[f64], target| Row {
        name: format!("catcher: {name}"),
        unit,
        pennypost: Some(median(own)),
        peers: if peer.is_empty() { Vec::new() } else { vec![("MailDev".to_owned(), median(peer))] },
        target: Some(target),
    };
    let rate_target = if with_maildev { Some(Target::Ratio(10.0)) } else { None };
    let mut rows = vec![
        row(
            "start to ready line (MailDev: to a connection)",
            Unit::Time,
            &starts,
            &maildev_starts,
            Target::AtMost(0.010),
        ),
        row("memory when ready", Unit::Memory, &memory, &maildev_memory, Target::AtMost(12.0 * MIB)),
        Row {
            target: rate_target,
            ..row("mails of 4 KiB, 20 connections", Unit::Rate, &rates, &maildev_rates, Target::Ratio(10.0))
        },
    ];
    rows.extend(wait_rows()?);
    rows.push(growth_row()?);
    rows.extend(search_rows()?);
    Ok(rows)
}

/// Builds the program and prints the rows without a peer.
pub(crate) fn measure_catcher() -> Result {
    shell::run(cargo().args(["build", "--release", "-p", "servers", "--bin", "pennypost"]))?;
    print("");
    super::table::table(&rows(3, false)?).iter().for_each(|line| print(line));
    Ok(())
}

/// From the final dot to the answer of a wait.
fn wait_rows() -> Result<Vec<Row>> {
    let catcher = Catcher::pennypost(&[])?;
    let mut client = Client::connect(catcher.smtp)?;
    let mut times = Vec::new();
    for number in 0..WAITS {
        let mut waiting = get(catcher.web, &format!("/api/v1/wait?to=w{number}@b.example&timeout=30s"))?;
        // The catcher has received the request.
        thread::sleep(Duration::from_millis(5));
        client.begin(&format!("w{number}@b.example"))?;
        let mail = mail(number);
        client.write(&mail.as_bytes()[..mail.len() - 3])?;
        let begin = Instant::now();
        client.write(&mail.as_bytes()[mail.len() - 3..])?;
        let mut first = [0; 12];
        waiting.read_exact(&mut first).map_err(|error| format!("no answer to a wait: {error}"))?;
        times.push(begin.elapsed().as_secs_f64());
        client.expect("250")?;
        if &first[9..] != b"200" {
            return Err("a wait was not answered with 200".to_owned());
        }
    }
    times.sort_by(f64::total_cmp);
    let row = |name: &str, time| Row {
        name: format!("catcher: final dot to the answer of a wait, {name}"),
        unit: Unit::Time,
        pennypost: Some(time),
        peers: Vec::new(),
        target: Some(Target::AtMost(0.005)),
    };
    Ok(vec![row("median", median(&times)), row("99 of 100", times[times.len() * 99 / 100])])
}

/// Memory with `--keep 500`.
fn growth_row() -> Result<Row> {
    let catcher = Catcher::pennypost(&["--keep", "500"])?;
    catcher.receive(WARM_UP)?;
    let before = catcher.memory()?;
    catcher.receive(STORED - WARM_UP)?;
    let after = catcher.memory()?;
    print(&format!(
        "--keep 500: {} after {WARM_UP} mails, {} after {STORED}",
        format_value(Unit::Memory, before),
        format_value(Unit::Memory, after)
    ));
    Ok(Row {
        name: "catcher: memory added by 95,000 mails with --keep 500".to_owned(),
        unit: Unit::Memory,
        pennypost: Some((after - before).max(0.0)),
        peers: Vec::new(),
        target: Some(Target::AtMost(8.0 * MIB)),
    })
}

/// Searches over 100,000 stored mails.
fn search_rows() -> Result<Vec<Row>> {
    let catcher = Catcher::pennypost(&["--keep", "100000"])?;
    catcher.receive(STORED)?;
    print(&format!("100,000 mails: {}", format_value(Unit::Memory, catcher.memory()?)));
    let mut rows = Vec::new();
    for (name, query, count) in [
        ("a word of one mail", "unique77777word".to_owned(), 1),
        ("a word of no mail", "zeppelin".to_owned(), 0),
        ("a word of every mail", word(1).to_owned() + "%20unique", STORED),
        ("the subject of one mail", "subject:%22number%2077777%20end%22".to_owned(), 1),
        ("recipients", "bcc:user7@".to_owned(), STORED / CONNECTIONS),
        ("unread mails before a date", "is:unread%20before:2100-01-01".to_owned(), STORED),
    ] {
        let mut times = Vec::new();
        for _ in 0..7 {
            let begin = Instant::now();
            let answer = body(catcher.web, &format!("/api/v1/search?query={query}"))?;
            times.push(begin.elapsed().as_secs_f64());
            if !answer.contains(&format!("\"messages_count\":{count},")) {
                return Err(format!("the search for {query} found not {count}: {:.200}", answer));
            }
        }
        rows.push(Row {
            name: format!("catcher: search over 100,000 mails: {name}"),
            unit: Unit::Time,
            pennypost: Some(median(&times)),
            peers: Vec::new(),
            target: Some(Target::AtMost(0.050)),
        });
    }
    Ok(rows)
}

impl Catcher {
    fn pennypost(flags: &[&str]) -> Result<Self> {
        let mut program = Command::new(target_dir()?.join("release/pennypost"));
        program.args(["catch", "--child", "--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0"]).args(flags);
        let begin = Instant::now();
        let mut child = spawn(program.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("standard output is not piped")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("no ready line: {error}"))?;
        let start = begin.elapsed().as_secs_f64();
        let ready: serde_json::Value =
            serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        let address = |name: &str| {
            let text = ready[name].as_str().unwrap_or_default();
            text.trim_start_matches("http://").parse().map_err(|_| format!("no address in {line}"))
        };
        Ok(Self { smtp: address("smtp")?, web: address("web")?, start, child })
    }

    fn maildev(program: &str) -> Result<Self> {
        let [smtp, web] = [free_port()?, free_port()?];
        let mut node = command("node");
        node.args([program, "--ip", "127.0.0.1", "--web-ip", "127.0.0.1", "--silent"]);
        node.args(["--smtp", &smtp.to_string(), "--web", &web.to_string()]);
        let [smtp, web] = [smtp, web].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let begin = Instant::now();
        let child = spawn(node.stdin(Stdio::null()).stdout(Stdio::null()))?;
        let mut maildev = Self { child, smtp, web, start: 0.0 };
        while Client::connect(smtp).is_err() {
            if begin.elapsed() > TIMEOUT {
                return Err("MailDev does not start".to_owned());
            }
            thread::sleep(Duration::from_millis(1));
        }
        maildev.start = begin.elapsed().as_secs_f64();
        Ok(maildev)
    }

    fn memory(&self) -> Result<f64> {
        resident_memory(self.child.id()).map(|bytes| bytes as f64)
    }

    /// Mails per second: from the first connection to the last 250.
    fn receive(&self, mails: usize) -> Result<f64> {
        let next = AtomicUsize::new(0);
        let begin = Instant::now();
        thread::scope(|scope| {
            let send = || -> Result {
                let mut client = Client::connect(self.smtp)?;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= mails {
                        return Ok(());
                    }
                    client.begin(&format!("user{}@b.example", number % CONNECTIONS))?;
                    client.write(mail(number).as_bytes())?;
                    client.expect("250")?;
                }
            };
            let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(send)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| "a client panicked".to_owned())?)
        })?;
        Ok(mails as f64 / begin.elapsed().as_secs_f64())
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        // It may have exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &mut Command) -> Result<Child> {
    program.spawn().map_err(|error| format!("cannot run `{}`: {error}", shell::command_line(program)))
}

/// An SMTP client that sends the commands of a transaction together (RFC 2920).
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(TIMEOUT)))
            .map_err(|error| error.to_string())?;
        let mut client = Self { stream: BufReader::new(stream) };
        client.expect("220")?;
        client.write(b"EHLO client.example\r\n")?;
        client.expect("250")?;
        Ok(client)
    }

    fn begin(&mut self, to: &str) -> Result {
        self.write(format!("MAIL FROM:<a@a.example>\r\nRCPT TO:<{to}>\r\nDATA\r\n").as_bytes())?;
        ["250", "250", "354"].into_iter().try_for_each(|code| self.expect(code))
    }

    fn write(&mut self, octets: &[u8]) -> Result {
        self.stream.get_mut().write_all(octets).map_err(|error| format!("cannot send: {error}"))
    }

    /// Reads a reply.
    fn expect(&mut self, code: &str) -> Result {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).map_err(|error| format!("no reply: {error}"))?;
            if !line.starts_with(code) {
                return Err(format!("unexpected reply {line:?}"));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}

/// A mail of 4 KiB with its final dot; its text is made of ordinary words and one of its own.
fn mail(number: usize) -> String {
    let mut mail = format!(
        "From: App <app@a.example>\r\nTo: Ann <ann@b.example>\r\nSubject: Mail number {number} end\r\n\
         Date: Sun, 22 Nov 2026 20:15:06 +0100\r\nMessage-ID: <{number}@a.example>\r\n\r\nunique{number}word {}\r\n",
        word(1)
    );
    let mut state = number as u64;
    while mail.len() < MAIL_BYTES {
        for _ in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            mail.push_str(word((state >> 33) as usize));
            mail.push(' ');
        }
        mail.push_str("\r\n");
    }
    mail.push_str(".\r\n");
    mail
}

/// The parts of speech of an ordinary mail.
fn word(number: usize) -> &'static str {
    const WORDS: &str = "account address after again all also and any are around back because before being between both bring but \
        button call can change click code come could customer date day delivery did different does done down each email end even \
        every example find first follow for free from get give good great have help here home hour how invoice just keep know large \
        last left let like line link list little live long look made mail make many may message month more most move much must name \
        need never new next night not now number off office often old once only open order other our out over own page paid part \
        password people phone place please point present price product put question read receive right same say second see send \
        service set should show sign since small some soon still stop such support take team than thank that the their them then \
        there these they thing think this those thought three through time today together too turn two under until update upon use \
        very visit wait want was way week welcome well went were what when where which while who will with without word work world \
        would write year yes you young your";
    static LIST: std::sync::LazyLock<Vec<&str>> =
        std::sync::LazyLock::new(|| WORDS.split_whitespace().collect());
    LIST[number % LIST.len()]
}

fn get(web: SocketAddr, path: &str) -> Result<TcpStream> {
    let failed = |error: std::io::Error| format!("{path}: {error}");
    let mut stream = TcpStream::connect(web).map_err(failed)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {web}\r\n\r\n").as_bytes()).map_err(failed)?;
    Ok(stream)
}

fn body(web: SocketAddr, path: &str) -> Result<String> {
    let mut response = String::new();
    get(web, path)?.read_to_string(&mut response).map_err(|error| format!("{path}: {error}"))?;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_have_their_size_and_differ() {
        let (first, second) = (mail(1), mail(2));
        assert!((MAIL_BYTES..MAIL_BYTES + 150).contains(&first.len()), "{}", first.len());
        assert!(first.ends_with("\r\n.\r\n") && first[..900] != second[..900]);
        assert!(mail(77_777).contains("\r\nunique77777word "));
    }
}
