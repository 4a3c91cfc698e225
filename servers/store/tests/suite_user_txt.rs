//! User.txt passes the directory suite.

use config::Auth;
use mail_store::user_txt::UserTxt;

fn empty() -> (UserTxt, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a directory");
    let auth =
        Auth { hash_memory: "1 MiB".parse().expect("a size"), hash_milliseconds: 1, ..Auth::default() };
    (UserTxt::open(data.path(), &auth, &[]).expect("no file yet"), data)
}

store_testing::directory_suite!(empty());
