//! `[tls]`: which certificate the servers show.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[tls]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub enum Tls {
    /// There is no TLS.
    #[default]
    Off,
    /// A chain, its leaf first, and the leaf's key, in PEM form.
    Files { certificate: PathBuf, key: PathBuf },
    /// One that is made here and signs itself, kept in the data directory.
    SelfSigned,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    self_signed: bool,
}

impl TryFrom<Keys> for Tls {
    type Error = &'static str;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        match (keys.certificate, keys.key, keys.self_signed) {
            (None, None, false) => Ok(Self::Off),
            (None, None, true) => Ok(Self::SelfSigned),
            (Some(certificate), Some(key), false) => Ok(Self::Files { certificate, key }),
            (Some(_), None, false) => Err("[tls] has `certificate` without `key`: name the key's file too"),
            (None, Some(_), false) => {
                Err("[tls] has `key` without `certificate`: name the certificate's file too")
            }
            (_, _, true) => {
                Err("[tls] has `self_signed = true` beside `certificate` or `key`: only one of them can be")
            }
        }
    }
}

impl Tls {
    /// Makes relative paths relative to `folder`.
    pub(crate) fn place_in(&mut self, folder: &Path) {
        if let Self::Files { certificate, key } = self {
            *certificate = folder.join(&*certificate);
            *key = folder.join(&*key);
        }
    }
}
