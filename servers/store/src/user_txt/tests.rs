use super::*;

fn accounts(text: &str) -> (tempfile::TempDir, UserTxt) {
    let data = tempfile::tempdir().expect("a temporary directory");
    fs::write(path_in(data.path()), text).expect("written");
    let accounts = UserTxt::open(data.path(), &cheap(), &[]).expect("a good file");
    (data, accounts)
}

fn cheap() -> Auth {
    Auth { hash_memory: "1 MiB".parse().expect("a size"), hash_milliseconds: 1, ..Auth::default() }
}

fn name(text: &str) -> Username {
    Username::parse(text).expect("a good name")
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[tokio::test]
async fn plain_text_file_is_read_again_when_it_changes() {
    let (data, accounts) = accounts("ag secret\n");
    assert_eq!(accounts.find(&name("AG")).await.expect("found").expect("there").as_str(), "ag");
    assert!(accounts.verify(Some(&name("ag")), &secret("secret")).await.expect("checked").is_some());
    assert!(accounts.verify(Some(&name("ag")), &secret("Secret")).await.expect("checked").is_none());
    assert!(accounts.find(&name("gb")).await.expect("looked").is_none());

    fs::write(path_in(data.path()), "ag secret\ngb other\n").expect("written");
    assert!(accounts.find(&name("gb")).await.expect("looked").is_some());
    let weak = accounts.weak_passwords().await.expect("read");
    assert_eq!((weak.plain, weak.broken), (vec![name("ag"), name("gb")], vec![]));
}

#[tokio::test]
async fn broken_file_leaves_the_previous_accounts_in_force() {
    let (data, accounts) = accounts("ag secret\n");
    fs::write(path_in(data.path()), "ag\n").expect("written");
    assert!(accounts.find(&name("ag")).await.expect("looked").is_some());
    let error = UserTxt::open(data.path(), &cheap(), &[]).expect_err("the file is broken");
    assert!(error.contains("User.txt, line 1:"), "{error}");
    // A file that cannot be read must not be rewritten.
    assert!(matches!(accounts.add(&name("gb"), &secret("x")).await, Err(DirectoryError::Failed(_))));
}

#[tokio::test]
async fn moved_or_emptied_file_leaves_the_previous_accounts_in_force() {
    let (data, accounts) = accounts("ag secret\n");
    for empty in ["", "# nobody\n"] {
        fs::write(path_in(data.path()), empty).expect("written");
        assert!(accounts.find(&name("ag")).await.expect("looked").is_some(), "{empty:?}");
    }
    fs::remove_file(path_in(data.path())).expect("removed");
    assert!(accounts.find(&name("ag")).await.expect("looked").is_some());

    fs::write(path_in(data.path()), "gb other\n").expect("written");
    assert!(accounts.find(&name("ag")).await.expect("looked").is_none());
    assert!(accounts.find(&name("gb")).await.expect("looked").is_some());
}

#[tokio::test]
async fn accounts_are_added_changed_hashed_and_removed() {
    let (data, accounts) = accounts("# mine\nag secret\n");
    accounts.add(&name("Gb"), &secret("first")).await.expect("added");
    assert!(data.path().join("Gb").is_dir());
    assert!(matches!(accounts.add(&name("gB"), &secret("x")).await, Err(DirectoryError::Exists(_))));
    accounts.set_password(&name("gb"), &secret("second")).await.expect("changed");
    assert!(accounts.verify(Some(&name("gb")), &secret("first")).await.expect("checked").is_none());
    assert_eq!(
        accounts.verify(Some(&name("gb")), &secret("second")).await.expect("checked"),
        Some(name("Gb"))
    );
    assert_eq!(accounts.hash_plain_passwords().await.expect("hashed"), [name("ag")]);
    assert_eq!(accounts.weak_passwords().await.expect("read"), WeakPasswords::default());
    assert!(accounts.verify(Some(&name("ag")), &secret("secret")).await.expect("checked").is_some());

    assert_eq!(accounts.names(None).await.expect("listed").len(), 2);
    assert_eq!(accounts.names(Some(&name("ag"))).await.expect("listed"), [name("gb")]);
    accounts.remove(&name("gb")).await.expect("removed");
    assert!(matches!(accounts.remove(&name("gb")).await, Err(DirectoryError::Unknown(_))));
    assert!(matches!(
        accounts.set_password(&name("gb"), &secret("x")).await,
        Err(DirectoryError::Unknown(_))
    ));
    let text = fs::read_to_string(path_in(data.path())).expect("read");
    assert!(text.starts_with("# mine\nag $argon2id$"), "{text}");
}

#[tokio::test]
async fn failed_addition_leaves_nothing_behind() {
    let (data, accounts) = accounts("ag secret\n");
    let names = || {
        let entries = fs::read_dir(data.path()).expect("readable");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("readable").file_name()).collect();
        names.sort();
        names
    };
    // A directory in place of the new file makes the rewrite fail.
    fs::create_dir(data.path().join(".User.txt.new")).expect("made");
    let before = names();
    assert!(matches!(accounts.add(&name("gb"), &secret("x")).await, Err(DirectoryError::Failed(_))));
    assert_eq!(names(), before);
    fs::remove_dir(data.path().join(".User.txt.new")).expect("removed");
    accounts.add(&name("gb"), &secret("x")).await.expect("added");
    assert_eq!(names(), [".hash-cost", "User.txt", "gb"]);
}

