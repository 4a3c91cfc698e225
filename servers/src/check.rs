//! `pennypost check`: reads configuration, certificate, accounts and mailboxes, and reports defects.

use std::io::{self, Write};
use std::time::SystemTime;

use config::{Config, StoreKind, Tls};
use mail_core::message::address::{Address, Domain, Host};
use mail_core::users::Username;
use mail_outbound::queue::QueueFiles;
use mail_outbound::store::QueueError;
use mail_postgres::PostgresQueue;
use mail_service::routing::is_role;
use mail_store::directory::{AccountAdmin, AliasAdmin, Directory, DirectoryError};
use mail_store::{Finding, MailboxAdmin};
use tls::{Certificate, IssuedFiles};

use crate::admin::run_blocking;
use crate::configured::{self, Storage};
use crate::privileges;
use crate::services::host_names;

/// Prints a line for each account and each defect. Returns whether there is no defect.
///
/// # Errors
/// The servers would not start with this configuration and these accounts: a sentence with the cause.
pub fn check(config: &Config) -> Result<bool, String> {
    if config.data.is_dir() {
        privileges::become_owner_of(&config.data)?;
    }
    let storage = Storage::new(config)?;
    let directory = storage.directory()?;
    let unit = match config.store.kind {
        StoreKind::Text => "octet",
        StoreKind::Postgres => "position",
    };
    let mut report = Report { out: io::stdout().lock(), unit, is_clean: true };
    run_blocking(async {
        storage.check().await?;
        configured::check_accounts(config, &directory).await?;
        report.check_passwords(&directory, config).await?;
        report.check_aliases(&directory, config).await?;
        let names = all_names(&directory).await?;
        report.check_certificate(config)?;
        report.check_queue(config)?;
        if let Some(queue) = storage.database_queue() {
            report.check_database_queue(config, &queue).await?;
        }
        for name in names {
            report.check_mailbox(&storage.mailboxes(), &name).await?;
        }
        Ok(report.is_clean)
    })
}

pub(crate) async fn all_names(directory: &impl AccountAdmin) -> Result<Vec<Username>, String> {
    let mut all = Vec::new();
    loop {
        let names = directory.names(all.last()).await.map_err(|error| error.to_string())?;
        if names.is_empty() {
            return Ok(all);
        }
        all.extend(names);
    }
}

/// Whether an account, another alias, a role or the catch-all receives mail for an address of a local domain.
async fn is_deliverable(
    directory: &impl Directory,
    address: &Address,
    domain: &Domain,
) -> Result<bool, DirectoryError> {
    if let Some(name) = address.local.username()
        && directory.find(&name).await?.is_some()
    {
        return Ok(true);
    }
    Ok(is_role(address)
        || directory.alias(address).await?.is_some()
        || directory.catch_all(domain).await?.is_some())
}

struct Report<W> {
    out: W,
    /// The unit of the place of a defect.
    unit: &'static str,
    is_clean: bool,
}

