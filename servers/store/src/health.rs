//! The check behind `/readyz`.

use crate::StoreError;

/// A store that can tell whether it works.
pub trait StoreHealth: Send + Sync {
    /// Checks that the store accepts changes. Lack of space is no error: messages can still be read and removed, and a delivery
    /// is refused with 452.
    ///
    /// # Errors
    /// Neither deliveries nor logins can succeed now.
    fn check_writable(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}
