//! Unique-ids (RFC 1939 section 7) for records without a usable id of their own.

use sha2::{Digest, Sha256};

/// The unique-id of a handwritten record, or of one with a duplicate id: the SHA-256 hash of the record.
#[derive(Debug, Clone, Default)]
pub struct HashedId(Sha256);

impl HashedId {
    /// Adds the next bytes of the record.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
}
