//! IndexedDB databases whose object stores map strings to values.
//!
//! If the browser has no IndexedDB, as in some private windows, or if another tab has deleted the database, reads find
//! nothing and writes fail.

use idb::{DatabaseEvent as _, Error, Factory, ObjectStoreParams, Query, TransactionMode};
use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    database: Option<idb::Database>,
}

impl Database {
    /// Opens the database and creates missing object stores.
    pub(crate) async fn open(name: String, version: u32, stores: &'static [&'static str]) -> Self {
        let database = match open(&name, Some(version), stores).await {
            Ok(database) => Some(database),
            // A later version of the page has been here. Its database has all stores of this one.
            Err(_) => open(&name, None, stores).await.ok(),
        };
        Self { name, database }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// # Errors
    /// The database does not answer.
    pub(crate) async fn value(&self, store: &str, key: &str) -> Result<Option<JsValue>, Error> {
        let Some(database) = &self.database else { return Ok(None) };
        let transaction = database.transaction(&[store], TransactionMode::ReadOnly)?;
        transaction.object_store(store)?.get(JsValue::from(key))?.await
    }

    /// Reads and replaces the value of a key, if there is one, in one transaction, so that no other tab changes it in between.
    /// `replace` returns the new value, or `None` to leave it as it is. Returns whether it was replaced.
    ///
    /// # Errors
    /// The database does not answer, or refuses the new value.
    pub(crate) async fn replace(
        &self,
        store: &str,
        key: &str,
        replace: impl FnOnce(Option<&JsValue>) -> Option<JsValue>,
    ) -> Result<bool, Error> {
        let Some(database) = &self.database else { return Ok(false) };
        let transaction = database.transaction(&[store], TransactionMode::ReadWrite)?;
        let store = transaction.object_store(store)?;
        let key = JsValue::from(key);
        let value = store.get(key.clone())?.await?;
        let Some(value) = replace(value.as_ref()) else { return Ok(false) };
        store.put(&value, Some(&key))?;
        transaction.commit()?.await?;
        Ok(true)
    }

    pub(crate) async fn keys(&self, store: &str) -> Vec<String> {
        self.try_keys(store).await.unwrap_or_default()
    }

    /// # Errors
    /// The database does not answer.
    async fn try_keys(&self, store: &str) -> Result<Vec<String>, Error> {
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let transaction = database.transaction(&[store], TransactionMode::ReadOnly)?;
        let keys = transaction.object_store(store)?.get_all_keys(None, None)?.await?;
        Ok(keys.iter().filter_map(JsValue::as_string).collect())
    }

    /// Copies an object store into another database, one entry at a time to bound the memory. `merge` selects the value of
    /// a key that both have, the target's first. Returns whether every entry is in the target.
    pub(crate) async fn copy_to(
        &self,
        target: &Self,
        store: &str,
        merge: impl Fn(&str, JsValue, JsValue) -> JsValue,
    ) -> bool {
        if self.database.is_none() || target.database.is_none() {
            return false;
        }
        let Ok(keys) = self.try_keys(store).await else { return false };
        for key in &keys {
            let (copied, existing) = (self.value(store, key).await, target.value(store, key).await);
            let value = match (copied, existing) {
                (Ok(Some(copied)), Ok(Some(existing))) => merge(key, existing, copied),
                (Ok(Some(copied)), Ok(None)) => copied,
                _ => return false,
            };
            if !target.put(&[(store, key, value)]).await {
                return false;
            }
        }
        true
    }

    pub(crate) async fn entries(&self, store: &str) -> Vec<(String, JsValue)> {
        let Some(database) = &self.database else { return Vec::new() };
        let entries = async || -> Result<(Vec<JsValue>, Vec<JsValue>), Error> {
            let transaction = database.transaction(&[store], TransactionMode::ReadOnly)?;
            let store = transaction.object_store(store)?;
            // Both are sorted by key, and the transaction isolates them from writes.
            let (keys, values) = (store.get_all_keys(None, None)?, store.get_all(None, None)?);
            Ok((keys.await?, values.await?))
        };
        let (keys, values) = entries().await.unwrap_or_default();
        keys.iter().filter_map(JsValue::as_string).zip(values).collect()
    }

    /// Writes entries of several stores in one transaction: `(store, key, value)`. Returns whether it was committed.
    pub(crate) async fn put(&self, entries: &[(&str, &str, JsValue)]) -> bool {
        let Some(database) = &self.database else { return false };
        let put = async || -> Result<(), Error> {
            let mut stores: Vec<_> = entries.iter().map(|(store, ..)| *store).collect();
            stores.dedup();
            let transaction = database.transaction(&stores, TransactionMode::ReadWrite)?;
            for (store, key, value) in entries {
                transaction.object_store(store)?.put(value, Some(&JsValue::from(*key)))?;
            }
            transaction.commit()?.await.map(drop)
        };
        put().await.is_ok()
    }

    /// Deletes keys from several stores in one transaction. Returns whether it was committed.
    pub(crate) async fn delete(&self, stores: &[&str], keys: &[String]) -> bool {
        let Some(database) = &self.database else { return false };
        let delete = async || -> Result<(), Error> {
            let transaction = database.transaction(stores, TransactionMode::ReadWrite)?;
            for store in stores {
                let store = transaction.object_store(store)?;
                for key in keys {
                    store.delete(Query::Key(key.as_str().into()))?;
                }
            }
            transaction.commit()?.await.map(drop)
        };
        delete().await.is_ok()
    }

    /// Deletes the whole database.
    pub(crate) async fn destroy(&self) {
        if let Some(database) = &self.database {
            database.close();
        }
        if let Ok(request) = Factory::new().and_then(|factory| factory.delete(&self.name)) {
            // If another tab has it open, the browser deletes it when that tab closes it.
            let _ = request.await;
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(database) = &self.database {
            // An open database blocks its deletion.
            database.close();
        }
    }
}

/// Names of all databases of the page's origin. `None` if the browser cannot list them.
pub(crate) async fn names() -> Option<Vec<String>> {
    async fn list() -> Result<Vec<String>, JsValue> {
        let factory = Reflect::get(&js_sys::global(), &"indexedDB".into())?;
        let databases: Function = Reflect::get(&factory, &"databases".into())?.dyn_into()?;
        let list: Promise = databases.call0(&factory)?.dyn_into()?;
        let list: Array = JsFuture::from(list).await?.dyn_into()?;
        let name = |database| Reflect::get(&database, &"name".into()).ok()?.as_string();
        Ok(list.iter().filter_map(name).collect())
    }
    list().await.ok()
}

async fn open(
    name: &str,
    version: Option<u32>,
    stores: &'static [&'static str],
) -> Result<idb::Database, Error> {
    let mut request = Factory::new()?.open(name, version)?;
    request.on_upgrade_needed(move |event| {
        let Ok(database) = event.database() else { return };
        for store in stores {
            // Fails for stores that exist already.
            let _ = database.create_object_store(store, ObjectStoreParams::new());
        }
    });
    let mut database = request.await?;
    // Do not block another tab that upgrades or deletes the database.
    database.on_version_change(|event| {
        if let Ok(database) = event.database() {
            database.close();
        }
    });
    Ok(database)
}
