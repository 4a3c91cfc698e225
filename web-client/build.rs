//! Keeps the list of WebAssembly features that wasm-bindgen reads. The release profile would strip it with the names.

#[allow(clippy::print_stdout, reason = "build scripts send instructions to Cargo on stdout")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("wasm32") {
        println!("cargo::rustc-link-arg-bins=--keep-section=target_features");
    }
}
