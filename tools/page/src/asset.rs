//! Files that `index.html` refers to.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha384};

use crate::Result;

/// Value of an `integrity` attribute (Subresource Integrity).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Digest(pub(crate) String);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(format!("sha384-{}", BASE64_STANDARD.encode(Sha384::digest(bytes))))
    }
}

/// Copies a file to the folder with a hash of its content in the name; returns the name.
pub(crate) fn copy(source: &str, folder: &Path) -> Result<(String, Digest)> {
    let bytes = fs::read(source).map_err(|error| format!("{source}: {error}"))?;
    let path = Path::new(source);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let name = format!("{stem}-{:x}.{extension}", seahash::hash(&bytes));
    fs::write(folder.join(&name), &bytes)?;
    Ok((name, Digest::of(&bytes)))
}

/// Copies a file to the folder under its own name.
pub(crate) fn copy_unchanged(source: &str, folder: &Path) -> Result {
    let name = Path::new(source).file_name().ok_or("index.html: a copied file has no name")?;
    fs::copy(source, folder.join(name)).map_err(|error| format!("{source}: {error}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_base64_of_sha_384() {
        let expected = "sha384-ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn";
        assert_eq!(Digest::of(b"abc").0, expected);
    }

    #[test]
    fn copied_file_has_its_hash_in_the_name() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let source = folder.path().join("style.css");
        fs::write(&source, "a{}").expect("written");
        let (name, _) = copy(source.to_str().expect("UTF-8"), folder.path()).expect("copied");
        assert_eq!(name, format!("style-{:x}.css", seahash::hash(b"a{}")));
        assert_eq!(fs::read_to_string(folder.path().join(name)).expect("a copy"), "a{}");
    }
}
