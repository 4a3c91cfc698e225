//! What the process can reach once it serves: its data directory, its certificate, its page, and the ports that its bridge
//! connects to. A defect in it opens nothing else, even for root.
//!
//! By Landlock, as far as the kernel knows it; elsewhere nothing is confined, which the log says.

use config::Config;

/// Confines this thread, and every one that it starts from now on. A path that is not there is not reachable later either.
///
/// # Errors
/// One sentence: the rules were refused.
#[cfg(target_os = "linux")]
pub(crate) fn confine(config: &Config, target_ports: impl Iterator<Item = u16>) -> Result<(), String> {
    use landlock::RulesetStatus;
    use tracing::{info, warn};

    let status = linux::restrict(config, target_ports).map_err(|error| {
        format!("cannot confine the process: {error}; set `confine = false` in [process] to go without")
    })?;
    match status {
        RulesetStatus::FullyEnforced => info!("confined to its data, its certificate and its page"),
        RulesetStatus::PartiallyEnforced => info!("confined as far as this kernel knows how (Landlock)"),
        RulesetStatus::NotEnforced => warn!("not confined: this kernel has no Landlock"),
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "on Linux it can fail")]
pub(crate) fn confine(_config: &Config, _target_ports: impl Iterator<Item = u16>) -> Result<(), String> {
    tracing::info!("not confined: only Linux has Landlock");
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::{Path, PathBuf};

    use config::{Config, Tls};
    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
        RulesetError, RulesetStatus, Scope, path_beneath_rules,
    };

    /// The newest of what is asked for; an older kernel does what it knows of it.
    const ABI_MAX: ABI = ABI::V6;

    pub(super) fn restrict(
        config: &Config,
        target_ports: impl Iterator<Item = u16>,
    ) -> Result<RulesetStatus, RulesetError> {
        let reading = AccessFs::ReadFile | AccessFs::ReadDir;
        let keeping: BitFlags<AccessFs> = reading
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Refer;
        let readable = certificate_folders(&config.tls).into_iter().chain([config.web.root.clone()]);
        let connects =
            target_ports.map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp)));
        let restricted = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI_MAX))?
            .handle_access(AccessNet::from_all(ABI_MAX))?
            .scope(Scope::from_all(ABI_MAX))?
            .create()?
            .add_rules(path_beneath_rules([&config.data], keeping))?
            .add_rules(path_beneath_rules(readable, reading))?
            .add_rules(connects)?
            .restrict_self()?;
        Ok(restricted.ruleset)
    }

    /// Folders rather than files: a renewed certificate takes the old one's name. What a link leads to counts.
    fn certificate_folders(tls: &Tls) -> Vec<PathBuf> {
        let Tls::Files { certificate, key } = tls else { return Vec::new() };
        let real = [certificate, key].into_iter().filter_map(|path| path.canonicalize().ok());
        let folders = [certificate, key].into_iter().cloned().chain(real);
        folders.filter_map(|path| path.parent().map(Path::to_owned)).collect()
    }
}