impl<W: Write> Report<W> {
    fn print(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.out, "{line}").map_err(|error| format!("cannot write to standard output: {error}"))
    }

    fn print_defect(&mut self, line: &str) -> Result<(), String> {
        self.is_clean = false;
        self.print(line)
    }

    /// Passwords in plain text are reported, but are not a defect.
    async fn check_passwords(
        &mut self,
        directory: &impl AccountAdmin,
        config: &Config,
    ) -> Result<(), String> {
        let place = configured::accounts_place(config);
        let weak = directory.weak_passwords().await.map_err(|error| error.to_string())?;
        for name in weak.plain {
            self.print(&format!(
                "{place}: the password of {name} is stored in plain text; `pennypost user hash` hashes it"
            ))?;
        }
        for name in weak.broken {
            self.print_defect(&format!(
                "{place}: the hash of {name} is broken; `pennypost user passwd {name}` sets a new password"
            ))?;
        }
        Ok(())
    }

    /// Every target of an alias is an account or another alias. A target on another host is a defect if no mail leaves this one.
    async fn check_aliases(
        &mut self,
        directory: &(impl Directory + AliasAdmin),
        config: &Config,
    ) -> Result<(), String> {
        let place = configured::aliases_place(config);
        let failed = |error: DirectoryError| error.to_string();
        for alias in directory.aliases().await.map_err(failed)? {
            for target in &alias.targets {
                let domain = alias.domain().unwrap_or_else(|| config.hostname.clone());
                let address = target.at(&Host::Domain(domain));
                let Host::Domain(domain) = &address.host else { continue };
                if !config.domains.contains(domain) {
                    if config.outbound.is_some() {
                        continue;
                    }
                    self.print_defect(&format!(
                        "{place}: {} points to {target} on another host, and no mail leaves this one; remove the target, or add [outbound] to the configuration",
                        alias.key
                    ))?;
                    continue;
                }
                if !is_deliverable(directory, &address, domain).await.map_err(failed)? {
                    self.print_defect(&format!(
                        "{place}: {} points to {target}, which is neither an account nor an alias; add it or remove the target",
                        alias.key
                    ))?;
                }
            }
        }
        Ok(())
    }

    /// A certificate that expires soon, or that the ACME directory has not issued yet, is reported, but is not a defect. The servers renew a
    /// self-signed one themselves.
    fn check_certificate(&mut self, config: &Config) -> Result<(), String> {
        let files = match &config.tls {
            Tls::Off | Tls::SelfSigned => return Ok(()),
            Tls::Acme(acme) => {
                let issued = IssuedFiles::new(&config.data);
                if !issued.is_issued_by(&acme.directory.to_string()) {
                    return self.print(&format!(
                        "{}: not issued by {} yet; `pennypost serve` requests it and logs failures",
                        issued.certificate().display(),
                        acme.directory
                    ));
                }
                Tls::Files { certificate: issued.certificate(), key: issued.key() }
            }
            files @ Tls::Files { .. } => files.clone(),
        };
        let certificate = match Certificate::open(&files, &config.data, config.hostname.as_str()) {
            Ok(certificate) => certificate.expect("TLS is configured"),
            Err(sentence) => return self.print_defect(&sentence),
        };
        let path = certificate.file();
        for finding in certificate.findings(&host_names(config), SystemTime::now()) {
            let line = format!("{}: {finding}", path.display());
            if finding.is_defect() { self.print_defect(&line) } else { self.print(&line) }?;
        }
        Ok(())
    }

    /// A message that nobody delivers is a defect; likewise below.
    fn check_queue(&mut self, config: &Config) -> Result<(), String> {
        let files = QueueFiles::new(configured::disk(config));
        let ids = files.ids().map_err(|error| error.to_string())?;
        if !ids.is_empty() && config.outbound.is_none() {
            self.print_defect(&format!(
                "queue: {} messages wait for other hosts, but the configuration has no [outbound]; add it, or remove the files",
                ids.len()
            ))?;
        }
        for id in ids {
            match files.read(&id) {
                Ok(_) | Err(QueueError::NotFound(_)) => {}
                Err(error) => self.print_defect(&error.to_string())?,
            }
        }
        Ok(())
    }

    async fn check_database_queue(&mut self, config: &Config, queue: &PostgresQueue) -> Result<(), String> {
        let text = |error: mail_store::StoreError| error.to_string();
        let (mut after, mut count) = (None, 0_usize);
        loop {
            let entries = queue.entries(after.as_ref()).await.map_err(text)?;
            let Some((last, _)) = entries.last() else { break };
            after = Some(last.clone());
            count += entries.len();
            for error in entries.into_iter().filter_map(|(_, queued)| queued.err()) {
                self.print_defect(&error.to_string())?;
            }
        }
        for id in queue.damaged().await.map_err(text)? {
            self.print_defect(&format!(
                "queue: the message {id} has lost a part of its content; remove it with `pennypost queue drop {id}`"
            ))?;
        }
        if count > 0 && config.outbound.is_none() {
            self.print_defect(&format!(
                "queue: {count} messages wait for other hosts, but the configuration has no [outbound]; add it, or remove them with `pennypost queue drop`"
            ))?;
        }
        Ok(())
    }

    async fn check_mailbox(&mut self, mailboxes: &impl MailboxAdmin, name: &Username) -> Result<(), String> {
        let location = mailboxes.location(name);
        let unit = self.unit;
        match mailboxes.check(name).await {
            Ok(report) => {
                self.print(&format!("{name}: {} messages, {} octets", report.messages, report.octets))?;
                report.findings.into_iter().try_for_each(|Finding { offset, description, remedy }| {
                    self.print_defect(&format!("{location}, {unit} {offset}: {description}; {remedy}"))
                })
            }
            Err(error) => self.print_defect(&format!("{location}: cannot be read: {error}")),
        }
    }
}
