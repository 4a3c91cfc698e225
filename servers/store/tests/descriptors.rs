//! A process that has no file descriptor left. Alone in its program, since all of its threads share the limit.

use std::fs::File;

use mail_store::descriptors;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

mod support;

use support::{deliver, open};

#[tokio::test]
async fn open_mailboxes_are_closed_when_descriptors_run_out() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(80), maximum }).expect("it can be lowered");
    let root = tempfile::tempdir().expect("a directory");
    let store = open(&root);
    let text = || "Subject: x\r\n\r\nbody\r\n".to_owned();
    let open_files = || std::fs::read_dir("/proc/self/fd").expect("the system tells").count();
    let before = open_files();
    for number in 0..80 {
        deliver(&store, "first", text(), &[&format!("a{number}")]).await;
    }
    assert!((10..=20).contains(&(open_files() - before)), "a quarter of the limit is kept open, at most");

    let mut all = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }
    deliver(&store, "second", text(), &["b"]).await;
    drop(all);
    assert!(open_files() - before < 3, "the others were closed");
    let mailbox = std::fs::read_to_string(root.path().join("b/MyMailBox.txt")).expect("it is there");
    assert!(mailbox.contains("id second "));

    descriptors::raise_limit();
    assert_eq!(descriptors::limit(), maximum.unwrap_or(u64::MAX));
}
