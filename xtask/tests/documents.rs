//! Every path that the documents name exists, so that moved or deleted files are noticed.

use std::fs;
use std::path::Path;

/// Documents and the minimum number of paths in each.
const DOCUMENTS: [(&str, usize); 2] = [("SECURITY.md", 40), ("ARCHITECTURE.md", 60)];

/// Prefixes of files outside the repository: build output and data directories.
const OUTSIDE: [&str; 2] = ["target/", "gb/"];

#[test]
fn paths_in_documents_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (document, count_min) in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).expect("the document exists");
        let paths: Vec<String> = text.lines().flat_map(paths).collect();
        assert!(paths.len() > count_min, "{document}: {paths:?}");
        for path in paths {
            assert!(root.join(&path).exists(), "{document} names {path}, which does not exist");
        }
    }
}

/// The paths between backquotes in a line. Code contains spaces or colons.
fn paths(line: &str) -> Vec<String> {
    if line.starts_with("    ") {
        return Vec::new();
    }
    let quoted = line.split('`').skip(1).step_by(2);
    let paths =
        quoted.filter(|text| text.contains('/') && !text.starts_with('/') && !text.contains([' ', ':', '<']));
    paths.filter(|path| !OUTSIDE.iter().any(|prefix| path.starts_with(prefix))).flat_map(expand).collect()
}

/// Expands `a/{b,c}.rs` to two paths.
fn expand(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (alternatives, after) = rest.split_once('}').expect("braces are balanced");
    alternatives.split(',').flat_map(|one| expand(&format!("{before}{one}{after}"))).collect()
}
