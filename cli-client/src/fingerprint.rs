//! SHA-256 fingerprints of certificates.

use std::fmt::{self, Display, Write as _};
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

/// The format of `openssl x509 -fingerprint -sha256` and of the servers' log.
impl Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char(':')?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const INVALID: &str = "write it as 64 hexadecimal digits, with or without colons";
        let digits: Vec<u8> = text.trim().bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(INVALID);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = str::from_utf8(pair).map_err(|_| INVALID)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| INVALID)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_the_displayed_format_and_plain_digits() {
        let fingerprint = Fingerprint::of(&CertificateDer::from(b"any".to_vec()));
        let text = fingerprint.to_string();
        assert_eq!((text.len(), text.matches(':').count()), (95, 31));
        for text in [text.clone(), text.to_lowercase(), text.replace(':', "")] {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
    }

    #[test]
    fn parse_rejects_other_lengths_and_digits() {
        let text = Fingerprint::of(&CertificateDer::from(b"any".to_vec())).to_string();
        for text in ["", "12", &text[3..], &format!("{text}:00"), &text.replace(&text[..1], "x")] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
