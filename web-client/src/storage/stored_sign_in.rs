//! The usernames and passwords of the accounts that are signed in, so that a reload needs no password.
//!
//! They are encrypted with keys that scripts cannot read. The keys are in the IndexedDB database `pennypost-sign-in`, whose
//! object store `sign-ins` has these entries:
//!
//! | key | value |
//! |---|---|
//! | `device/<account>` | object: `key`, `octets`. The account stays signed in on this device. |
//! | a random number | object: `key`, `created`. The octets are in the `sessionStorage` of a tab, in base64. |
//!
//! A tab that is closed without signing out leaves a key behind, which decrypts nothing any more. Earlier versions had one
//! account: its entries were `device`, and `sign-in` instead of `sign-in/<account>` in `sessionStorage`. They are renamed
//! before anything else is done.
//!
//! The entry `account` of `sessionStorage` is the account that the tab shows, and empty if it shows the sign-in form. A new tab
//! shows the account in the entry `account` of `localStorage`.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::CryptoKey;

use super::octets;
use crate::model::sign_in_form::account_id;
use crate::platform::indexed_db::{self, Database};
use crate::platform::web_storage::{LOCAL, SESSION};
use crate::platform::{clock, crypto, js};

const DATABASE: &str = "pennypost-sign-in";
const VERSION: u32 = 1;
const STORE: &str = "sign-ins";
/// Before the account.
const DEVICE: &str = "device/";
const EARLIER_DEVICE: &str = "device";
/// Before the account, in `sessionStorage`; the value is the random number and the octets.
const TAB: &str = "sign-in/";
const EARLIER_TAB: &str = "sign-in";
/// Key in `sessionStorage` and in `localStorage`.
const ACCOUNT: &str = "account";
/// Keys of tabs are deleted after this time. A tab that was open for longer asks for the password at a reload.
const KEY_AGE_MS_MAX: f64 = 30.0 * 24.0 * 60.0 * 60.0 * 1_000.0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignIn {
    /// Selects the bridge's targets. Empty for `smtp` and `pop3`.
    pub(crate) server: String,
    /// As it was typed.
    pub(crate) username: String,
    pub(crate) password: String,
}

impl SignIn {
    /// Identifies the account in this browser.
    pub(crate) fn account(&self) -> String {
        account_id(&self.server, &self.username)
    }
}

/// Whether the browser can store a sign-in on this page.
pub(crate) fn is_available() -> bool {
    crypto::is_available()
}

/// The sign-in of the account that this tab shows.
pub(crate) async fn load() -> Option<SignIn> {
    let selected = SESSION.value(ACCOUNT);
    if selected.as_deref() == Some("") {
        return None;
    }
    let all = load_all().await;
    let of = |account: &String| all.iter().position(|sign_in| sign_in.account() == *account);
    let at = match &selected {
        Some(account) => of(account)?,
        None => LOCAL.value(ACCOUNT).as_ref().and_then(of).unwrap_or_default(),
    };
    let sign_in = all.into_iter().nth(at)?;
    // Another tab may select another account for new tabs.
    SESSION.set(ACCOUNT, &sign_in.account());
    Some(sign_in)
}

/// The accounts that are signed in, each once: those of this tab, then those of the device.
pub(crate) async fn load_all() -> Vec<SignIn> {
    if !may_exist().await {
        tab_keys().iter().for_each(|key| SESSION.remove(key));
        return Vec::new();
    }
    let database = open_current().await;
    let mut found: Vec<SignIn> = Vec::new();
    for key in tab_keys() {
        if let Some((id, octets)) = tab(&key)
            && let Some(entry) = value(&database, &id).await
            && let Some(sign_in) = decrypt(&entry, &octets, server_of(&key)).await
        {
            found.push(sign_in);
        }
    }
    for (key, entry) in database.entries(STORE).await.into_iter().filter(|(key, _)| key.starts_with(DEVICE)) {
        if let Some(encrypted) = js::property(&entry, "octets")
            && let Some(sign_in) = decrypt(&entry, &octets(&encrypted), server_of(&key)).await
            && found.iter().all(|other| other.account() != sign_in.account())
        {
            found.push(sign_in);
        }
    }
    found
}

/// Shows an account in this tab after the next reload; `None` for the sign-in form.
pub(crate) fn select(account: Option<&str>) {
    SESSION.set(ACCOUNT, account.unwrap_or_default());
    if let Some(account) = account {
        LOCAL.set(ACCOUNT, account);
    }
}

