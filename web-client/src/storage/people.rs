//! People for the completion of addresses. The key is the address in lower case.
//!
//! The value is an object: `address`, `name`, `written` (the number of messages sent) and `lastUsed` (milliseconds).

use chrono::DateTime;
use wasm_bindgen::JsValue;

use super::{ObjectStore, Storage};
use crate::model::people::Person;
use crate::platform::js;

impl Storage {
    pub(crate) async fn load_people(&self) -> Vec<Person> {
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
    #[expect(clippy::cast_precision_loss, reason = "realistic dates are exact in a double")]
    let last_used = person.last_used.timestamp_millis() as f64;
    js::object([
        ("address", JsValue::from(&person.address)),
        ("name", JsValue::from(&person.name)),
        ("written", person.sent_count.into()),
        ("lastUsed", last_used.into()),
    ])
    .into()
}

fn decode(value: &JsValue) -> Option<Person> {
    let property = |name: &str| js::property(value, name);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    Some(Person {
        address: property("address")?.as_string()?,
        name: property("name")?.as_string()?,
        sent_count: property("written")?.as_f64()? as u32,
        last_used: DateTime::from_timestamp_millis(property("lastUsed")?.as_f64()? as i64)?,
    })
}
