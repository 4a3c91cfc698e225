use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::*;

#[test]
fn parse_accepts_an_empty_file() {
    let config = Config::parse("").expect("every key is optional");
    assert_eq!(config.hostname.as_str(), "localhost");
    assert!(config.domains.is_empty());
    assert_eq!(config.with_hostname_domain().domains, [Domain::parse("localhost").expect("a domain")]);
    let config = Config::parse("domains = ['LOCALHOST']").expect("a valid file");
    assert_eq!(config.clone().with_hostname_domain().domains.len(), 1);
    assert_eq!(config.smtp.listen[0].port(), 2525);
    assert_eq!(config.limits.message_size.get(), 25 * 1024 * 1024);
    assert!(!config.pop3.refuse_unknown_user);
    assert_eq!(config.tls, Tls::Off);
    assert!(config.faults.smtp.is_empty() && config.faults.pop3.is_empty());
}

#[test]
fn parse_reads_every_server_key() {
    let config = Config::parse(
        "hostname = 'iitkgp.edu'\ndomains = ['iit.edu']\npostmaster = 'ag'\ndata = 'mail'\n\
         [smtp]\nlisten = ['127.0.0.1:0', '[::1]:25']\n\
         [pop3]\nlisten = []\nrefuse_unknown_user = true\n\
         [limits]\nmessage_size = '1 GiB'\nrecipients = 100\nconnections = 7\n\
         connections_per_address = 3\nmessage_memory = '1 MiB'\n\
         [process]\nuser = 'pennypost'\nconfine = false\n[metrics]\nlisten = '[::1]:9090'\n",
    )
    .expect("a valid file");
    assert_eq!(config.domains.iter().map(Domain::as_str).collect::<Vec<_>>(), ["iit.edu"]);
    assert_eq!(config.postmaster.as_ref().map(Username::as_str), Some("ag"));
    assert_eq!(config.smtp.listen.len(), 2);
    assert!(config.pop3.listen.is_empty() && config.pop3.refuse_unknown_user);
    assert_eq!(config.limits.message_size.get(), 1 << 30);
    assert_eq!((config.limits.recipients, config.limits.connections), (100, 7));
    assert_eq!(config.limits.connections_per_address, 3);
    assert_eq!(config.limits.message_memory.get(), 1 << 20);
    assert_eq!((config.process.user.as_deref(), config.process.confine), (Some("pennypost"), false));
    assert!(Config::default().process.confine);
    assert_eq!(config.metrics.listen, Some(SocketAddr::from((Ipv6Addr::LOCALHOST, 9090))));
    assert!(Config::default().metrics.listen.is_none());
}

#[test]
fn database_needs_a_url_and_hides_its_password() {
    let url = "url = 'postgresql://pennypost:secret@db/mail'";
    let config =
        Config::parse(&format!("[store]\nkind = 'postgres'\nconnections = 8\n{url}\n")).expect("valid");
    assert_eq!((config.store.kind, config.store.connections), (StoreKind::Postgres, 8));
    assert!(!format!("{config:?}").contains("secret"));
    assert_eq!(Config::default().store.kind, StoreKind::Text);
    for (text, key) in [
        ("[store]\nkind = 'postgres'".to_owned(), "`kind` is \"postgres\", so `url"),
        (format!("[store]\n{url}"), "`url` is for a database"),
        ("[store]\nkind = 'postgres'\nurl = 'mysql://db/mail'".to_owned(), "`url` must start"),
        (format!("[store]\nkind = 'postgres'\nconnections = 3\n{url}"), "`connections`"),
    ] {
        let error = Config::parse(&text).expect_err(&text);
        assert!(error.reason.contains(key), "{}", error.reason);
    }
}

#[test]
fn parse_reads_every_auth_key() {
    let config = Config::parse(
        "[auth]\nplain_text = true\nhash_memory = '1 MiB'\nhash_milliseconds = 2\ncache_seconds = 3\n\
         failures_per_address = 4\nfailures_per_account = 5\n[limits]\ntrusted = ['10.0.0.0/8']\n",
    )
    .expect("a valid file");
    let Auth { plain_text, hash_memory, hash_milliseconds, cache_seconds, .. } = config.auth;
    assert_eq!((plain_text, hash_memory.get(), hash_milliseconds, cache_seconds), (true, 1 << 20, 2, 3));
    assert_eq!((config.auth.failures_per_address, config.auth.failures_per_account), (4, 5));
    assert!(config.limits.trusted.contains(IpAddr::from([10, 1, 2, 3])));
    assert!(!Config::default().auth.plain_text);
}

