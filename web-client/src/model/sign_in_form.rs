//! Validation of the sign-in form before anything is sent.

use crate::strings;
use mail_core::users::Username;

/// The error of each invalid field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Problems {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

/// Ignores white space around the username. Every character of a password counts.
pub(crate) fn check(username: &str, password: &str) -> Problems {
    Problems {
        username: check_username(username.trim()).err(),
        password: password.is_empty().then(|| strings::ENTER_YOUR_PASSWORD.to_owned()),
    }
}

/// The account of a username, however it was typed. For the servers, `name` and `name@local-domain` are the same account in
/// any case.
pub(crate) fn account_name(username: &str) -> String {
    let name = username.split_once('@').map_or(username, |(name, _)| name);
    name.to_lowercase()
}

/// Identifies an account in this browser: `name`, or `server/name`. Neither part contains a slash.
pub(crate) fn account_id(server: &str, username: &str) -> String {
    let name = account_name(username);
    if server.is_empty() { name } else { format!("{server}/{name}") }
}

/// Accepts a name with or without a domain. Only the server knows which domains are local.
fn check_username(username: &str) -> Result<(), String> {
    if username.is_empty() {
        return Err(strings::ENTER_YOUR_USERNAME.to_owned());
    }
    let name = username.split_once('@').map_or(username, |(name, _)| name);
    Username::parse(name).map(drop).map_err(|error| strings::invalid_username(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn each_empty_field_has_its_own_error() {
        let both = check(" ", "");
        assert!(both.username.is_some() && both.password.is_some());
        assert_eq!(check("gb", ""), Problems { username: None, ..both.clone() });
        assert_eq!(check("", "gondola"), Problems { password: None, ..both });
    }

    #[test]
    fn username_follows_the_servers_rules() {
        assert_eq!(check("gb", "gondola"), Problems::default());
        assert_eq!(check(" gb@iit.edu ", "gondola"), Problems::default());
        for invalid in ["../gb", "g b", "@iit.edu", "User.txt"] {
            let problems = check(invalid, "gondola");
            assert!(problems.username.is_some_and(|error| error.contains("Invalid username")), "{invalid}");
        }
    }

    #[test]
    fn account_name_ignores_case_and_domain() {
        for username in ["gb", "GB", "gb@iit.edu", "Gb@IITKGP.edu"] {
            assert_eq!(account_name(username), "gb", "{username}");
            assert_eq!(account_id("", username), "gb", "{username}");
            assert_eq!(account_id("work", username), "work/gb", "{username}");
        }
    }

    #[test]
    fn password_of_spaces_is_valid() {
        assert_eq!(check("gb", "  "), Problems::default());
    }
}