#[tokio::test]
async fn verified_password_needs_no_hash_again_and_a_wrong_one_always_does() {
    let (data, accounts) = accounts("ag plain\n");
    accounts.add(&name("gb"), &secret("right")).await.expect("added");
    let sign_in = async |user: &str, password: &str| {
        accounts.verify(Some(&name(user)), &secret(password)).await.expect("checked").is_some()
    };
    for _ in 0..100 {
        assert!(sign_in("gb", "right").await && sign_in("GB", "right").await && sign_in("ag", "plain").await);
    }
    assert_eq!(accounts.hashed(), 2);
    for wrong in ["wrong", "wrong", "plain"] {
        assert!(!sign_in("gb", wrong).await);
    }
    assert_eq!(accounts.hashed(), 5);

    accounts.set_password(&name("gb"), &secret("new")).await.expect("changed");
    assert!(!sign_in("gb", "right").await && sign_in("gb", "new").await);
    assert_eq!(accounts.hashed(), 7);
    fs::write(path_in(data.path()), "ag plain\n").expect("written");
    assert!(!sign_in("gb", "new").await && sign_in("ag", "plain").await);
    assert_eq!(accounts.hashed(), 7, "without stored hashes, none is computed");
}

#[tokio::test]
async fn cache_lifetime_of_zero_hashes_every_time() {
    let (data, accounts) = accounts("");
    accounts.add(&name("ag"), &secret("right")).await.expect("added");
    let uncached =
        UserTxt::open(data.path(), &Auth { cache_seconds: 0, ..cheap() }, &[]).expect("a good file");
    for hashed in 1..=3 {
        assert!(uncached.verify(Some(&name("ag")), &secret("right")).await.expect("checked").is_some());
        assert_eq!(uncached.hashed(), hashed);
    }
}

#[tokio::test]
async fn every_name_is_verified_against_the_hash_of_an_account() {
    let (data, accounts) = accounts("");
    accounts.add(&name("ag"), &secret("right")).await.expect("added");
    let cheap = fs::read_to_string(path_in(data.path())).expect("read");
    let dear = cheap.replace("ag ", "gb ").replace("m=1024,t=", "m=2048,t=");
    fs::write(
        path_in(data.path()),
        format!("{cheap}{dear}broken $argon2id$v=19$m=1024,t=2,p=1$c2FsdHNhbHQ$!!!\nplain right\n"),
    )
    .expect("written");
    let current = accounts.current().await;
    let cost_of = |user: &str| {
        let (phc, is_own) = current.hash_to_check(Username::parse(user).ok().as_ref());
        (phc.expect("there are hashes").split('$').nth(3).expect("parameters")[..6].to_owned(), is_own)
    };
    assert_eq!(cost_of("ag"), ("m=1024".to_owned(), true));
    assert_eq!(cost_of("GB"), ("m=2048".to_owned(), true));
    let costs: Vec<_> = (0..100).map(|n| cost_of(&format!("nobody{n}"))).collect();
    for cost in ["m=1024", "m=2048"] {
        let names = costs.iter().filter(|(of_name, is_own)| of_name == cost && !is_own).count();
        assert!((25..=75).contains(&names), "{names} of 100 cost {cost}");
    }
    for user in ["nobody1", "broken", "plain", "../gb", ""] {
        assert_eq!((cost_of(user), cost_of(user).1), (cost_of(&user.to_uppercase()), false), "{user}");
    }
    let hashed = accounts.hashed();
    for user in ["nobody1", "broken", "plain", "ag"] {
        assert!(accounts.verify(Some(&name(user)), &secret("wrong")).await.expect("checked").is_none());
    }
    assert!(accounts.verify(None, &secret("right")).await.expect("checked").is_none());
    assert!(accounts.verify(Some(&name("nobody1")), &secret("right")).await.expect("checked").is_none());
    assert!(accounts.verify(Some(&name("broken")), &secret("right")).await.expect("checked").is_none());
    assert_eq!(accounts.hashed(), hashed + 7);
    assert!(accounts.verify(Some(&name("plain")), &secret("right")).await.expect("checked").is_some());
}

/// The runtime has one thread, and a blocking read on it would never return: a FIFO blocks its reader until it has a
/// writer.
#[tokio::test]
async fn changed_file_is_read_off_the_async_thread() {
    use rustix::fs::{CWD, FileType, mknodat};
    let (data, accounts) = accounts("ag secret\n");
    let path = path_in(data.path());
    fs::remove_file(&path).expect("removed");
    mknodat(CWD, &path, FileType::Fifo, 0o600.into(), 0).expect("made");
    let name = name("gb");
    let (found, ()) = tokio::join!(accounts.find(&name), async {
        tokio::task::yield_now().await;
        let writer = tokio::task::spawn_blocking(move || fs::write(path, "gb other\n"));
        writer.await.expect("no panic").expect("written");
    });
    assert_eq!(found.expect("read"), Some(name));
}
