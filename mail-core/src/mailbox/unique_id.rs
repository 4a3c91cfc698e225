//! Unique-ids (RFC 1939 section 7) for records without a usable id of their own.

use memchr::memchr;
use sha2::{Digest, Sha256};

/// The unique-id of a handwritten record, or of one with a duplicate id: the SHA-256 hash of the record with LF line ends,
/// so that an editor may convert them.
#[derive(Debug, Clone, Default)]
pub struct HashedId {
    hash: Sha256,
    after_cr: bool,
}

impl HashedId {
    /// Adds the next bytes of the record.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if self.after_cr && bytes.first().is_some_and(|byte| *byte != b'\n') {
            self.hash.update(b"\r");
        }
        self.after_cr &= bytes.is_empty();
        while let Some(at) = memchr(b'\r', bytes) {
            self.hash.update(&bytes[..at]);
            match bytes.get(at + 1) {
                Some(b'\n') => {}
                Some(_) => self.hash.update(b"\r"),
                None => self.after_cr = true,
            }
            bytes = &bytes[at + 1..];
        }
        self.hash.update(bytes);
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.after_cr {
            self.hash.update(b"\r");
        }
        self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn hashed_id_is_the_sha_256_of_the_record() {
        let mut id = HashedId::default();
        id.update(b"a");
        id.update(b"bc");
        assert_eq!(id.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn hashed_id_ignores_the_kind_of_line_end() {
        let of = |text: &str, step: usize| {
            let mut id = HashedId::default();
            text.as_bytes().chunks(step).for_each(|chunk| id.update(chunk));
            id.finish()
        };
        for step in 1..6 {
            assert_eq!(of("a\r\nb\r\n\r\nc", step), of("a\nb\n\nc", 9));
            // A CR that is not part of a line end counts.
            let others = ["a\rb\n", "a\r\r\nb", "a\r", "\r", "a", "\n", ""];
            for (index, text) in others.iter().enumerate() {
                assert_eq!(of(text, step), of(text, 9));
                assert!(others[..index].iter().all(|other| of(other, 9) != of(text, step)), "{text:?}");
            }
        }
    }
}
