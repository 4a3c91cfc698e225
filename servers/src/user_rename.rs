//! `pennypost user rename`.

use config::Config;
use mail_core::aliases::{Alias, AliasTarget};
use mail_core::message::address::{Address, Host, LocalPart};
use mail_core::users::Username;
use mail_store::directory::{AccountAdmin, AliasAdmin, Directory, DirectoryError};
use mail_store::{MailboxAdmin, Maildrop, MaildropStore};

use crate::admin::{print, to_sentence};

/// Renames the mailbox, then the account, then the targets of aliases. The lease of the maildrop is taken first, so that no session
/// uses the old mailbox.
///
/// # Errors
/// A sentence. Unless it says otherwise, nothing has changed.
pub(crate) async fn rename(
    directory: &(impl Directory + AccountAdmin + AliasAdmin),
    store: &impl MaildropStore,
    mailboxes: &impl MailboxAdmin,
    config: &Config,
    [name, new]: [&Username; 2],
) -> Result<(), String> {
    let found = directory.find(name).await.map_err(to_sentence)?;
    let name = &found.ok_or_else(|| to_sentence(DirectoryError::Unknown(name.clone())))?;
    let taken = directory.find(new).await.map_err(to_sentence)?.filter(|taken| taken != name);
    if let Some(taken) = taken {
        return Err(to_sentence(DirectoryError::Exists(taken)));
    }
    let failed = |error| format!("{name} was not renamed: {error}");
    let lease = store.open(name).await.map_err(failed)?;
    let moved = move_account(directory, mailboxes, name, new).await;
    lease.release().await;
    moved?;
    let targets = rename_targets(directory, config, name, new).await.map_err(|error| {
        format!("renamed {name} to {new}, but not every alias that points to it: {error}")
    })?;
    print(&format!("renamed {name} to {new}"))?;
    if targets > 0 {
        print(&format!("changed {targets} aliases"))?;
    }
    if config.postmaster.as_ref() == Some(name) {
        print(&format!(
            "`postmaster` in the configuration is still {name}; change it to {new} and restart the servers"
        ))?;
    }
    print(&format!(
        "mail to {name} is refused from now on; `pennypost alias add {name} {new}` keeps the address"
    ))
}

/// Renames the mailbox and the account.
async fn move_account(
    directory: &(impl Directory + AccountAdmin),
    mailboxes: &impl MailboxAdmin,
    name: &Username,
    new: &Username,
) -> Result<(), String> {
    mailboxes.rename(name, new).await.map_err(|error| format!("{name} was not renamed: {error}"))?;
    let Err(error) = directory.rename(name, new).await else { return Ok(()) };
    // A database may have made the change although its answer was lost. Without an answer to this question either, the mail stays
    // where the change has put it.
    if matches!(error, DirectoryError::Failed(_)) {
        match directory.find(new).await {
            Ok(Some(found)) if found.as_str() == new.as_str() => return Ok(()),
            Ok(_) => {}
            Err(_) => return Err(format!("{error}; its mail is now that of {new}: repeat the command")),
        }
    }
    mailboxes
        .rename(new, name)
        .await
        .map_err(|undo| format!("{error}; its mail is now that of {new}: {undo}"))?;
    Err(to_sentence(error))
}

/// Replaces the account in the targets of aliases. Returns the number of changed aliases.
async fn rename_targets(
    directory: &impl AliasAdmin,
    config: &Config,
    name: &Username,
    new: &Username,
) -> Result<usize, DirectoryError> {
    let mut changed = 0;
    let is_name = |local: &LocalPart| local.username().as_ref() == Some(name);
    // `gb+lists` becomes `greta+lists`.
    let renamed = |local: &LocalPart| {
        let detail = local.as_str().find('+').map_or("", |at| &local.as_str()[at..]);
        LocalPart::parse(&format!("{new}{detail}")).expect("a username with a detail is a local part")
    };
    for Alias { key, targets } in directory.aliases().await? {
        let old: Vec<AliasTarget> = targets
            .into_iter()
            .filter(|target| match target {
                AliasTarget::Name(local) => is_name(local),
                AliasTarget::Address(Address { local, host: Host::Domain(domain) }) => {
                    is_name(local) && config.domains.contains(domain)
                }
                AliasTarget::Address(_) => false,
            })
            .collect();
        if old.is_empty() {
            continue;
        }
        let targets = old.iter().map(|target| match target {
            AliasTarget::Name(local) => AliasTarget::Name(renamed(local)),
            AliasTarget::Address(Address { local, host }) => {
                AliasTarget::Address(Address { local: renamed(local), host: host.clone() })
            }
        });
        directory.add_alias(&key, targets.collect()).await?;
        directory.remove_alias(&key, &old).await?;
        changed += 1;
    }
    Ok(changed)
}
