//! Tests that every directory passes. Each takes a directory without accounts.

use mail_core::secret::Secret;
use mail_core::users::Username;
use mail_store::directory::{AccountAdmin, Directory, DirectoryError, Quota};

/// Defines a test for each function of the suite. The argument is an expression that creates an empty directory and the
/// values that must outlive it.
#[macro_export]
macro_rules! directory_suite {
    ($directory:expr) => {
        $crate::directory_suite! { @tests $directory;
            account_is_found_by_its_name_in_any_case
            only_the_right_password_is_verified
            changed_password_replaces_the_old_one
            removed_account_is_unknown
            renamed_account_keeps_its_password_and_place
            names_are_listed_in_order
            quota_follows_its_account
        }
    };
    (@tests $directory:expr; $($test:ident)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (directory, _guard) = $directory;
                $crate::directory_suite::$test(&directory).await;
            }
        )*
    };
}

fn name(text: &str) -> Username {
    Username::parse(text).expect("a valid name")
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

async fn add(directory: &impl AccountAdmin, account: &str, password: &str) {
    directory.add(&name(account), &secret(password)).await.expect("added");
}

async fn verify(directory: &impl Directory, account: &str, password: &str) -> Option<Username> {
    directory.verify(Some(&name(account)), &secret(password)).await.expect("verified")
}

pub async fn account_is_found_by_its_name_in_any_case(directory: &(impl Directory + AccountAdmin)) {
    assert_eq!(directory.first().await.expect("read"), None);
    add(directory, "Ag", "penny").await;
    add(directory, "gb", "other").await;
    let found = directory.find(&name("aG")).await.expect("read").expect("it exists");
    assert_eq!(found.as_str(), "Ag");
    assert_eq!(directory.first().await.expect("read"), Some(name("ag")));
    assert_eq!(directory.find(&name("cd")).await.expect("read"), None);
    let again = directory.add(&name("AG"), &secret("x")).await;
    assert!(matches!(again, Err(DirectoryError::Exists(_))), "{again:?}");
}

pub async fn only_the_right_password_is_verified(directory: &(impl Directory + AccountAdmin)) {
    add(directory, "ag", "penny").await;
    add(directory, "gb", "other").await;
    assert_eq!(verify(directory, "AG", "penny").await, Some(name("ag")));
    for (account, password) in [("ag", "Penny"), ("ag", "other"), ("ag", ""), ("cd", "penny")] {
        assert_eq!(verify(directory, account, password).await, None, "{account} {password}");
    }
    assert_eq!(directory.verify(None, &secret("penny")).await.expect("verified"), None);
}

pub async fn changed_password_replaces_the_old_one(directory: &(impl Directory + AccountAdmin)) {
    add(directory, "ag", "penny").await;
    assert!(verify(directory, "ag", "penny").await.is_some());
    directory.set_password(&name("AG"), &secret("new")).await.expect("changed");
    assert_eq!(verify(directory, "ag", "penny").await, None);
    assert!(verify(directory, "ag", "new").await.is_some());
    let unknown = directory.set_password(&name("gb"), &secret("x")).await;
    assert!(matches!(unknown, Err(DirectoryError::Unknown(_))), "{unknown:?}");
    assert!(directory.weak_passwords().await.expect("read").plain.is_empty());
}

pub async fn removed_account_is_unknown(directory: &(impl Directory + AccountAdmin)) {
    add(directory, "ag", "penny").await;
    add(directory, "gb", "other").await;
    directory.remove(&name("Ag")).await.expect("removed");
    assert_eq!(directory.find(&name("ag")).await.expect("read"), None);
    assert_eq!(verify(directory, "ag", "penny").await, None);
    assert!(verify(directory, "gb", "other").await.is_some());
    let again = directory.remove(&name("ag")).await;
    assert!(matches!(again, Err(DirectoryError::Unknown(_))), "{again:?}");
}

pub async fn renamed_account_keeps_its_password_and_place(directory: &(impl Directory + AccountAdmin)) {
    add(directory, "ag", "penny").await;
    add(directory, "gb", "other").await;
    directory.rename(&name("AG"), &name("agnes")).await.expect("renamed");
    assert_eq!(directory.find(&name("ag")).await.expect("read"), None);
    assert_eq!(directory.first().await.expect("read"), Some(name("agnes")));
    assert!(verify(directory, "agnes", "penny").await.is_some());
    directory.rename(&name("agnes"), &name("Agnes")).await.expect("another spelling");
    let found = directory.find(&name("agnes")).await.expect("read").expect("it exists");
    assert_eq!(found.as_str(), "Agnes");
    let taken = directory.rename(&name("agnes"), &name("gb")).await;
    assert!(matches!(taken, Err(DirectoryError::Exists(_))), "{taken:?}");
    let unknown = directory.rename(&name("ag"), &name("cd")).await;
    assert!(matches!(unknown, Err(DirectoryError::Unknown(_))), "{unknown:?}");
}

pub async fn quota_follows_its_account(directory: &(impl Directory + AccountAdmin)) {
    add(directory, "ag", "penny").await;
    add(directory, "gb", "other").await;
    let quota = async |account: &str| directory.quota(&name(account)).await.expect("read");
    assert_eq!(quota("gb").await, None);
    for limits in [Quota { soft: 900, hard: 1_000 }, Quota { soft: 0, hard: 0 }, Quota { soft: 1, hard: 2 }] {
        directory.set_quota(&name("GB"), Some(limits)).await.expect("set");
        assert_eq!(quota("gB").await, Some(limits));
    }
    assert_eq!(quota("ag").await, None);
    directory.rename(&name("gb"), &name("greta")).await.expect("renamed");
    assert_eq!(quota("greta").await, Some(Quota { soft: 1, hard: 2 }));
    directory.remove(&name("greta")).await.expect("removed");
    for account in ["gb", "greta"] {
        add(directory, account, "other").await;
        assert_eq!(quota(account).await, None, "{account}");
    }
    directory.set_quota(&name("ag"), Some(Quota { soft: 1, hard: 2 })).await.expect("set");
    directory.set_quota(&name("ag"), None).await.expect("removed");
    assert_eq!(quota("ag").await, None);
    for limits in [None, Some(Quota { soft: 1, hard: 1 })] {
        let unknown = directory.set_quota(&name("cd"), limits).await;
        assert!(matches!(unknown, Err(DirectoryError::Unknown(_))), "{unknown:?}");
    }
}

pub async fn names_are_listed_in_order(directory: &(impl Directory + AccountAdmin)) {
    let expected = ["gb", "ag", "cd"].map(name);
    for account in &expected {
        add(directory, account.as_str(), "x").await;
    }
    let mut listed: Vec<Username> = Vec::new();
    loop {
        let batch = directory.names(listed.last()).await.expect("read");
        if batch.is_empty() {
            break;
        }
        listed.extend(batch);
    }
    assert_eq!(listed, expected);
}