#[test]
fn parse_reads_every_web_key() {
    let config = Config::parse(
        "[web]\nlisten = '[::1]:0'\nroot = 'page'\norigins = ['http://LOCALHOST:8081']\nnames = ['mail.iit.edu']\n\
         tls = false\nproxies = ['10.0.0.1']\ntargets = { smtp = { address = '127.0.0.1:25', proxy = true }, echo = { address = '127.0.0.1:7' } }\n\
         [web.limits]\nconnections = 1\nconnections_per_address = 2\nidle_seconds = 3\nping_seconds = 4\n\
         frame_size = '5 KiB'\noctets_per_second = '6 MB'\n",
    )
    .expect("a valid file");
    let Web { listen, root, targets, origins, names, tls, proxies, path, limits } = config.web;
    assert_eq!(listen.address().map(|address| address.to_string()).as_deref(), Some("[::1]:0"));
    assert_eq!((root.as_path(), path.as_str()), (Path::new("page"), "/"));
    assert!(targets["smtp"].proxy && !targets["echo"].proxy);
    assert_eq!(origins, ["http://localhost:8081"]);
    assert_eq!(names[0].as_str(), "mail.iit.edu");
    assert!(!tls && proxies.contains(IpAddr::from([10, 0, 0, 1])));
    assert_eq!((limits.connections, limits.connections_per_address), (1, 2));
    assert_eq!((limits.idle_seconds, limits.ping_seconds), (3, 4));
    assert_eq!((limits.frame_size.get(), limits.octets_per_second.get()), (5 << 10, 6_000_000));
    assert_eq!(Config::parse("[web]\nlisten = 'off'").expect("a valid file").web.listen, WebListen::Off);
    assert_eq!(Config::default().web.listen, WebListen::Default);
}

#[test]
fn web_targets_are_proxy_listeners_overridden_by_configured_targets() {
    let config = Config::parse(
        "[smtp]\nproxy_listen = ['127.0.0.1:2526']\n[pop3]\nproxy_listen = ['127.0.0.1:2111']\n\
         proxy_peers = ['10.0.0.1']\n[web]\ntargets = { pop3 = { address = '10.0.0.2:110' } }",
    )
    .expect("a valid file");
    let targets = config.web_targets();
    let smtp = Target { address: SocketAddr::from(([127, 0, 0, 1], 2526)), proxy: true };
    let pop3 = Target { address: SocketAddr::from(([10, 0, 0, 2], 110)), proxy: false };
    assert_eq!(targets, BTreeMap::from([("smtp".to_owned(), smtp), ("pop3".to_owned(), pop3)]));
    assert_eq!(config.pop3.proxy_peers, [IpAddr::from([10, 0, 0, 1])]);
    assert_eq!(config.smtp.proxy_peers, smtp::loopback_peers());
    assert!(
        Config::default().web_targets().is_empty(),
        "connections to plain listeners would count as local"
    );
}

