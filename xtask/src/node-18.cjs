// Lets Debian 12's Node 18 run what wasm-bindgen-test makes; loaded before it by `cargo xtask test`.

// Property tests draw their seeds from the web's name for this, which Node has since 19.
globalThis.crypto ??= require("node:crypto").webcrypto;

// This V8 crashes when an exported function passes through a table of references. A plain function does not.
const { Instance } = WebAssembly;
WebAssembly.Instance = class {
  constructor(...given) {
    const { exports } = new Instance(...given);
    const plain = ([name, value]) => [name, typeof value === "function" ? (...args) => value(...args) : value];
    this.exports = Object.fromEntries(Object.entries(exports).map(plain));
  }
};
