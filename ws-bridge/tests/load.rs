//! Many concurrent connections.

mod support;

use config::Target;
use support::{Running, echo, receive, send};

/// Each connection uses four file descriptors: this process is browser, bridge and target.
const CONNECTIONS: usize = 1_000;

/// [`CONNECTIONS`], or as many as the limit on open files allows, but at least a tenth (`ulimit -n 8192` allows all).
fn connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let open_files_max = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok());
    let possible = open_files_max.map_or(CONNECTIONS, |max| max.saturating_sub(100) / 4);
    assert!(
        possible >= CONNECTIONS / 10,
        "at most {open_files_max:?} files may be open; try `ulimit -n 8192`"
    );
    possible.min(CONNECTIONS)
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_concurrent_connections_are_relayed() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.limits.connections_per_address = CONNECTIONS);
    let mut sockets = Vec::new();
    for _ in 0..connections() {
        sockets.push(running.connect().await);
    }
    for round in 0..3_u32 {
        for (index, socket) in sockets.iter_mut().enumerate() {
            send(socket, format!("{round} {index:>10}").into_bytes()).await;
        }
        for (index, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(receive(socket, 12).await, format!("{round} {index:>10}").into_bytes());
        }
    }
}
