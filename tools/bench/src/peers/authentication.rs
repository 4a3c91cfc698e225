//! The cost of SPF, DKIM, DMARC and iprev: received mail with and without authentication, from a host that passes every check.
//!
//! dkimpy signs the message. The DNS has all records; Pennypost asks for each once and then uses its cache.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;
use std::{fs, process::Command};

use xtask::setup;
use xtask::shell::{self, Result, print, target_dir};

use super::deliveries::{self, LOAD, Load, matching_lines};
use super::dns::{DnsRecord, DnsServer};
use super::mail_path::PENNYPOST;
use super::pennypost::Pennypost;
use super::server_process::path_error;
use super::table::{Row, Target, Unit, format_value, median};
use super::{Extent, prepare_peers};

const MESSAGES: usize = 20_000;
/// The domain of the senders of smtp-source, and the name it gives in EHLO.
const DOMAIN: &str = "peers.test";
const HOST: &str = "source.peers.test";

/// Writes a signed message of 4 KiB to the file in the first argument. Prints the text of the key's DNS record.
const SIGN: &str = r#"
import base64, subprocess, sys
import dkim
def openssl(*arguments, key=None):
    return subprocess.run(['openssl', *arguments], input=key, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
key = openssl('genrsa', '2048')
public = base64.b64encode(openssl('rsa', '-pubout', '-outform', 'DER', key=key)).decode()
header = b'From: Sender <sender@peers.test>\r\nTo: u@mx.peers.test\r\nSubject: hello\r\n' \
    b'Date: Sun, 29 Nov 2026 17:11:49 +0000\r\nMessage-ID: <1@peers.test>\r\n\r\n'
message = header + b'The quick brown fox jumps over the lazy dog.\r\n' * 85
signature = dkim.sign(message, b'key', b'peers.test', key, canonicalize=(b'relaxed', b'relaxed'))
with open(sys.argv[1], 'wb') as file:
    file.write((signature + message).replace(b'\r\n', b'\n'))
print('v=DKIM1; k=rsa; p=' + public)
"#;

pub(super) fn rows(extent: Extent) -> Result<Vec<Row>> {
    let folder = prepare_peers()?;
    let message = folder.join("message");
    let key = sign(&message)?;
    let dns = DnsServer::start(&[
        DnsRecord::Txt(DOMAIN, "v=spf1 ip4:127.0.0.0/8 -all"),
        DnsRecord::Txt(HOST, "v=spf1 ip4:127.0.0.0/8 -all"),
        DnsRecord::Txt("_dmarc.peers.test", "v=DMARC1; p=reject"),
        DnsRecord::Txt("key._domainkey.peers.test", &key),
        DnsRecord::Ptr("1.0.0.127.in-addr.arpa", HOST),
        DnsRecord::A(HOST, Ipv4Addr::LOCALHOST),
    ]);
    let start = |name: &str, authenticates: bool| {
        let folder = folder.join(name);
        let sections = format!(
            "[outbound]\nmode = \"direct\"\nresolver = [\"{}\"]\n[inbound]\nauthenticate = {authenticates}\n",
            dns.address
        );
        Pennypost::create_data(&folder, &deliveries::accounts(), &sections)?;
        Pennypost::start(&folder)
    };
    let (with, without) = (start("with", true)?, start("without", false)?);
    let (mut rates_with, mut rates_without) = (Vec::new(), Vec::new());
    // The first round creates the mailboxes.
    for round in 0..=extent.rounds {
        for (name, server, rates) in
            [("with", &with, &mut rates_with), ("without", &without, &mut rates_without)]
        {
            let begin = Instant::now();
            deliveries::send(
                server.smtp,
                PENNYPOST,
                Load { messages: MESSAGES, message: Some(&message), ..LOAD },
            )?;
            let rate = MESSAGES as f64 / begin.elapsed().as_secs_f64();
            print(&format!(
                "received mail {name} authentication, round {round}: {}",
                format_value(Unit::Rate, rate)
            ));
            rates.extend((round > 0).then_some(rate));
        }
    }
    check_results(&with, extent.rounds)?;
    Ok(vec![Row {
        name: "received mail of 4 KiB, 20 sessions, SPF, DKIM, DMARC and iprev verified".to_owned(),
        unit: Unit::Rate,
        pennypost: Some(median(&rates_with)),
        peers: vec![("without".to_owned(), median(&rates_without))],
        target: Some(Target::Ratio(0.6)),
    }])
}

/// Every message has passed every check.
fn check_results(server: &Pennypost, rounds: usize) -> Result {
    let messages = MESSAGES * (rounds + 1);
    for result in ["spf=pass smtp.mailfrom", "dkim=pass", "dmarc=pass", "iprev=pass"] {
        let found = matching_lines(&server.data, "MyMailBox.txt", &format!("^\\s*{result}"))?;
        if found != messages {
            return Err(format!("{found} of {messages} messages have the result {result}"));
        }
    }
    Ok(())
}

/// Writes the message. Returns the text of the DNS record.
fn sign(message: &Path) -> Result<String> {
    setup::python_packages()?;
    let mut python = Command::new("python3");
    python.args(["-c", SIGN]).arg(message).env("PYTHONPATH", target_dir()?.join("python"));
    let key = shell::stdout_of(&mut python).ok_or("dkimpy cannot sign the message")?;
    match fs::metadata(message) {
        Ok(_) => Ok(key),
        Err(error) => Err(path_error(message, &error)),
    }
}
