//! The configurations of `deploy/` for nginx, Caddy and HAProxy, with the real programs: the page, its routes and WebSockets through
//! them, and mail connections through HAProxy.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::rendering::{adapted, free_addresses};
use support::tls::{TlsClient, write_key_pair};
use support::{ServerProcess, SmtpClient, TIMEOUT, TestDir, is_installed};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, client};

const NGINX: &str = include_str!("../../deploy/nginx.conf");
const CADDY: &str = include_str!("../../deploy/Caddyfile");
const HAPROXY: &str = include_str!("../../deploy/haproxy.cfg");

const NAME: &str = "mail.example.org";

/// A running proxy. Stopped on drop.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx and HAProxy stop their workers at SIGTERM.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

impl Proxy {
    /// Starts a program and waits until it listens.
    fn start(command: &mut Command, address: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        let mut proxy = Self(child.expect("the program starts"));
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < TIMEOUT, "{command:?} does not listen on {address}");
            assert!(proxy.0.try_wait().expect("a child").is_none(), "{command:?} has ended");
            thread::sleep(Duration::from_millis(20));
        }
        proxy
    }
}

fn page() -> (TestDir, ServerProcess) {
    let dir = TestDir::with_config(&format!(
        "[web]\ntls = false\nproxies = ['127.0.0.1']\nnames = ['{NAME}']\n\
         [smtp]\nproxy_listen = ['127.0.0.1:0']\n[pop3]\nproxy_listen = ['127.0.0.1:0']\n"
    ));
    let arguments = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "127.0.0.1:0"];
    let listeners = ["smtp", "smtp-proxy", "pop3", "pop3-proxy", "web"];
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, &dir, &listeners);
    (dir, server)
}

/// The start of a response over TLS.
fn request((proxy, roots): &(SocketAddr, PathBuf), text: &str) -> String {
    let socket = TcpStream::connect(proxy).expect("the proxy accepts");
    socket.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    let mut stream = TlsClient::new(roots).stream(socket, NAME);
    stream.write_all(text.as_bytes()).expect("the proxy reads");
    let mut response = String::new();
    // Some proxies end without a close_notify.
    let _ = stream.read_to_string(&mut response);
    response
}

