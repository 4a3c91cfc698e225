// Lets Node 18 (Debian 12) run the output of wasm-bindgen-test; `cargo xtask test` preloads it.

// Property tests get random seeds from `globalThis.crypto`, which Node has since version 19.
globalThis.crypto ??= require("node:crypto").webcrypto;

// V8 crashes if an exported function is passed through a table of references. A wrapper function works.
const { Instance } = WebAssembly;
WebAssembly.Instance = class {
  constructor(...parameters) {
    const { exports } = new Instance(...parameters);
    const wrap = ([name, value]) => [name, typeof value === "function" ? (...args) => value(...args) : value];
    this.exports = Object.fromEntries(Object.entries(exports).map(wrap));
  }
};
