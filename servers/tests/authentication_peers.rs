//! Results and records of this host, read by authres and pyspf.

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use mail_core::message::authentication_results;
use support::dns::{DnsRecord, DnsServer};
use support::{TestDir, run_program};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Prints method, result and property values of each result of the field on standard input.
const READ_RESULTS: &str = r"
import sys
import authres
field = sys.stdin.read().replace('\r', '').replace('\n', '')
for result in authres.all_features().parse(field).results:
    print(result.method, result.result, *[p.value for p in result.properties], sep='\t')
";

/// Prints the SPF result for each address after the first argument, a zone in JSON. Standard input has the sender.
const CHECK_SPF: &str = r"
import json, sys
import spf
zone = json.loads(sys.argv[1])
def lookup(name, qtype, *arguments, **options):
    values = zone.get(name.lower().rstrip('.') + ' ' + qtype, [])
    if qtype == 'TXT':
        values = [(value.encode(),) for value in values]
    if qtype == 'MX':
        values = [(10, value) for value in values]
    return [((name, qtype), value) for value in values]
spf.DNSLookup = lookup
sender = sys.stdin.read()
for address in sys.argv[2:]:
    print(spf.check2(i=address, s=sender, h='elsewhere.example')[0])
";

fn python(script: &str, arguments: &[&str], input: &str) -> String {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let packages = target.parent().expect("it is in the target directory").join("python");
    for package in ["authres", "spf.py"] {
        assert!(packages.join(package).exists(), "{package} is missing; `cargo xtask setup` installs it");
    }
    let mut command = Command::new("python3");
    command.args(["-c", script]).args(arguments).env("PYTHONPATH", &packages);
    let output = run_program(&mut command, input.as_bytes());
    assert_eq!(output.code, Some(0), "{output:?}");
    output.stdout
}

/// The first field of a header.
fn first_field(header: &str) -> String {
    let mut lines = header.split_inclusive("\r\n");
    let first = lines.next().into_iter();
    first.chain(lines.take_while(|line| line.starts_with(['\t', ' ']))).collect()
}

#[test]
fn authres_reads_the_same_results_whatever_the_sender_writes() {
    let dns = DnsServer::start(&[
        DnsRecord::Txt("bank.example", "v=spf1 ip4:127.0.0.0/8 -all"),
        DnsRecord::Txt("_dmarc.bank.example", "v=DMARC1; p=none"),
        DnsRecord::Txt("evil.example", "v=spf1 -all"),
        DnsRecord::Txt("_dmarc.evil.example", "v=DMARC1; p=none"),
    ]);
    let dir = TestDir::new();
    let config = format!(
        "hostname = 'mx.example.net'\ndomains = ['example.net']\n[outbound]\nmode = 'direct'\nresolver = ['{}']\n",
        dns.address
    );
    fs::write(dir.path("pennypost.toml"), config).expect("the file is written");
    let server = dir.serve();
    for (sender, author, expected) in [
        ("ag@bank.example", "ag@bank.example", "dmarc=pass"),
        ("\"a; dmarc=pass x\"@evil.example", "ag@evil.example", "dmarc=fail"),
        ("\"a (\"@evil.example", "ag@evil.example", "dmarc=fail"),
        ("\"\\\"; dmarc=pass header.from=bank.example \\\"\"@evil.example", "ag@evil.example", "dmarc=fail"),
    ] {
        fs::remove_file(dir.path("data/gb/MyMailBox.txt")).ok();
        let message = format!("From: {author}\r\nSubject: x\r\n\r\nbody\r\n");
        let mut smtp = server.smtp();
        smtp.command("EHLO elsewhere.example");
        assert!(smtp.deliver(sender, &["gb@example.net"], message.as_bytes()).starts_with("250"), "{sender}");
        let mailbox = String::from_utf8(dir.mailbox("gb")).expect("ASCII");
        let start = mailbox.find("Authentication-Results:").expect("the field is added");
        let field = first_field(&mailbox[start..]);
        let own: Vec<String> = authentication_results::parse(field.as_bytes(), "mx.example.net")
            .into_iter()
            .map(|(method, result)| format!("{method}={result}"))
            .collect();
        assert!(own.iter().any(|result| result == expected), "{own:?} {field}");
        let read = python(READ_RESULTS, &[], &field);
        let results: Vec<String> =
            read.lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>().join("=")).collect();
        assert_eq!(results, own, "{field}");
    }
}

#[test]
fn pyspf_passes_this_host_with_the_printed_records_and_fails_others() {
    let dir = TestDir::with_config("[outbound]\nmode = 'direct'\n");
    let output = dir.pennypost(&["dns"], "");
    assert_eq!(output.code, Some(0), "{output:?}");
    let record = |name: &str, kind: &str| {
        let start = format!("{name}. 3600 IN {kind} ");
        let line = output.stdout.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start}: {output:?}")).trim_matches('"').to_owned()
    };
    let mx = record("iit.edu", "MX");
    let exchange = mx.strip_prefix("10 ").expect("a preference").trim_end_matches('.');
    let zone = serde_json::json!({
        "iit.edu TXT": [record("iit.edu", "TXT")],
        "iitkgp.edu TXT": [record("iitkgp.edu", "TXT")],
        "iit.edu MX": [exchange],
        format!("{exchange} A"): [LOCALHOST.to_string()],
    });
    for domain in ["iit.edu", "iitkgp.edu"] {
        let sender = format!("ag@{domain}");
        let results = python(CHECK_SPF, &[&zone.to_string(), "127.0.0.1", "192.0.2.1"], &sender);
        assert_eq!(results.lines().collect::<Vec<_>>(), ["pass", "fail"], "{domain}: {zone}");
    }
}
