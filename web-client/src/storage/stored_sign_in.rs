//! The username and password of the signed-in user, so that a reload needs no password.
//!
//! They are encrypted with a key that scripts cannot read. It is in the IndexedDB database `pennypost-sign-in`, whose
//! object store `sign-ins` has these entries:
//!
//! | key | value |
//! |---|---|
//! | `device` | object: `key`, `octets`. The user stays signed in on this device. |
//! | a random number | object: `key`, `created`. The octets are in the `sessionStorage` of a tab, in base64. |
//!
//! A tab that is closed without signing out leaves a key behind, which decrypts nothing any more.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::CryptoKey;

use super::octets;
use crate::platform::indexed_db::{self, Database};
use crate::platform::web_storage::SESSION;
use crate::platform::{clock, crypto, js};

const DATABASE: &str = "pennypost-sign-in";
const VERSION: u32 = 1;
const STORE: &str = "sign-ins";
const DEVICE: &str = "device";
/// Key in `sessionStorage`; the value is the random number and the octets.
const TAB: &str = "sign-in";
/// Keys of tabs are deleted after this time. A tab that was open for longer asks for the password at a reload.
const KEY_AGE_MS_MAX: f64 = 30.0 * 24.0 * 60.0 * 60.0 * 1_000.0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignIn {
    /// As it was typed.
    pub(crate) username: String,
    pub(crate) password: String,
}

/// Whether the browser can store a sign-in on this page.
pub(crate) fn is_available() -> bool {
    crypto::is_available()
}

/// The sign-in of this tab, or of the device.
pub(crate) async fn load() -> Option<SignIn> {
    if !may_exist().await {
        SESSION.remove(TAB);
        return None;
    }
    let database = open().await;
    if let Some((id, octets)) = tab()
        && let Some(entry) = value(&database, &id).await
        && let Some(sign_in) = decrypt(&entry, &octets).await
    {
        return Some(sign_in);
    }
    let entry = value(&database, DEVICE).await?;
    let encrypted = octets(&js::property(&entry, "octets")?);
    decrypt(&entry, &encrypted).await
}

/// Stores the sign-in for this tab, or for the device. If the browser refuses, the next reload asks for the password.
pub(crate) async fn store(sign_in: &SignIn, on_device: bool) {
    let Some(key) = crypto::generate_key().await else { return };
    let plain = format!("{}\n{}", sign_in.username, sign_in.password);
    let Some(octets) = crypto::encrypt(&key, plain.as_bytes()).await else { return };
    let database = open().await;
    delete_old_keys(&database).await;
    if on_device {
        let octets = Uint8Array::from(octets.as_slice());
        let entry = js::object([("key", key.into()), ("octets", octets.into())]).into();
        database.put(&[(STORE, DEVICE, entry)]).await;
    } else {
        let id = format!("{:032x}", clock::random());
        let entry = js::object([("key", key.into()), ("created", now().into())]).into();
        if database.put(&[(STORE, &id, entry)]).await {
            SESSION.set(TAB, &format!("{id} {}", BASE64_STANDARD.encode(octets)));
        }
    }
}

/// Replaces the sign-in of this tab or of the device, if there is one.
pub(crate) async fn replace(sign_in: &SignIn) {
    if !may_exist().await {
        return;
    }
    if tab().is_some() {
        store(sign_in, false).await;
    } else if value(&open().await, DEVICE).await.is_some() {
        store(sign_in, true).await;
    }
}

/// Deletes the sign-in of this tab and of the device.
pub(crate) async fn forget() {
    let tab = tab();
    SESSION.remove(TAB);
    if !may_exist().await {
        return;
    }
    let database = open().await;
    let ids: Vec<_> = tab.into_iter().map(|(id, _)| id).chain([DEVICE.to_owned()]).collect();
    database.delete(&[STORE], &ids).await;
    if database.keys(STORE).await.is_empty() {
        database.destroy().await;
    }
}

/// Whether the database may exist. Opening it would create it. A browser that cannot list its databases has to open it.
async fn may_exist() -> bool {
    indexed_db::names().await.is_none_or(|names| names.iter().any(|name| name == DATABASE))
}

async fn open() -> Database {
    Database::open(DATABASE.to_owned(), VERSION, &[STORE]).await
}

/// The id of the key and the octets.
fn tab() -> Option<(String, Vec<u8>)> {
    let value = SESSION.value(TAB)?;
    let (id, octets) = value.split_once(' ')?;
    Some((id.to_owned(), BASE64_STANDARD.decode(octets).ok()?))
}

async fn value(database: &Database, id: &str) -> Option<JsValue> {
    database.value(STORE, id).await.ok()?
}

async fn decrypt(entry: &JsValue, octets: &[u8]) -> Option<SignIn> {
    let key: CryptoKey = js::property(entry, "key")?.dyn_into().ok()?;
    let plain = String::from_utf8(crypto::decrypt(&key, octets).await?).ok()?;
    // A username contains no line end; a password may.
    let (username, password) = plain.split_once('\n')?;
    Some(SignIn { username: username.to_owned(), password: password.to_owned() })
}

async fn delete_old_keys(database: &Database) {
    let oldest = now() - KEY_AGE_MS_MAX;
    let is_old = |entry: &JsValue| {
        js::property(entry, "created").and_then(|created| created.as_f64()).is_some_and(|at| at < oldest)
    };
    let entries = database.entries(STORE).await.into_iter();
    let old: Vec<_> = entries.filter(|(_, entry)| is_old(entry)).map(|(id, _)| id).collect();
    if !old.is_empty() {
        database.delete(&[STORE], &old).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "realistic dates are exact in a double")]
fn now() -> f64 {
    clock::now().timestamp_millis() as f64
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser {
    use js_sys::Reflect;
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// One test, because all tests share the database and the tab.
    #[test]
    async fn sign_in_is_stored_encrypted_until_it_is_forgotten() {
        let sign_in = |name: &str| SignIn { username: name.to_owned(), password: "a\nb ü".to_owned() };
        forget().await;
        assert_eq!(load().await, None);
        assert!(!may_exist().await, "looking creates the database");

        store(&sign_in("gb"), false).await;
        assert_eq!(load().await, Some(sign_in("gb")));
        let (id, octets) = tab().unwrap();
        assert!(!octets.windows(2).any(|window| window == b"gb"));
        // Another tab has its own sign-in; a key without octets is useless.
        SESSION.remove(TAB);
        assert_eq!(load().await, None);

        store(&sign_in("ag"), true).await;
        assert_eq!(load().await, Some(sign_in("ag")));
        SESSION.set(TAB, &format!("{id} {}", BASE64_STANDARD.encode(&octets)));
        assert_eq!(load().await, Some(sign_in("gb")), "the tab comes before the device");

        forget().await;
        assert_eq!(load().await, None);
        assert!(!may_exist().await);

        // Older browsers cannot list their databases.
        store(&sign_in("ag"), true).await;
        let factory = Reflect::get(&js_sys::global(), &"indexedDB".into()).unwrap();
        Reflect::set(&factory, &"databases".into(), &JsValue::UNDEFINED).unwrap();
        let loaded = load().await;
        forget().await;
        Reflect::delete_property::<js_sys::Object>(factory.unchecked_ref(), &"databases".into()).unwrap();
        assert_eq!(loaded, Some(sign_in("ag")));
        assert_eq!(load().await, None);
    }
}
