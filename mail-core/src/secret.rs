//! A wrapper that keeps passwords out of logs, panics and debug output.

use std::fmt;

/// A value whose `Debug` output is `****`. Its equality is not constant-time.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn debug_output_hides_the_value() {
        let shown = format!("{:?} {:#?}", Secret::new("hunter2"), Secret::new(vec![7]));
        assert_eq!(shown, "**** ****");
    }
}
