//! The key of an account's rows.

use mail_core::users::Username;

/// The name in lower case, since names are compared without case.
pub(crate) fn key(account: &Username) -> String {
    account.as_str().to_ascii_lowercase()
}
