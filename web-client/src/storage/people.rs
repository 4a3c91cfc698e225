//! People for the completion of addresses. The key is the address in lower case.
//!
//! The value is an object: `address`, `name`, `written` (a number) and `lastUsed` (milliseconds).

use chrono::DateTime;
use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;

use super::{ObjectStore, Storage};
use crate::model::people::Person;

impl Storage {
    pub(super) async fn load_people(&self) -> Vec<Person> {
        self.entries(ObjectStore::People).await.iter().filter_map(|(_, value)| decode(value)).collect()
    }

    /// Stores people and deletes others. Without it, the completion does not know them after a reload.
    pub(crate) async fn put_people(&self, people: &[Person], dropped: &[String]) {
        let store = ObjectStore::People.name();
        let entries: Vec<_> = people.iter().map(|person| (person.key(), encode(person))).collect();
        let entries: Vec<_> =
            entries.iter().map(|(key, value)| (store, key.as_str(), value.clone())).collect();
        let _ = self.database.put(&entries).await;
        if !dropped.is_empty() {
            self.database.delete(&[store], dropped).await;
        }
    }
}

fn encode(person: &Person) -> JsValue {
    let object = Object::new();
    #[expect(clippy::cast_precision_loss, reason = "realistic dates are exact in a double")]
    let last_used = person.last_used.timestamp_millis() as f64;
    for (name, value) in [
        ("address", JsValue::from(&person.address)),
        ("name", JsValue::from(&person.name)),
        ("written", person.written.into()),
        ("lastUsed", last_used.into()),
    ] {
        // A new object accepts every property.
        let _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}

fn decode(value: &JsValue) -> Option<Person> {
    let property = |name: &str| Reflect::get(value, &name.into()).ok();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    Some(Person {
        address: property("address")?.as_string()?,
        name: property("name")?.as_string()?,
        written: property("written")?.as_f64()? as u32,
        last_used: DateTime::from_timestamp_millis(property("lastUsed")?.as_f64()? as i64)?,
    })
}