/// Stores the sign-in for this tab, or for the device, and selects it. If the browser refuses, the next reload asks for the
/// password.
pub(crate) async fn store(sign_in: &SignIn, on_device: bool) {
    let Some(key) = crypto::generate_key().await else { return };
    let plain = format!("{}\n{}", sign_in.username, sign_in.password);
    let Some(octets) = crypto::encrypt(&key, plain.as_bytes()).await else { return };
    let database = open_current().await;
    delete_old_keys(&database).await;
    let account = sign_in.account();
    SESSION.set(ACCOUNT, &account);
    // Its password may be outdated.
    let tab_key = format!("{TAB}{account}");
    let earlier = tab(&tab_key);
    SESSION.remove(&tab_key);
    if on_device {
        let octets = Uint8Array::from(octets.as_slice());
        let entry = js::object([("key", key.into()), ("octets", octets.into())]).into();
        if database.put(&[(STORE, &format!("{DEVICE}{account}"), entry)]).await {
            LOCAL.set(ACCOUNT, &account);
        }
    } else {
        let id = format!("{:032x}", clock::random());
        let entry = js::object([("key", key.into()), ("created", now().into())]).into();
        if database.put(&[(STORE, &id, entry)]).await {
            SESSION.set(&tab_key, &format!("{id} {}", BASE64_STANDARD.encode(octets)));
        }
    }
    if let Some((id, _)) = earlier {
        database.delete(&[STORE], &[id]).await;
    }
}

/// Replaces the sign-ins of this tab and of the device, if there are any.
pub(crate) async fn replace(sign_in: &SignIn) {
    if !may_exist().await {
        return;
    }
    let account = sign_in.account();
    let database = open_current().await;
    let is_in_tab = tab(&format!("{TAB}{account}")).is_some();
    if value(&database, &format!("{DEVICE}{account}")).await.is_some() {
        store(sign_in, true).await;
    }
    if is_in_tab {
        store(sign_in, false).await;
    }
}

