//! Dropping root's privileges: binding port 25 needs root, serving mail does not.

use std::fmt::Display;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User, geteuid, getuid};
use tracing::{info, warn};

/// Becomes the configured user, with its groups, permanently. Call it before the first thread.
///
/// # Errors
/// A sentence: there is no such user, or the process may not become it.
pub(crate) fn drop_to(name: Option<&str>) -> Result<(), String> {
    let Some(name) = name else {
        if geteuid().is_root() {
            warn!("serving as root: set `user` in [process] to a user that owns nothing but the mail");
        }
        return Ok(());
    };
    let user = User::from_name(name).map_err(|error| format!("cannot look up the user `{name}`: {error}"))?;
    let user = user.ok_or_else(|| {
        format!("there is no user `{name}`; create it, or name another one with `user` in [process]")
    })?;
    if (getuid(), geteuid()) == (user.uid, user.uid) {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(format!("only root can become `{name}`: start as root, or without `user` in [process]"));
    }
    become_user(&user).map_err(|error| format!("cannot become the user `{name}`: {error}"))?;
    // Verify that the change is permanent.
    if !user.uid.is_root() && nix::unistd::setuid(Uid::from_raw(0)).is_ok() {
        return Err(format!("the process became `{name}` and could become root again"));
    }
    info!(user = name, "no longer root");
    Ok(())
}

/// Changes the owner of a directory that root has created to the configured user.
pub(crate) fn give(folder: &Path, name: Option<&str>) -> io::Result<()> {
    let Some(name) = name.filter(|_| geteuid().is_root()) else { return Ok(()) };
    let user =
        User::from_name(name)?.ok_or_else(|| io::Error::other(format!("there is no user `{name}`")))?;
    std::os::unix::fs::chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}

/// Changes the owner of a directory that root has created to the owner of the data directory.
pub(crate) fn give_to_owner_of(data: &Path, folder: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(data)?;
    std::os::unix::fs::chown(folder, Some(owner.uid()), Some(owner.gid()))
}

/// As root, becomes the owner of the data directory, since the servers could not read files that root creates there.
///
/// # Errors
/// A sentence: the process cannot become the owner.
pub(crate) fn become_owner_of(data: &Path) -> Result<(), String> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = |error: &dyn Display| format!("cannot become the owner of {}: {error}", data.display());
    let uid = Uid::from_raw(std::fs::metadata(data).map_err(|error| owner(&error))?.uid());
    if uid.is_root() {
        return Ok(());
    }
    let user = User::from_uid(uid).map_err(|error| owner(&error))?;
    let user = user.ok_or_else(|| owner(&format!("user {uid} has no name")))?;
    become_user(&user).map_err(|error| owner(&error))
}

#[cfg(not(target_vendor = "apple"))]
fn become_user(user: &User) -> nix::Result<()> {
    let name = std::ffi::CString::new(user.name.as_str()).map_err(|_| nix::Error::EINVAL)?;
    nix::unistd::initgroups(&name, user.gid)?;
    nix::unistd::setgid(user.gid)?;
    nix::unistd::setuid(user.uid)
}

/// macOS has no safe way to drop supplementary groups.
#[cfg(target_vendor = "apple")]
fn become_user(_user: &User) -> nix::Result<()> {
    Err(nix::Error::ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_user_is_refused() {
        let sentence = drop_to(Some("no-such-user")).expect_err("there is none");
        assert!(sentence.contains("no user `no-such-user`"), "{sentence}");
    }

    #[test]
    fn current_user_needs_no_change() {
        let own =
            User::from_uid(geteuid()).expect("users can be looked up").expect("the current user exists");
        drop_to(Some(&own.name)).expect("no change is needed");
    }
}
