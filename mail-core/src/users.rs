//! The format of User.txt: one account per line, a username, one space and a password.
//!
//! Blank lines and lines that start with `#` are ignored, and preserved when the file is rewritten. A password is plain
//! text or an Argon2id hash in PHC format. This module does not hash or verify passwords.

use std::cmp::Ordering;
use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::secret::Secret;

/// Maximum length, which is also the maximum length of a local part.
pub const USERNAME_OCTETS_MAX: usize = 64;

/// The name of an account and of its directory. It is safe to use as a path component.
///
/// 1 to 64 of `A-Z a-z 0-9 . _ -`. It starts with a letter or digit, has no consecutive or trailing dots, and is not
/// `user.txt`. Comparison ignores case; the original spelling is preserved.
#[derive(Debug, Clone)]
pub struct Username(Box<str>);

/// The text is not a valid [`Username`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a username has 1 to 64 letters, digits, dots, hyphens and underscores, starts with a letter or a digit, has no \
     consecutive dots and no dot at the end, and is not user.txt"
)]
pub struct UsernameError;

impl Username {
    /// Parses a username.
    ///
    /// # Errors
    /// [`UsernameError`], which states the rules.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let valid = text.len() <= USERNAME_OCTETS_MAX
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(allowed)
            && !text.contains("..")
            && !text.ends_with('.')
            && !text.eq_ignore_ascii_case("user.txt");
        if valid { Ok(Self(text.into())) } else { Err(UsernameError) }
    }

    /// The name in its original spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|b| b.to_ascii_lowercase())
    }
}

impl PartialEq for Username {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Username {}

impl Hash for Username {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|b| state.write_u8(b));
        state.write_u8(0xff);
    }
}

impl Ord for Username {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl PartialOrd for Username {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Username {
    type Err = UsernameError;
    fn from_str(text: &str) -> Result<Self, UsernameError> {
        Self::parse(text)
    }
}

/// The password field of an account.
#[derive(Clone, PartialEq, Eq)]
pub enum StoredPassword {
    /// The password itself.
    Plain(Secret<String>),
    /// An Argon2id hash in PHC format: `$argon2id$v=19$m=...,t=...,p=...$salt$hash`.
    Argon2id(String),
}

impl StoredPassword {
    /// Parses the field.
    ///
    /// # Errors
    /// The reason the field is invalid.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.is_empty() {
            return Err(Reason::NoPassword);
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Reason::Space);
        }
        if !text.starts_with("$argon2id$") {
            return Ok(Self::Plain(Secret::new(text.to_owned())));
        }
        // Only the version is optional.
        let fields: Vec<_> = text.split('$').skip(2).skip_while(|field| field.starts_with("v=")).collect();
        if fields.len() != 3 || fields.contains(&"") {
            return Err(Reason::Hash);
        }
        Ok(Self::Argon2id(text.to_owned()))
    }

    /// The field as it is stored: the password, or its hash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plain(password) => password.expose(),
            Self::Argon2id(phc) => phc,
        }
    }
}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain(****)",
            Self::Argon2id(_) => "Argon2id(****)",
        })
    }
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The username.
    pub name: Username,
    /// The password or its hash.
    pub password: StoredPassword,
}

/// One line of User.txt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An account.
    Account(Account),
    /// A comment or a blank line, unchanged.
    Other(String),
}

/// The contents of User.txt. Usernames are unique. [`Display`] formats the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFile {
    lines: Vec<Line>,
}

/// The line of User.txt that cannot be parsed, and the reason. Callers add the file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct UsersError {
    /// Line number, from 1.
    pub line: usize,
    /// The problem and its remedy.
    pub reason: Reason,
}

/// The reason a line of User.txt is invalid, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The line does not begin with a username.
    #[error("{name:?} is not a valid username: {UsernameError}; correct it, or comment the line out with #")]
    Name {
        /// The invalid name.
        name: String,
    },
    /// The password is missing.
    #[error("the password is missing: write the username, one space and the password")]
    NoPassword,
    /// More than one space, a tab or another control character.
    #[error(
        "the line has more than one space or a control character: write the username, one space and the password; \
         `pennypost user passwd` can set a password that contains spaces"
    )]
    Space,
    /// The hash is truncated or malformed.
    #[error(
        "the Argon2id hash is truncated or malformed: set the password again with `pennypost user passwd`"
    )]
    Hash,
    /// The username occurs twice.
    #[error("line {first} has the same username (case is ignored): remove one of the two")]
    Duplicate {
        /// Number of the earlier line, from 1.
        first: usize,
    },
}

/// Parses User.txt. Lines end with LF or CRLF.
///
/// # Errors
/// The first invalid line.
pub fn parse(text: &str) -> Result<UserFile, UsersError> {
    let mut lines = Vec::new();
    let mut names = std::collections::HashMap::new();
    // Some editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end_matches('\r');
        let error = |reason| UsersError { line: number, reason };
        if line.starts_with('#') || line.trim().is_empty() {
            lines.push(Line::Other(line.to_owned()));
            continue;
        }
        let account = parse_account(line).map_err(error)?;
        if let Some(first) = names.insert(account.name.clone(), number) {
            return Err(error(Reason::Duplicate { first }));
        }
        lines.push(Line::Account(account));
    }
    Ok(UserFile { lines })
}

