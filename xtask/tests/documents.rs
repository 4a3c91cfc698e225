//! What the documents name is there: a rule or a test that was moved or removed is noticed here.

use std::fs;
use std::path::Path;

/// Files that are not in the repository: those of a data directory, and what is built.
const ELSEWHERE: [&str; 2] = ["target/", "gb/"];

#[test]
fn what_the_documents_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (document, count) in [("SECURITY.md", 40), ("ARCHITECTURE.md", 60)] {
        let text = fs::read_to_string(root.join(document)).expect("it is there");
        let paths: Vec<String> = text.lines().flat_map(named).collect();
        assert!(paths.len() > count, "{document}: {paths:?}");
        for path in paths {
            assert!(root.join(&path).exists(), "{document} names {path}, which is not there");
        }
    }
}

/// The paths between the backquotes of a line; code has spaces or colons.
fn named(line: &str) -> Vec<String> {
    if line.starts_with("    ") {
        return Vec::new();
    }
    let names = line.split('`').skip(1).step_by(2);
    let paths =
        names.filter(|name| name.contains('/') && !name.starts_with('/') && !name.contains([' ', ':', '<']));
    paths.filter(|name| !ELSEWHERE.iter().any(|place| name.starts_with(place))).flat_map(expanded).collect()
}

/// `a/{b,c}.rs` are two.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (names, after) = rest.split_once('}').expect("a brace that opens closes");
    names.split(',').flat_map(|name| expanded(&format!("{before}{name}{after}"))).collect()
}
