//! What a person typed to sign in, checked before anything is sent.

use mail_core::users::Username;

/// The sentence for each field that cannot be right, to stand beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Problems {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

/// Spaces around a username are slips of the hand or of a paste. In a password every character counts.
pub(crate) fn check(username: &str, password: &str) -> Problems {
    Problems {
        username: check_username(username.trim()).err(),
        password: password.is_empty().then(|| "Enter your password.".to_owned()),
    }
}

/// A name alone or with a domain. Which domains are local, only the server knows.
fn check_username(username: &str) -> Result<(), String> {
    if username.is_empty() {
        return Err("Enter your username.".to_owned());
    }
    let name = username.split_once('@').map_or(username, |(name, _)| name);
    Username::parse(name).map(drop).map_err(|error| format!("This is no username: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn each_empty_field_has_its_own_sentence() {
        let both = check(" ", "");
        assert!(both.username.is_some() && both.password.is_some());
        assert_eq!(check("gb", ""), Problems { username: None, ..both.clone() });
        assert_eq!(check("", "gondola"), Problems { password: None, ..both });
    }

    #[test]
    fn a_username_is_what_the_servers_take_for_one() {
        assert_eq!(check("gb", "gondola"), Problems::default());
        assert_eq!(check(" gb@iit.edu ", "gondola"), Problems::default());
        for wrong in ["../gb", "g b", "@iit.edu", "User.txt"] {
            let problems = check(wrong, "gondola");
            assert!(problems.username.is_some_and(|sentence| sentence.contains("no username")), "{wrong}");
        }
    }

    #[test]
    fn a_password_may_be_spaces() {
        assert_eq!(check("gb", "  "), Problems::default());
    }
}
