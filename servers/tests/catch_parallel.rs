//! Tests that share one catcher, as the workers of a test runner do: each sees its own mail.

mod support;

use std::thread;

use serde_json::json;
use support::catch::{Catcher, HttpResponse, MESSAGE};

const WORKERS: usize = 8;

/// One test of an application: a code is sent and read, then a second one, and both mails are deleted.
fn run_test(catcher: &Catcher, worker: usize, number: usize) {
    let to = format!("w{worker}-t{number}@test.example");
    let code = |round: usize| format!("{}", 100_000 + round * 10_000 + worker * 1_000 + number);
    let deliver = |round: usize| {
        let message = MESSAGE.replace("482913", &code(round));
        assert!(catcher.deliver("app@a.example", &[&to], &message).starts_with("250"), "{to}");
    };
    // A wait that begins before the message is sent, and one that begins afterwards.
    let mut waiting = catcher.begin("GET", &format!("/api/v1/wait?to={to}&timeout=60s"), &[], "");
    deliver(0);
    let first = HttpResponse::read(&mut waiting).json();
    assert_eq!((&first["envelope"]["to"], &first["codes"][0]), (&json!([to]), &json!(code(0))));
    deliver(1);
    let id = first["id"].as_str().expect("an id");
    let second = catcher.json("GET", &format!("/api/v1/wait?to={to}&after={id}&timeout=60s"));
    assert_eq!((&second["envelope"]["to"], &second["codes"][0]), (&json!([to]), &json!(code(1))));
    let deleted = catcher.json("DELETE", &format!("/api/v1/mail?to={to}"));
    assert_eq!((&deleted["count"], &deleted["messages"][1]["id"]), (&json!(2), &json!(id)));
}

/// Ten runs of 100 tests in each worker with PENNYPOST_LONG=1.
#[test]
fn parallel_tests_do_not_disturb_each_other() {
    let is_long = std::env::var_os("PENNYPOST_LONG").is_some();
    let (runs, tests) = if is_long { (10, 100) } else { (1, 20) };
    for _ in 0..runs {
        let catcher = Catcher::start(&[]);
        thread::scope(|scope| {
            for worker in 0..WORKERS {
                let catcher = &catcher;
                scope.spawn(move || (0..tests).for_each(|number| run_test(catcher, worker, number)));
            }
        });
        let info = catcher.json("GET", "/api/v1/info");
        let expected = json!(2 * WORKERS * tests);
        assert_eq!((&info["Messages"], &info["RuntimeStats"]["SMTPAccepted"]), (&json!(0), &expected));
    }
}
