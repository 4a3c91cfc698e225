//! `pennypost user add --from-csv`: adds the accounts of a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use mail_core::users::Username;
use mail_store::directory::AccountAdmin;

use crate::admin::{check_password, print};

/// A password and a name are much shorter. Anything larger is another kind of file.
const FILE_OCTETS_MAX: u64 = 64 << 20;

/// Adds an account for each line: its name, a comma and its password. Quotes, as in RFC 4180, permit a comma in a password. A first
/// line `name,password` is a header.
///
/// # Errors
/// A sentence: the file cannot be read, or some accounts were not added.
pub(crate) async fn add(directory: &impl AccountAdmin, path: &Path) -> Result<(), String> {
    let cannot_read = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
    let input: Box<dyn Read> = match path {
        path if path == Path::new("-") => Box::new(io::stdin().lock()),
        path => Box::new(File::open(path).map_err(|error| cannot_read(&error))?),
    };
    let mut text = Vec::new();
    input.take(FILE_OCTETS_MAX + 1).read_to_end(&mut text).map_err(|error| cannot_read(&error))?;
    if text.len() as u64 > FILE_OCTETS_MAX {
        return Err(cannot_read(&"it is larger than 64 MiB; split it"));
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_slice());
    let (mut added, mut failed) = (0_u64, 0_u64);
    for record in reader.records() {
        let record = record.map_err(|error| cannot_read(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields: Vec<&str> = record.iter().collect();
        if line == 1 && fields == ["name", "password"] {
            continue;
        }
        match add_one(directory, &fields).await {
            Ok(name) => {
                added += 1;
                print(&format!("added {name}"))?;
            }
            Err(reason) => {
                failed += 1;
                print(&format!("{}, line {line}: {reason}", path.display()))?;
            }
        }
    }
    if failed > 0 {
        return Err(format!("added {added} accounts, but not the {failed} named above"));
    }
    print(&format!("added {added} accounts"))
}

async fn add_one(directory: &impl AccountAdmin, fields: &[&str]) -> Result<Username, String> {
    let [name, password] = fields else {
        return Err("the line must have a name and a password, separated by a comma".to_owned());
    };
    let name = Username::parse(name.trim()).map_err(|error| error.to_string())?;
    let password = check_password((*password).to_owned())?;
    directory.add(&name, &password).await.map_err(|error| error.to_string())?;
    Ok(name)
}
