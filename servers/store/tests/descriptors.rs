//! A process without free file descriptors. The only test of its program, because all threads share the limit.

use std::fs::File;

use mail_store::descriptors;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

mod support;

use support::{deliver, open};

#[tokio::test]
async fn open_mailboxes_are_closed_when_descriptors_run_out() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(80), maximum }).expect("the limit is lowered");
    let root = tempfile::tempdir().expect("a directory");
    let store = open(&root);
    let text = || "Subject: x\r\n\r\nbody\r\n".to_owned();
    let open_files = || std::fs::read_dir("/proc/self/fd").expect("procfs").count();
    let before = open_files();
    for number in 0..80 {
        deliver(&store, "first", text(), &[&format!("a{number}")]).await;
    }
    assert!((10..=20).contains(&(open_files() - before)), "at most a quarter of the limit stays open");

    let mut all = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }
    deliver(&store, "second", text(), &["b"]).await;
    drop(all);
    assert!(open_files() - before < 3, "the others were closed");
    let mailbox = std::fs::read_to_string(root.path().join("b/MyMailBox.txt")).expect("it exists");
    assert!(mailbox.contains("id second "));

    descriptors::raise_limit();
    assert_eq!(descriptors::limit(), maximum.unwrap_or(u64::MAX));
}
