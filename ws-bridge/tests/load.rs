//! Many connections at a time.

mod support;

use config::Target;
use support::{Running, echo, receive, send};

/// Each connection takes four file descriptors of this process, which is browser, bridge and target in one.
const WANTED: usize = 1_000;

/// As many of them as the limit on open files lets through (`ulimit -n 8192` is enough for all); at least a tenth.
fn connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let open_files_max = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok());
    let possible = open_files_max.map_or(WANTED, |max| max.saturating_sub(100) / 4);
    assert!(possible >= WANTED / 10, "at most {open_files_max:?} files may be open; try `ulimit -n 8192`");
    possible.min(WANTED)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_work_at_a_time() {
    let target = Target { address: echo().await, proxy: false };
    let running = Running::with(target, |web| web.limits.connections_per_address = WANTED);
    let mut sockets = Vec::new();
    for _ in 0..connections() {
        sockets.push(running.connect().await);
    }
    for round in 0..3_u32 {
        for (number, socket) in sockets.iter_mut().enumerate() {
            send(socket, format!("{round} {number:>10}").into_bytes()).await;
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(receive(socket, 12).await, format!("{round} {number:>10}").into_bytes());
        }
    }
}