/// Deletes the sign-in of an account in this tab and on the device.
pub(crate) async fn forget(account: &str) {
    let database = if may_exist().await { Some(open_current().await) } else { None };
    let key = format!("{TAB}{account}");
    let mut ids = vec![format!("{DEVICE}{account}")];
    ids.extend(tab(&key).map(|(id, _)| id));
    SESSION.remove(&key);
    for storage in [&SESSION, &LOCAL] {
        if storage.value(ACCOUNT).as_deref() == Some(account) {
            storage.remove(ACCOUNT);
        }
    }
    let Some(database) = database else { return };
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

/// Opens the database, and renames the entries of an earlier version.
async fn open_current() -> Database {
    let database = open().await;
    rename_device_entry(&database).await;
    rename_tab_entry(&database).await;
    database
}

async fn rename_device_entry(database: &Database) {
    let Some(entry) = value(database, EARLIER_DEVICE).await else { return };
    let Some(encrypted) = js::property(&entry, "octets") else { return };
    let Some(sign_in) = decrypt(&entry, &octets(&encrypted), "").await else { return };
    let key = format!("{DEVICE}{}", sign_in.account());
    // A later sign-in has replaced it.
    let is_replaced = value(database, &key).await.is_some();
    if is_replaced || database.put(&[(STORE, &key, entry)]).await {
        database.delete(&[STORE], &[EARLIER_DEVICE.to_owned()]).await;
    }
}

async fn rename_tab_entry(database: &Database) {
    let (Some(stored), Some((id, octets))) = (SESSION.value(EARLIER_TAB), tab(EARLIER_TAB)) else { return };
    let Some(entry) = value(database, &id).await else { return };
    let Some(sign_in) = decrypt(&entry, &octets, "").await else { return };
    let key = format!("{TAB}{}", sign_in.account());
    if tab(&key).is_none() {
        SESSION.set(&key, &stored);
    }
    SESSION.remove(EARLIER_TAB);
}

/// The keys of this tab's sign-ins in `sessionStorage`.
fn tab_keys() -> Vec<String> {
    SESSION.keys().into_iter().filter(|key| key.starts_with(TAB)).collect()
}

/// The server of an account in a key: `device/<server>/<name>`.
fn server_of(key: &str) -> &str {
    key.split_once('/').and_then(|(_, account)| account.split_once('/')).map_or("", |(server, _)| server)
}

/// The id of the key and the octets.
fn tab(key: &str) -> Option<(String, Vec<u8>)> {
    let value = SESSION.value(key)?;
    let (id, octets) = value.split_once(' ')?;
    Some((id.to_owned(), BASE64_STANDARD.decode(octets).ok()?))
}

async fn value(database: &Database, id: &str) -> Option<JsValue> {
    database.value(STORE, id).await.ok()?
}

async fn decrypt(entry: &JsValue, octets: &[u8], server: &str) -> Option<SignIn> {
    let key: CryptoKey = js::property(entry, "key")?.dyn_into().ok()?;
    let plain = String::from_utf8(crypto::decrypt(&key, octets).await?).ok()?;
    // A username contains no line end; a password may.
    let (username, password) = plain.split_once('\n')?;
    let [server, username, password] = [server, username, password].map(str::to_owned);
    Some(SignIn { server, username, password })
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

    fn sign_in(server: &str, name: &str) -> SignIn {
        SignIn { server: server.to_owned(), username: name.to_owned(), password: "a\nb ü".to_owned() }
    }

    async fn accounts() -> Vec<String> {
        load_all().await.iter().map(SignIn::account).collect()
    }

    /// One test, because all tests share the database and the tab.
    #[test]
    async fn sign_ins_are_stored_encrypted_until_they_are_forgotten() {
        forget("gb").await;
        assert_eq!(load().await, None);
        assert!(!may_exist().await, "looking creates the database");

        store(&sign_in("", "GB@iit.edu"), false).await;
        assert_eq!(load().await, Some(sign_in("", "GB@iit.edu")));
        let (id, octets) = tab("sign-in/gb").unwrap();
        assert!(!octets.windows(2).any(|window| window == b"GB"));

        // Another tab has its own sign-ins; a key without octets is useless.
        SESSION.remove("sign-in/gb");
        SESSION.remove(ACCOUNT);
        assert_eq!(load().await, None);
        store(&sign_in("", "ag"), true).await;
        store(&sign_in("work", "ag"), true).await;
        assert_eq!(load().await, Some(sign_in("work", "ag")));
        assert_eq!(accounts().await, ["ag", "work/ag"]);
        SESSION.set("sign-in/gb", &format!("{id} {}", BASE64_STANDARD.encode(&octets)));
        assert_eq!(accounts().await, ["gb", "ag", "work/ag"]);
        select(Some("gb"));
        assert_eq!(load().await, Some(sign_in("", "GB@iit.edu")));
        select(None);
        assert_eq!(load().await, None);
        // A new tab shows the last account, even if it is not signed in any more.
        SESSION.remove("sign-in/gb");
        SESSION.remove(ACCOUNT);
        assert_eq!(load().await, Some(sign_in("", "ag")));

        forget("ag").await;
        assert_eq!(accounts().await, ["work/ag"]);
        forget("work/ag").await;
        forget("gb").await;
        assert_eq!(load().await, None);
        // The key of the tab that was closed remains.
        open().await.destroy().await;
        assert_eq!((LOCAL.value(ACCOUNT), SESSION.value(ACCOUNT)), (None, None));

        // Older browsers cannot list their databases.
        store(&sign_in("", "ag"), true).await;
        let factory = Reflect::get(&js_sys::global(), &"indexedDB".into()).unwrap();
        Reflect::set(&factory, &"databases".into(), &JsValue::UNDEFINED).unwrap();
        let loaded = load().await;
        forget("ag").await;
        Reflect::delete_property::<js_sys::Object>(factory.unchecked_ref(), &"databases".into()).unwrap();
        assert_eq!(loaded, Some(sign_in("", "ag")));
        assert_eq!(load().await, None);

        entries_of_an_earlier_version_belong_to_their_account().await;
    }

    /// Stores a sign-in as an earlier version did.
    async fn store_as_earlier(name: &str, on_device: bool) {
        store(&sign_in("", name), on_device).await;
        let database = open().await;
        if on_device {
            let key = format!("device/{name}");
            let entry = value(&database, &key).await.unwrap();
            database.put(&[(STORE, EARLIER_DEVICE, entry)]).await;
            database.delete(&[STORE], &[key]).await;
        } else {
            SESSION.set(EARLIER_TAB, &SESSION.value(&format!("sign-in/{name}")).unwrap());
            SESSION.remove(&format!("sign-in/{name}"));
        }
        SESSION.remove(ACCOUNT);
        LOCAL.remove(ACCOUNT);
    }

    async fn entries_of_an_earlier_version_belong_to_their_account() {
        for on_device in [true, false] {
            store_as_earlier("ag", on_device).await;
            assert_eq!(load().await, Some(sign_in("", "ag")));

            // Another account signs out.
            store_as_earlier("ag", on_device).await;
            forget("gb").await;
            assert_eq!(accounts().await, ["ag"], "{on_device}");

            // The password is changed before the entry is read.
            store_as_earlier("ag", on_device).await;
            let changed = SignIn { password: "new".to_owned(), ..sign_in("", "ag") };
            replace(&changed).await;
            assert_eq!(load_all().await, [changed], "{on_device}");

            store_as_earlier("ag", on_device).await;
            forget("ag").await;
            assert!(!may_exist().await, "{on_device}");
        }
    }
}
