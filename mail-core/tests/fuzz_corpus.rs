//! Runs the fuzz targets on the inputs in `fuzz/corpus` and on random inputs.

#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, reason = "a test binary has no public docs")]

mod fuzz;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[test]
fn corpus_inputs_and_their_prefixes_pass() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in fuzz::TARGETS {
        let folder = corpora.join(name);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let inputs: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
        assert!(!inputs.is_empty(), "the corpus of {name} is empty");
        for path in inputs {
            let data = fs::read(&path).expect("a readable file");
            for length in 0..=data.len() {
                target(&data[..length]);
            }
        }
    }
}

#[test]
fn every_corpus_has_a_fuzz_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    for entry in fs::read_dir(corpora.join("corpus")).expect("a readable folder") {
        let name = entry.expect("a readable folder").file_name().into_string().expect("UTF-8");
        fuzz::run(&name, b"");
        let target = corpora.join(format!("fuzz_targets/{name}.rs"));
        assert!(target.exists(), "{} is missing", target.display());
    }
}

proptest! {
    #[test]
    fn random_inputs_pass(
        target in 0..fuzz::TARGETS.len(),
        fragments in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..8),
                prop::sample::select(vec![
                    "\r\n", "\n", "\r", ".", "\0", " ", "<a@b>", "MAIL FROM:", "RCPT TO:", "DATA\r\n", "BDAT ", "LAST",
                    "250 ", "250-", "+OK ", "-ERR ", "RETR 1", "From: ", "Received: ", "=?utf-8?q?", "\"", "@", "10",
                ]).prop_map(|text| text.as_bytes().to_vec()),
            ],
            0..24,
        ),
    ) {
        let (_, run) = fuzz::TARGETS[target];
        run(&fragments.concat());
    }
}