impl UserFile {
    /// The lines, in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The accounts, in order.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.lines.iter().filter_map(|line| match line {
            Line::Account(account) => Some(account),
            Line::Other(_) => None,
        })
    }

    /// The account with this name.
    #[must_use]
    pub fn account(&self, name: &Username) -> Option<&Account> {
        self.accounts().find(|account| account.name == *name)
    }

    /// Replaces the password of the account with this name, or appends the account. An existing name keeps its
    /// spelling, because the directory has it.
    pub fn set(&mut self, account: Account) {
        for line in &mut self.lines {
            if let Line::Account(old) = line
                && old.name == account.name
            {
                old.password = account.password;
                return;
            }
        }
        self.lines.push(Line::Account(account));
    }

    /// Gives an account another name, in its place. Returns whether it existed. The caller has checked that the new name is free.
    pub fn rename(&mut self, name: &Username, new: &Username) -> bool {
        for line in &mut self.lines {
            if let Line::Account(account) = line
                && account.name == *name
            {
                account.name = new.clone();
                return true;
            }
        }
        false
    }

    /// Removes an account. Returns whether it existed.
    pub fn remove(&mut self, name: &Username) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| !matches!(line, Line::Account(account) if account.name == *name));
        self.lines.len() < before
    }
}

impl Display for UserFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| match line {
            Line::Account(account) => writeln!(f, "{} {}", account.name, account.password.as_str()),
            Line::Other(text) => writeln!(f, "{text}"),
        })
    }
}

fn parse_account(line: &str) -> Result<Account, Reason> {
    let (name, password) = line
        .split_once(' ')
        .ok_or(())
        .or_else(|()| if line.contains(char::is_whitespace) { Err(Reason::Space) } else { Ok((line, "")) })?;
    let name = Username::parse(name).map_err(|UsernameError| Reason::Name { name: name.to_owned() })?;
    Ok(Account { name, password: StoredPassword::parse(password)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g";

    fn name(text: &str) -> Username {
        Username::parse(text).unwrap()
    }

    #[test]
    fn username_rejects_unsafe_path_components() {
        for text in ["a", "7", "ag", "a.b_c-d", "A-", "user.txt2", &"a".repeat(64)] {
            assert_eq!(name(text).as_str(), text);
        }
        for text in [
            "",
            ".",
            "..",
            ".tmp",
            "-a",
            "_a",
            "a.",
            "a..b",
            "a/b",
            "a\\b",
            "a b",
            "a\0",
            "é",
            "a@b",
            "a+b",
            "User.TXT",
            &"a".repeat(65),
        ] {
            assert_eq!(Username::parse(text), Err(UsernameError), "{text:?}");
        }
    }

    #[test]
    fn username_comparison_ignores_case() {
        assert_eq!(name("Ag"), name("aG"));
        assert!(name("AG") < name("b") && name("b") < name("Ga") && name("g") < name("GA"));
        assert!(std::collections::HashSet::from([name("Ag")]).contains(&name("aG")));
    }

    #[test]
    fn rewrite_preserves_comments_and_blank_lines() {
        let text = format!("# accounts\r\n\nag secret\n  \ngb {HASH}");
        let mut file = parse(&text).unwrap();
        assert_eq!(file.accounts().map(|account| account.name.as_str()).collect::<Vec<_>>(), ["ag", "gb"]);
        assert_eq!(file.account(&name("GB")).unwrap().password, StoredPassword::Argon2id(HASH.to_owned()));
        file.set(Account { name: name("AG"), password: StoredPassword::parse(HASH).unwrap() });
        file.set(Account { name: name("cd"), password: StoredPassword::parse("pw").unwrap() });
        assert!(file.remove(&name("gb")) && !file.remove(&name("gb")));
        assert_eq!(file.to_string(), format!("# accounts\n\nag {HASH}\n  \ncd pw\n"));
    }

    #[test]
    fn errors_state_the_line_and_the_remedy() {
        use Reason as R;
        for (text, line, reason) in [
            ("ag", 1, R::NoPassword),
            ("# x\nag ", 2, R::NoPassword),
            ("ag  pw", 1, R::Space),
            ("ag pw ", 1, R::Space),
            ("ag\tpw", 1, R::Space),
            ("ag two words", 1, R::Space),
            ("a/g pw", 1, R::Name { name: "a/g".to_owned() }),
            (" ag pw", 1, R::Name { name: String::new() }),
            ("ag $argon2id$v=19$m=1,t=1,p=1$salt", 1, R::Hash),
            ("ag $argon2id$v=19$m=1,t=1,p=1$salt$", 1, R::Hash),
            ("ag $argon2id$salt", 1, R::Hash),
            ("ag pw\n\nAG pw", 3, R::Duplicate { first: 1 }),
        ] {
            assert_eq!(parse(text), Err(UsersError { line, reason }), "{text:?}");
        }
        let shown = parse("ag pw\nag pw").unwrap_err().to_string();
        assert!(shown.starts_with("line 2: line 1 has the same username"), "{shown}");
    }

    #[test]
    fn debug_output_hides_passwords() {
        let shown = format!("{:?}", parse(&format!("ag hunter2\ngb {HASH}")).unwrap());
        assert!(
            !shown.contains("hunter2") && !shown.contains("argon2id$") && shown.contains("****"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_display(text in "((ag|gb|c\\.d)[0-9]{1,9} [!-~é]{1,9}\n|#[ -~]{0,9}\n|[ \t]{0,3}\n){0,6}") {
            // Equal names and passwords that look like hashes are excluded; other tests cover them.
            if let Ok(file) = parse(&text) {
                prop_assert_eq!(file.to_string(), text);
                prop_assert_eq!(parse(&file.to_string()), Ok(file));
            }
        }

        #[test]
        fn parse_never_panics(text in "[ag.$=#é \t\r\n\0]{0,40}|\\PC{0,40}") {
            if let Ok(file) = parse(&text) {
                prop_assert_eq!(parse(&file.to_string()), Ok(file));
            }
        }
    }
}
