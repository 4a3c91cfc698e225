//! Confines the process to its data directory, the folders of its certificate and its configuration, its page, and the ports that its services connect to. A
//! vulnerability then gives access to nothing else, even as root.
//!
//! Uses Landlock as far as the kernel supports it. On other systems the process is not confined, which is logged.

use std::path::Path;

use config::Config;

/// Confines this thread and every thread that it starts later. `file` is the configuration, which a reload reads again. A path that
/// does not exist yet stays inaccessible.
///
/// # Errors
/// A sentence: the kernel refused the rules.
#[cfg(target_os = "linux")]
pub(crate) fn confine(
    config: &Config,
    file: Option<&Path>,
    target_ports: impl Iterator<Item = u16>,
) -> Result<(), String> {
    use landlock::RulesetStatus;
    use tracing::{info, warn};

    let status = linux::restrict(config, file, target_ports).map_err(|error| {
        format!("cannot confine the process: {error}; set `confine = false` in [process] to go without")
    })?;
    match status {
        RulesetStatus::FullyEnforced => info!("confined to its data, its certificate and its page"),
        RulesetStatus::PartiallyEnforced => info!("confined as far as this kernel supports Landlock"),
        RulesetStatus::NotEnforced => warn!("not confined: this kernel has no Landlock"),
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "on Linux it can fail")]
pub(crate) fn confine(
    _config: &Config,
    _file: Option<&Path>,
    _target_ports: impl Iterator<Item = u16>,
) -> Result<(), String> {
    tracing::info!("not confined: only Linux has Landlock");
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::{Path, PathBuf};

    use config::{Config, StoreKind, Tls};
    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
        RulesetError, RulesetStatus, Scope, path_beneath_rules,
    };

    const DNS_PORT: u16 = 53;

    /// The newest version used. An older kernel enforces what it supports.
    const ABI_MAX: ABI = ABI::V6;

    pub(super) fn restrict(
        config: &Config,
        file: Option<&Path>,
        target_ports: impl Iterator<Item = u16>,
    ) -> Result<RulesetStatus, RulesetError> {
        let reading = AccessFs::ReadFile | AccessFs::ReadDir;
        let writing: BitFlags<AccessFs> = reading
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Refer;
        // The folder, because an editor replaces the file.
        let file_folder = file.and_then(|file| file.canonicalize().ok()?.parent().map(Path::to_owned));
        let readable = certificate_folders(&config.tls).into_iter().chain([config.web.root.clone()]);
        let readable = readable.chain(resolver_files(config));
        let connects = target_ports
            .chain(outbound_ports(config))
            .chain(acme_ports(&config.tls))
            .chain(config.inbound.rspamd.map(|filter| filter.0.port()))
            .map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp)));
        let restricted = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI_MAX))?
            .handle_access(AccessNet::from_all(ABI_MAX))?
            .scope(Scope::from_all(ABI_MAX))?
            .create()?
            .add_rules(path_beneath_rules([&config.data], writing))?
            .add_rules(path_beneath_rules(readable, reading))?
            .add_rules(path_beneath_rules(file_folder, AccessFs::ReadFile))?
            .add_rules(connects)?
            .restrict_self()?;
        Ok(restricted.ruleset)
    }

    /// Ports of other hosts' mail servers, of MTA-STS policies, and of DNS servers over TCP.
    fn outbound_ports(config: &Config) -> Vec<u16> {
        let Some(outbound) = &config.outbound else {
            let finds_hosts = config.authenticates() || config.store.kind == StoreKind::Postgres;
            return if finds_hosts { vec![DNS_PORT] } else { Vec::new() };
        };
        let smarthost = outbound.smarthost.iter().map(|smarthost| smarthost.address.port);
        let resolvers = outbound.resolver.iter().map(|server| server.0.port());
        [outbound.port, outbound.mta_sts_port, DNS_PORT]
            .into_iter()
            .chain(smarthost)
            .chain(resolvers)
            .collect()
    }

    /// Files that the system reads to find the database's hosts.
    fn resolver_files(config: &Config) -> Vec<PathBuf> {
        if config.store.kind == StoreKind::Text {
            return Vec::new();
        }
        let files = ["hosts", "host.conf", "nsswitch.conf", "resolv.conf", "gai.conf"];
        files.map(|file| Path::new("/etc").join(file)).to_vec()
    }

    /// Ports of the ACME directory and of DNS servers over TCP.
    fn acme_ports(tls: &Tls) -> Vec<u16> {
        let Tls::Acme(acme) = tls else { return Vec::new() };
        vec![acme.directory.port(), DNS_PORT]
    }

    /// Directories, because a renewed certificate replaces the old file. Symbolic links are followed.
    fn certificate_folders(tls: &Tls) -> Vec<PathBuf> {
        let Tls::Files { certificate, key } = tls else { return Vec::new() };
        let real = [certificate, key].into_iter().filter_map(|path| path.canonicalize().ok());
        let folders = [certificate, key].into_iter().cloned().chain(real);
        folders.filter_map(|path| path.parent().map(Path::to_owned)).collect()
    }
}
