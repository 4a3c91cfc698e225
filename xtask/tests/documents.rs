//! What SECURITY.md names is there: a promise whose test was moved or removed is noticed here.

use std::fs;
use std::path::Path;

#[test]
fn what_the_promises_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("SECURITY.md")).expect("it is there");
    let names: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|name| name.contains('/')).collect();
    let paths: Vec<&str> = names.into_iter().filter(|name| !name.starts_with('/')).collect();
    assert!(paths.len() > 40, "{paths:?}");
    for path in paths {
        assert!(root.join(path).exists(), "SECURITY.md names {path}, which is not there");
    }
}
