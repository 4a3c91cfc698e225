//! What a person typed to sign in, checked before anything is sent.

/// The sentence for each field that cannot be right, to stand beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Problems {
    pub(crate) username: Option<&'static str>,
    pub(crate) password: Option<&'static str>,
}

impl Problems {
    pub(crate) fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// Spaces around a username are slips of the hand or of a paste. In a password every character counts.
pub(crate) fn check(username: &str, password: &str) -> Problems {
    Problems {
        username: username.trim().is_empty().then_some("Enter your username."),
        password: password.is_empty().then_some("Enter your password."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_empty_field_has_its_own_sentence() {
        let both = check(" ", "");
        assert!(both.username.is_some() && both.password.is_some() && !both.none());
        assert_eq!(check("gb", ""), Problems { username: None, ..both.clone() });
        assert_eq!(check("", "gondola"), Problems { password: None, ..both });
    }

    #[test]
    fn a_password_may_be_spaces() {
        assert!(check("gb@iit.edu", "  ").none());
    }
}
