//! The cases of `../shared/cases`. Natively and on WebAssembly.

#[path = "cases/mod.rs"]
mod cases;
#[path = "platform/mod.rs"]
mod platform;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn cases_give_the_expected_results() {
    let count = cases::check(platform::PLATFORM, false);
    // Without the folder, only the built-in mails of `mime.rs` are tested.
    assert!(count == 0 || count > 100, "{count} cases");
}
