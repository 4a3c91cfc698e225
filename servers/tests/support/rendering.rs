//! Files of `deploy/` with the addresses and directories of a test.

use std::net::{SocketAddr, TcpListener};

/// Ports that are free now, for programs that cannot report a port that they have chosen.
pub(crate) fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound"))
}

/// Replaces texts, each of which occurs.
pub(crate) fn adapted(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}