/// The page's requests work as with a direct connection.
fn check_page(address: SocketAddr, dir: &TestDir) {
    let proxy = &(address, dir.path("fullchain.pem"));
    let host = format!("{NAME}:{}", address.port());
    let live = request(proxy, &format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    assert!(live.starts_with("HTTP/1.1 200") && live.contains("ok\n"), "{live}");
    let body = r#"{"user":"gb","password":"other"}"#;
    let sign_in = |origin: &str| {
        let length = body.len();
        request(
            proxy,
            &format!(
                "POST /account/session HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nX-Forwarded-For: 192.0.2.1\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            ),
        )
    };
    let signed_in = sign_in(&format!("https://{host}"));
    assert!(signed_in.starts_with("HTTP/1.1 200") && signed_in.contains("gb@iitkgp.edu"), "{signed_in}");
    let foreign = sign_in("https://evil.example");
    assert!(foreign.starts_with("HTTP/1.1 403") && foreign.contains("origin"), "{foreign}");

    let mut upgrade = format!("wss://{host}/ws/pop3").into_client_request().expect("a request");
    upgrade.headers_mut().insert("Origin", format!("https://{host}").parse().expect("a value"));
    let socket = TcpStream::connect(address).expect("the proxy accepts");
    socket.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    let stream = TlsClient::new(&proxy.1).stream(socket, NAME);
    let (mut socket, _) = client(upgrade, stream).expect("upgraded");
    assert_eq!(socket.read().expect("a frame"), Message::binary(&b"+OK POP3 server ready\r\n"[..]));
    // Passwords are accepted, since the proxy has used TLS.
    for (command, reply) in [("USER gb", "+OK"), ("PASS other", "+OK")] {
        socket.send(Message::binary(format!("{command}\r\n").into_bytes())).expect("the bridge reads");
        let answer = socket.read().expect("a frame").into_data();
        assert!(answer.starts_with(reply.as_bytes()), "{command}: {}", answer.escape_ascii());
    }
}

fn write_certificate(folder: &Path) {
    write_key_pair(&folder.join("fullchain.pem"), &folder.join("privkey.pem"));
    let parts = ["fullchain.pem", "privkey.pem"].map(|name| fs::read(folder.join(name)).expect("it exists"));
    fs::write(folder.join("haproxy.pem"), parts.concat()).expect("the file is written");
}

#[test]
fn nginx_serves_the_page() {
    assert!(is_installed("nginx"), "nginx is missing; `cargo xtask setup` installs it");
    let (dir, server) = page();
    write_certificate(dir.root.path());
    let ([proxy], web, root) =
        (free_addresses(), server.address("web").to_string(), dir.root.path().display());
    let site = adapted(
        NGINX,
        &[
            ("    listen [::]:443 ssl;\n", ""),
            ("listen 443", &format!("listen {proxy}")),
            ("/etc/pennypost/tls", &root.to_string()),
            ("127.0.0.1:8080;\n        proxy_http", &format!("{web};\n        proxy_http")),
        ],
    );
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {root}/{name};\n"))
        .concat();
    let config = format!(
        "pid {root}/nginx.pid;\nerror_log stderr;\ndaemon off;\nevents {{}}\nhttp {{\naccess_log off;\n{temp}{site}}}\n"
    );
    fs::write(dir.path("nginx.conf"), config).expect("the file is written");
    let mut command = Command::new("nginx");
    command.arg("-c").arg(dir.path("nginx.conf")).arg("-p").arg(dir.root.path());
    let _nginx = Proxy::start(&mut command, proxy);
    check_page(proxy, &dir);
}

#[test]
fn haproxy_serves_the_page_and_passes_mail_on() {
    assert!(is_installed("haproxy"), "haproxy is missing; `cargo xtask setup` installs it");
    let (dir, mut server) = page();
    write_certificate(dir.root.path());
    let [proxy, smtp, pop3] = free_addresses();
    let config = adapted(
        HAPROXY,
        &[
            ("/etc/pennypost/tls", &dir.root.path().display().to_string()),
            ("bind :443", &format!("bind {proxy}")),
            ("bind :25", &format!("bind {smtp}")),
            ("bind :110", &format!("bind {pop3}")),
            ("pennypost 127.0.0.1:8080", &format!("pennypost {}", server.address("web"))),
            ("pennypost 127.0.0.1:2526", &format!("pennypost {}", server.address("smtp-proxy"))),
            ("pennypost 127.0.0.1:2111", &format!("pennypost {}", server.address("pop3-proxy"))),
        ],
    );
    fs::write(dir.path("haproxy.cfg"), config).expect("the file is written");
    let mut command = Command::new("haproxy");
    command.arg("-f").arg(dir.path("haproxy.cfg"));
    let _haproxy = Proxy::start(&mut command, proxy);
    check_page(proxy, &dir);
    SmtpClient::connect(smtp).deliver_to_gb(b"Subject: through haproxy\r\n\r\nbody\r\n");
    let line = server.wait_for_log("delivered");
    assert!(line.contains("127.0.0.1"), "{line}");
    assert!(TcpStream::connect(pop3).is_ok());
}

#[test]
fn caddy_serves_the_page() {
    assert!(is_installed("caddy"), "caddy is missing; `cargo xtask setup` installs it");
    let (dir, server) = page();
    write_certificate(dir.root.path());
    let [proxy] = free_addresses();
    let root = dir.root.path().display();
    let site = adapted(
        CADDY,
        &[
            (
                "mail.example.org {",
                &format!(
                    "https://{NAME}:{} {{\n\tbind 127.0.0.1\n\ttls {root}/fullchain.pem {root}/privkey.pem",
                    proxy.port()
                ),
            ),
            ("127.0.0.1:8080\n}", &format!("{}\n}}", server.address("web"))),
        ],
    );
    fs::write(dir.path("Caddyfile"), format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}"))
        .expect("the file is written");
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(dir.path("Caddyfile"));
    command.env("HOME", dir.root.path()).env("XDG_DATA_HOME", dir.root.path());
    let _caddy = Proxy::start(&mut command, proxy);
    check_page(proxy, &dir);
}
