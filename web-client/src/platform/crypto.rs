//! AES-GCM with keys that scripts cannot read.
//!
//! `SubtleCrypto` exists in secure contexts only: on pages with TLS, and on localhost.

use js_sys::{Array, Object, Uint8Array};
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Crypto, CryptoKey, SubtleCrypto};

use super::js;

const ALGORITHM: &str = "AES-GCM";
const KEY_BITS: u32 = 256;
/// Octets of the initialization vector (NIST SP 800-38D section 8.2).
const IV_OCTETS: usize = 12;

/// Whether the browser can encrypt on this page.
pub(crate) fn is_available() -> bool {
    subtle().is_some()
}

/// A new key. IndexedDB can store it, and no script can export it.
pub(crate) async fn generate_key() -> Option<CryptoKey> {
    let algorithm = js::object([("name", ALGORITHM.into()), ("length", KEY_BITS.into())]);
    let usages = Array::of2(&"encrypt".into(), &"decrypt".into());
    let key = subtle()?.generate_key_with_object(&algorithm, false, &usages).ok()?;
    JsFuture::from(key).await.ok()?.dyn_into().ok()
}

/// Returns the initialization vector, which is random, followed by the ciphertext.
pub(crate) async fn encrypt(key: &CryptoKey, plain: &[u8]) -> Option<Vec<u8>> {
    let mut iv = [0; IV_OCTETS];
    crypto()?.get_random_values_with_u8_array(&mut iv).ok()?;
    let encrypted = subtle()?.encrypt_with_object_and_u8_array(&with_iv(&iv), key, plain).ok()?;
    let encrypted = JsFuture::from(encrypted).await.ok()?;
    Some([&iv[..], &Uint8Array::new(&encrypted).to_vec()].concat())
}

/// `None` if the key is another one or the octets were changed.
pub(crate) async fn decrypt(key: &CryptoKey, octets: &[u8]) -> Option<Vec<u8>> {
    let (iv, encrypted) = octets.split_at_checked(IV_OCTETS)?;
    let plain = subtle()?.decrypt_with_object_and_u8_array(&with_iv(iv), key, encrypted).ok()?;
    Some(Uint8Array::new(&JsFuture::from(plain).await.ok()?).to_vec())
}

fn with_iv(iv: &[u8]) -> Object {
    js::object([("name", ALGORITHM.into()), ("iv", Uint8Array::from(iv).into())])
}

fn crypto() -> Option<Crypto> {
    web_sys::window()?.crypto().ok()
}

fn subtle() -> Option<SubtleCrypto> {
    // Undefined on insecure pages, contrary to the declared type.
    let crypto = crypto()?;
    js::property(&crypto, "subtle")?.dyn_into().ok()
}

/// SubtleCrypto exists on WebAssembly only.
#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    async fn key_decrypts_only_its_own_unchanged_octets_and_cannot_be_exported() {
        let (key, other) = (generate_key().await.unwrap(), generate_key().await.unwrap());
        let secret = "gb\npass wörd".as_bytes();
        let mut octets = encrypt(&key, secret).await.unwrap();
        assert!(!octets.windows(4).any(|window| window == b"pass"));
        assert_ne!(octets, encrypt(&key, secret).await.unwrap(), "the initialization vector repeats");
        assert_eq!(decrypt(&key, &octets).await.as_deref(), Some(secret));
        assert_eq!(decrypt(&other, &octets).await, None);
        *octets.last_mut().unwrap() ^= 1;
        assert_eq!(decrypt(&key, &octets).await, None);
        assert_eq!(decrypt(&key, b"short").await, None);
        assert!(!key.extractable());
        let export = subtle().unwrap().export_key("raw", &key).unwrap();
        assert!(JsFuture::from(export).await.is_err());
    }
}