#[test]
fn errors_name_the_line_the_key_and_the_problem() {
    for (text, line, part) in [
        ("\nhostnam = 'a'", 2, "hostnam"),
        ("hostname = 'a b'", 1, "`a b`"),
        ("[smtp]\nlisten = ['nowhere']", 2, "socket address"),
        ("[limits]\n\nmessage_size = '25 potatoes'", 3, "25 potatoes"),
        ("[limits]\n\nmessage_size = '25 potatoes'", 3, "`message_size`: "),
        ("[web]\nlisten = 'here'", 2, "`listen`: "),
        ("[limits]\nrecipients = 5", 2, "100 or more"),
        ("[limits]\nconnections = 0", 2, "`connections` must be between 1 and 1000000"),
        ("[limits]\nconnections = 1000001", 2, "between 1 and 1000000"),
        ("[limits]\ntrusted = ['10.0.0.0/33']", 2, "`10.0.0.0/33`"),
        ("[auth]\nhash_memory = '1 KiB'", 2, "between 1 MiB and 1 GiB"),
        (
            "[auth]\nplain_text = false\nhash_milliseconds = 0",
            3,
            "`hash_milliseconds` must be between 1 and 10000",
        ),
        ("[auth]\ncache_seconds = 86401", 2, "86400"),
        ("[auth]\nfailures_per_address = 0", 2, "`failures_per_address` must be between 1 and 1000000"),
        ("[auth]\nfailures_per_account = 1000001", 2, "between 1 and 1000000"),
        ("[limits]\nconnections = 9\nconnections_per_address = 0", 3, "must be 1 or more"),
        (
            "[limits]\nconnections_per_address = 5\nconnections = 0",
            3,
            "`connections` must be between 1 and 1000000",
        ),
        ("[limits]\nmessage_size = 0", 2, "`message_size` must be 1 or more"),
        ("postmaster = '../x'", 1, "`../x`"),
        ("[web]\nlisten = 'here'", 2, "`here`"),
        ("[web]\norigins = ['*']", 2, "`*`"),
        ("[web]\norigins = ['http://a/']", 2, "`http://a/`"),
        ("[web]\ntargets = { smtp = { host = 'a' } }", 2, "host"),
        ("[limits]\nconnections = 1\n[web.limits]\nconnections = 0", 4, "1 or more"),
        ("[web.limits]\nframe_size = '2 GiB'", 2, "1 GiB"),
        ("[web.limits]\nidle_seconds = 86401", 2, "between 1 and 86400"),
        ("[[faults]]\nprotocol = 'smtp'\ncommand = 'MAIL'\ndelay = 'soon'", 4, "`soon`"),
        ("\n[[faults]]\nprotocol = 'smtp'\ncommand = 'MAIL'\nreply = '250 OK'", 2, "`reply`"),
        ("[tls]\ncertificate = 'cert.pem'", 1, "`certificate` without `key`"),
        ("\n[tls]\nkey = 'key.pem'", 2, "`key` without `certificate`"),
        ("[tls]\nkey = 'key.pem'\ncertificate = 'cert.pem'\nself_signed = true", 1, "keep only one of them"),
        ("[tls]\nself_signed = true\nselfsigned = true", 3, "selfsigned"),
        ("[tls]\nself_signed = true\nacme = { contact = 'mailto:ag@iit.edu' }", 1, "keep only one of them"),
        ("[tls]\nacme = { contact = 'ag@iit.edu' }", 2, "`contact` in `acme` must be `mailto:`"),
        ("[tls]\nacme = { contact = 'mailto:ag@iit.edu?cc=gb' }", 2, "`contact` in `acme`"),
        ("[tls]\nacme = { directory = 'https://ca.example/' }", 2, "contact"),
        (
            "[tls]\nacme = { contact = 'mailto:ag@iit.edu', directory = 'http://ca.example/' }",
            2,
            "must be an https URL",
        ),
        ("[web]\ntls = false\n[tls]\nacme = { contact = 'mailto:ag@iit.edu' }", 2, "`tls` must be true"),
        ("[web]\nlisten = 'off'\n[tls]\nacme = { contact = 'mailto:ag@iit.edu' }", 2, "must be an address"),
        ("[smtp]\ntls_listen = ['127.0.0.1:465']", 2, "needs a certificate"),
        (
            "[smtp]\nsubmission_tls_listen = ['127.0.0.1:465']",
            2,
            "`submission_tls_listen` needs a certificate",
        ),
        ("[pop3]\nlisten = []\ntls_listen = ['127.0.0.1:995']", 3, "needs a certificate"),
        ("data = [", 1, ""),
    ] {
        let SourceError { line: actual, reason } = Config::parse(text).expect_err(text);
        assert_eq!(actual, line, "{text}: {reason}");
        assert!(reason.contains(part), "{text}: {reason}");
        assert!(!reason.contains('\n'));
    }
}

#[test]
fn read_resolves_paths_against_the_file() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("pennypost.toml");
    std::fs::write(&path, "data = 'mail'\n[tls]\ncertificate = 'cert.pem'\nkey = '/etc/key.pem'")
        .expect("written");
    let config = Config::read(&path).expect("a valid file");
    assert_eq!(config.data, folder.path().join("mail"));
    let certificate = folder.path().join("cert.pem");
    assert_eq!(config.tls, Tls::Files { certificate, key: PathBuf::from("/etc/key.pem") });

    std::fs::write(&path, "[tls]\nacme = { contact = 'mailto:ag@iit.edu', ca = 'ca.pem' }").expect("written");
    let Tls::Acme(acme) = Config::read(&path).expect("a valid file").tls else { panic!("no ACME") };
    assert_eq!(acme.ca, Some(folder.path().join("ca.pem")));
    assert_eq!(acme.directory.to_string(), "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!(acme.directory.port(), 443);

    let missing = folder.path().join("none.toml");
    let error = Config::read(&missing).expect_err("there is no such file").to_string();
    assert!(error.contains("none.toml") && error.contains("--config"), "{error}");

    std::fs::write(&path, "a = 1").expect("written");
    let error = Config::read(&path).expect_err("an unknown key").to_string();
    assert!(error.contains("pennypost.toml, line 1: unknown field `a`"), "{error}");
}
