//! `pennypost dns --check` with a DNS server that has the printed records, and with one that has not; rotation of DKIM keys.

mod support;

use std::fs;
use std::net::Ipv4Addr;

use support::dns::{DnsRecord, DnsServer};
use support::{ProgramOutput, TestDir};

const SERVICES: &str = "[tls]\nself_signed = true\n[smtp]\nsubmission_tls_listen = ['0.0.0.0:465']\n\
    [pop3]\ntls_listen = ['0.0.0.0:995']\n[web]\nlisten = '0.0.0.0:443'\nnames = ['autoconfig.iit.edu']\n";

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 25);

/// The records of `pennypost dns`, as owner, type and data.
fn printed(dir: &TestDir) -> Vec<(String, String, String)> {
    let output = dir.pennypost(&["dns"], "");
    assert_eq!(output.code, Some(0), "{output:?}");
    let lines = output.stdout.lines().filter(|line| !line.starts_with(';'));
    lines
        .map(|line| {
            let [owner, _ttl, "IN", kind, data] = line.splitn(5, ' ').collect::<Vec<_>>()[..] else {
                panic!("not a record: {line}")
            };
            (owner.trim_end_matches('.').to_owned(), kind.to_owned(), data.replace("\" \"", ""))
        })
        .collect()
}

/// A DNS server with the printed records and the addresses of the host.
fn publish(records: &[(String, String, String)], host: &str) -> DnsServer {
    let last = |data: &'static str| data.rsplit(' ').next().expect("split yields at least one piece");
    let mut published =
        vec![DnsRecord::A("iitkgp.edu", ADDRESS), DnsRecord::Ptr("25.2.0.192.in-addr.arpa", host)];
    for (owner, kind, data) in records {
        // Leaked for the type of the records; a test has a few.
        let data: &'static str = data.clone().leak();
        published.push(match kind.as_str() {
            "MX" => DnsRecord::Mx(owner, 5, last(data)),
            "TXT" => DnsRecord::Txt(owner, data.trim_matches('"')),
            "SRV" => {
                let port = data.split(' ').nth(2).and_then(|port| port.parse().ok()).expect("a port");
                DnsRecord::Srv(owner, port, last(data))
            }
            "CNAME" => DnsRecord::Cname(owner, last(data)),
            "TLSA" => DnsRecord::Tlsa(owner, last(data)),
            kind => panic!("{kind}"),
        });
    }
    DnsServer::start(&published)
}

/// Uses a DNS server for the next checks.
fn check(dir: &TestDir, dns: &DnsServer) -> ProgramOutput {
    let config = format!(
        "hostname = 'iitkgp.edu'\ndomains = ['iit.edu']\n[outbound]\nmode = 'direct'\nresolver = ['{}']\n{SERVICES}",
        dns.address
    );
    fs::write(dir.path("pennypost.toml"), config).expect("the file is written");
    dir.pennypost(&["dns", "--check"], "")
}

fn test_dir() -> TestDir {
    let dir = TestDir::new();
    check(&dir, &DnsServer::start(&[]));
    dir
}

#[test]
fn published_records_are_all_present() {
    let dir = test_dir();
    let records = printed(&dir);
    let owners: Vec<_> = records.iter().map(|(owner, kind, _)| format!("{kind} {owner}")).collect();
    for expected in [
        "MX iit.edu",
        "MX iitkgp.edu",
        "TXT _dmarc.iit.edu",
        "SRV _submissions._tcp.iit.edu",
        "SRV _pop3s._tcp.iit.edu",
        "SRV _autodiscover._tcp.iit.edu",
        "CNAME autoconfig.iit.edu",
        "TLSA _25._tcp.iitkgp.edu",
    ] {
        assert!(owners.iter().any(|owner| owner == expected), "{expected}: {owners:?}");
    }
    let checked = check(&dir, &publish(&records, "iitkgp.edu"));
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stdout.lines().all(|line| line.starts_with("present  ")), "{}", checked.stdout);
    assert_eq!(checked.stdout.lines().count(), records.len() + 2);
}

#[test]
fn missing_and_wrong_records_are_named() {
    let dir = test_dir();
    let mut records = printed(&dir);
    records.retain(|(owner, kind, _)| {
        !owner.starts_with("_dmarc") && !owner.starts_with("rsa-") && kind != "TLSA"
    });
    for (owner, kind, data) in &mut records {
        match (owner.as_str(), kind.as_str()) {
            ("iit.edu", "MX") => *data = "10 mx.elsewhere.example.".to_owned(),
            ("iit.edu", "TXT") => *data = "\"v=spf1 -all\"".to_owned(),
            ("_pop3s._tcp.iit.edu", _) => *data = "0 1 110 iitkgp.edu.".to_owned(),
            _ => {}
        }
    }
    let checked = check(&dir, &publish(&records, "other.example"));
    assert_eq!(checked.code, Some(1), "{checked:?}");
    for line in [
        "wrong    PTR of 192.0.2.25 iitkgp.edu.; found: other.example",
        "wrong    iit.edu. 3600 IN MX 10 iitkgp.edu.; found: mx.elsewhere.example",
        "wrong    iit.edu. 3600 IN TXT \"v=spf1 mx -all\"; found: v=spf1 -all",
        "wrong    _pop3s._tcp.iit.edu. 3600 IN SRV 0 1 995 iitkgp.edu.; found: 110 iitkgp.edu",
        "missing  _dmarc.iit.edu. 3600 IN TXT \"v=DMARC1; p=quarantine\"",
        "present  iitkgp.edu. 3600 IN MX 10 iitkgp.edu.",
    ] {
        assert!(checked.stdout.lines().any(|other| other == line), "{line}\n{}", checked.stdout);
    }
    let missing = checked.stdout.lines().filter(|line| line.starts_with("missing  rsa-")).count();
    assert_eq!(missing, 2, "{}", checked.stdout);

    let checked = check(&dir, &DnsServer::start(&[]));
    assert!(checked.stdout.starts_with("missing  iitkgp.edu. A or AAAA\n"), "{}", checked.stdout);
    assert!(checked.stdout.lines().all(|line| line.starts_with("missing  ")), "{}", checked.stdout);
}

#[test]
fn rotated_keys_have_records_until_they_are_removed() {
    let dir = test_dir();
    let before = printed(&dir);
    let dns = publish(&before, "iitkgp.edu");
    let rotated = dir.pennypost(&["dkim", "rotate"], "");
    assert!(rotated.code == Some(0) && rotated.stdout.matches("created ").count() == 2, "{rotated:?}");
    let after = printed(&dir);
    assert!(before.iter().all(|record| after.contains(record)));
    assert_eq!(after.len(), before.len() + 4, "two keys of two domains");
    let checked = check(&dir, &dns);
    assert_eq!(checked.stdout.matches("missing  ").count(), 4, "{}", checked.stdout);
    assert_eq!(check(&dir, &publish(&after, "iitkgp.edu")).code, Some(0));

    let list = dir.pennypost(&["dkim", "list"], "").stdout;
    assert_eq!(list.lines().count(), 4, "{list}");
    for line in list.lines().filter(|line| !line.contains("-2 ")) {
        let selector = line.split(' ').next().expect("a selector");
        assert_eq!(dir.pennypost(&["dkim", "remove", selector], "").code, Some(0));
    }
    assert_eq!(printed(&dir).len(), before.len());
    let refused = dir.pennypost(&["dkim", "remove", "none"], "");
    assert!(refused.code == Some(2) && refused.stderr.contains("there is no key"), "{refused:?}");
}
