//! Runs the cases of `../shared/cases`, or of the folder `PENNYPOST_CASES`: mails with the expected results.

use std::path::{Path, PathBuf};

use mail_core::message::parsed::ParsedMessage;
use mail_core::message::platform::Platform;
use serde_json::Value;

/// Expectations that do not hold, with the reasons.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "20-winmail-dat",
    "names",
    "TNEF stays an attachment: the only library for it has had no release for years",
)];

/// Checks all cases; returns their number, which is 0 if the folder is missing. `renders_html` means that the platform
/// converts HTML to text.
pub(crate) fn check(platform: Platform, renders_html: bool) -> usize {
    let folder = folder();
    let Some(expected) = files::read(&folder.join("expected.json")) else { return 0 };
    let expected: Value = serde_json::from_slice(&expected).expect("expected.json is valid JSON");
    let cases = expected.as_object().expect("expected.json is an object");
    let mut failures = Vec::new();
    for (name, expected) in cases {
        let mail = files::read(&folder.join(format!("{name}.eml"))).expect("every case has a mail");
        let case = Case { parsed: ParsedMessage::parse_with(&mail, platform), renders_html };
        for (property, value) in expected.as_object().expect("a case is an object") {
            let is_exception = EXCEPTIONS.iter().any(|(case, own, _)| case == name && own == property);
            if case.holds(property, value) == is_exception {
                failures.push(format!("{name}: {property} is not {value}\n{:#?}", case.parsed));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    cases.len()
}

fn folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    option_env!("PENNYPOST_CASES").map_or_else(beside, PathBuf::from)
}

struct Case {
    parsed: ParsedMessage,
    renders_html: bool,
}

impl Case {
    fn holds(&self, property: &str, value: &Value) -> bool {
        let parsed = &self.parsed;
        let text = parsed.plain_text().replace("\r\n", "\n");
        let html = parsed.html.as_deref().unwrap_or_default();
        let from = parsed.from.first();
        let name = from.and_then(|from| from.name.as_deref()).unwrap_or_default();
        let address = from.map_or("", |from| from.address.as_str());
        let names: Vec<_> = parsed.attachments.iter().map(|file| file.name.as_str()).collect();
        let shows_source = parsed.text.is_none() && !self.renders_html;
        let octets = |fits: fn(u64, u64) -> bool| {
            value.as_object().expect("names with numbers").iter().all(|(name, octets)| {
                let file = parsed.attachments.iter().find(|file| file.name == *name);
                file.is_some_and(|file| fits(file.bytes.len() as u64, octets.as_u64().expect("a number")))
            })
        };
        match property {
            "subject" => parsed.subject == *value,
            "subject_nfc" => composed(&parsed.subject) == *value,
            "from_name" => name == value,
            "from_addr" => address == value,
            "from_any" => strings(value).iter().all(|part| format!("{name} {address}").contains(part)),
            "to" => parsed.to.iter().map(|to| to.address.as_str()).eq(strings(value)),
            "to_count" => parsed.to.len() as u64 == *value,
            "date" => {
                let date = parsed.date.map(|date| date.to_rfc3339()).unwrap_or_default();
                strings(value).iter().all(|start| date.starts_with(start))
            }
            "text" => strings(value).iter().all(|part| text.contains(part)),
            "text_any" => strings(value).iter().any(|part| text.contains(part)),
            "not_text" => shows_source || !strings(value).iter().any(|part| text.contains(part)),
            "text_lines" => {
                shows_source || strings(value).iter().all(|line| text.lines().any(|own| own.trim() == *line))
            }
            "html" => strings(value).iter().all(|part| html.contains(part)),
            "names" => strings(value).iter().all(|name| names.contains(name)),
            "names_end" => strings(value).iter().all(|end| names.iter().any(|name| name.ends_with(end))),
            "no_rlo" => !names.iter().any(|name| name.contains('\u{202e}')),
            "count" => names.len() as u64 == *value,
            "octets" => octets(|own, expected| own == expected),
            "octets_max" => octets(|own, expected| own <= expected),
            "reach" => strings(value).iter().all(|part| {
                let has = |bytes: &[u8]| bytes.windows(part.len()).any(|window| window == part.as_bytes());
                text.contains(part)
                    || html.contains(part)
                    || parsed.attachments.iter().any(|file| has(&file.bytes))
            }),
            // Properties of the page, which this test does not draw.
            "page_files" | "page_pic" | "note" => true,
            _ => panic!("unknown property {property}"),
        }
    }
}

/// A string, or the strings of a list.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// Normalisation form C of the Vietnamese letters that occur.
fn composed(text: &str) -> String {
    text.replace("ê\u{300}", "ề").replace("ê\u{323}", "ệ")
}

mod files {
    use std::path::Path;

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
        std::fs::read(path).ok()
    }

    #[cfg(target_arch = "wasm32")]
    pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
        use wasm_bindgen::prelude::*;

        #[wasm_bindgen(module = "fs")]
        extern "C" {
            #[wasm_bindgen(js_name = readFileSync, catch)]
            fn read_file(path: &str) -> Result<js_sys::Uint8Array, JsValue>;
        }
        read_file(path.to_str()?).ok().map(|bytes| bytes.to_vec())
    }
}
