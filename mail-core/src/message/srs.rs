//! The Sender Rewriting Scheme: the reverse-path of forwarded mail.
//!
//! A host that forwards mail to another domain may not send it with the original reverse-path, because SPF (RFC 7208) of the
//! original domain does not name the host. The host rewrites the reverse-path to an address of its own domain that contains the
//! original one. Reports about the mail return to the host, which restores the address.
//!
//! ```text
//! ag@iit.edu              forwarded by a.example:  SRS0=hash=timestamp=iit.edu=ag@a.example
//! SRS0=...@a.example      forwarded by b.example:  SRS1=hash=a.example==hash=timestamp=iit.edu=ag@b.example
//! SRS1=...@b.example      forwarded by c.example:  SRS1=hash=a.example==hash=timestamp=iit.edu=ag@c.example
//! ```
//!
//! The hash proves that the host made the address, so that nobody can use it to send mail to others. The timestamp, a day, limits the
//! time for which a known address is valid. The scheme has no RFC; its paper is by Wong (2004). Each host checks its own hashes only, so
//! hosts need not use the same function.
//!
//! Some systems change the case of a local part. The hash therefore covers the address in lower case and is compared without
//! case; the original case may be lost.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::address::{Address, AddressError, Domain, Host, LocalPart};
use crate::secret::Secret;

/// Days for which an address is valid. Servers retry for five days; a report about a delayed report takes longer.
const VALID_DAYS: i64 = 21;
/// Days after which the timestamp repeats: two digits of base 32.
const TIMESTAMP_CYCLE_DAYS: i64 = 1_024;
/// Characters of a hash. Without their case, they have about 31 bits: too many to guess over SMTP while an address is valid.
const HASH_CHARS: usize = 6;
/// The digits of the timestamp.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The reason an address cannot be rewritten or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrsError {
    /// The rewritten local part would exceed 64 octets (RFC 5321 section 4.5.3.1.1).
    #[error("the rewritten address is too long")]
    TooLong,
    /// The address was not made by the scheme for this domain.
    #[error("not a rewritten address of this host")]
    NotRewritten,
    /// The hash is wrong.
    #[error("the hash of the address is wrong")]
    Forged,
    /// The address is older than 21 days.
    #[error("the address has expired")]
    Expired,
    /// The original address is invalid.
    #[error("the original address is invalid: {0}")]
    Address(#[from] AddressError),
}

/// Rewrites and restores the addresses of one forwarding host.
#[derive(Debug, Clone)]
pub struct Srs {
    key: Secret<Vec<u8>>,
    domain: Domain,
}

/// The parts of a rewritten local part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rewritten<'a> {
    /// `SRS0=hash=timestamp=domain=local`.
    Srs0 { hash: &'a str, timestamp: &'a str, host: &'a str, local: &'a str },
    /// `SRS1=hash=host=rest`: the first forwarder, and what followed `SRS0` in its local part.
    Srs1 { hash: &'a str, host: &'a str, rest: &'a str },
}

impl Srs {
    /// `key` is secret and lasts longer than the addresses; at least 16 random octets. Mail to `domain` reaches this host.
    #[must_use]
    pub const fn new(key: Secret<Vec<u8>>, domain: Domain) -> Self {
        Self { key, domain }
    }

    /// The reverse-path with which mail from `sender` is forwarded. An address of the own domain is returned unchanged.
    ///
    /// # Errors
    /// [`SrsError::TooLong`].
    pub fn forward(&self, sender: &Address, now: DateTime<Utc>) -> Result<Address, SrsError> {
        if self.is_own(&sender.host) {
            return Ok(sender.clone());
        }
        let local = sender.local.as_str();
        let host = sender.host.to_string();
        let rewritten = match (Rewritten::parse(local), strip_tag(local, "SRS0")) {
            (Some(Rewritten::Srs1 { host, rest, .. }), _) => self.format_srs1(host, rest),
            (_, Some(rest)) => self.format_srs1(&host, rest),
            _ => {
                let timestamp = format_timestamp(day_number(now));
                let hash = self.hash(&[&timestamp, &host, local]);
                format!("SRS0={hash}={timestamp}={host}={local}")
            }
        };
        // All its characters occur in a valid address, so only its length can be invalid.
        let local = local_part(&rewritten).map_err(|_| SrsError::TooLong)?;
        Ok(Address { local, host: Host::Domain(self.domain.clone()) })
    }

    /// The address from which [`forward`](Self::forward) made `recipient`: the original sender, or the address of the first
    /// forwarder. Accept mail for it from the null reverse-path only.
    ///
    /// # Errors
    /// The address is not a rewritten one, forged, expired, or contains an invalid address.
    pub fn reverse(&self, recipient: &Address, now: DateTime<Utc>) -> Result<Address, SrsError> {
        let rewritten = Rewritten::parse(recipient.local.as_str()).filter(|_| self.is_own(&recipient.host));
        match rewritten.ok_or(SrsError::NotRewritten)? {
            Rewritten::Srs0 { hash, timestamp, host, local } => {
                self.verify(hash, &[timestamp, host, local])?;
                let day = parse_timestamp(timestamp).ok_or(SrsError::NotRewritten)?;
                if (day_number(now) - day).rem_euclid(TIMESTAMP_CYCLE_DAYS) > VALID_DAYS {
                    return Err(SrsError::Expired);
                }
                Ok(Address { local: local_part(local)?, host: Host::parse(host)? })
            }
            // The first forwarder checks the timestamp.
            Rewritten::Srs1 { hash, host, rest } => {
                self.verify(hash, &[host, rest])?;
                Ok(Address { local: local_part(&format!("SRS0{rest}"))?, host: Host::parse(host)? })
            }
        }
    }

    /// Whether the address looks like one that [`reverse`](Self::reverse) restores.
    #[must_use]
    pub fn is_rewritten(&self, recipient: &Address) -> bool {
        self.is_own(&recipient.host) && Rewritten::parse(recipient.local.as_str()).is_some()
    }

    fn is_own(&self, host: &Host) -> bool {
        matches!(host, Host::Domain(domain) if *domain == self.domain)
    }

    fn format_srs1(&self, host: &str, rest: &str) -> String {
        format!("SRS1={}={host}={rest}", self.hash(&[host, rest]))
    }

    fn hash(&self, parts: &[&str]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.expose()).expect("HMAC takes keys of any length");
        mac.update(parts.join("=").to_lowercase().as_bytes());
        let mut hash = STANDARD.encode(mac.finalize().into_bytes());
        hash.truncate(HASH_CHARS);
        hash
    }

    fn verify(&self, hash: &str, parts: &[&str]) -> Result<(), SrsError> {
        let [hash, expected] = [hash, &self.hash(parts)].map(str::to_ascii_lowercase);
        let is_equal = bool::from(hash.as_bytes().ct_eq(expected.as_bytes()));
        if is_equal { Ok(()) } else { Err(SrsError::Forged) }
    }
}

impl<'a> Rewritten<'a> {
    fn parse(local: &'a str) -> Option<Self> {
        if let Some(rest) = strip_tag(local, "SRS0") {
            let mut parts = rest[1..].splitn(4, '=');
            let (hash, timestamp, host) = (parts.next()?, parts.next()?, parts.next()?);
            return Some(Self::Srs0 { hash, timestamp, host, local: parts.next()? });
        }
        let mut parts = strip_tag(local, "SRS1")?[1..].splitn(3, '=');
        let (hash, host, rest) = (parts.next()?, parts.next()?, parts.next()?);
        rest.starts_with(SEPARATORS).then_some(Self::Srs1 { hash, host, rest })
    }
}

/// The separators after the tag.
const SEPARATORS: [char; 3] = ['=', '+', '-'];

/// The local part after a tag in any case, with the separator that follows.
fn strip_tag<'a>(local: &'a str, tag: &str) -> Option<&'a str> {
    let (start, rest) = local.split_at_checked(tag.len())?;
    (start.eq_ignore_ascii_case(tag) && rest.starts_with(SEPARATORS)).then_some(rest)
}

/// A local part from its text without quotes.
fn local_part(text: &str) -> Result<LocalPart, AddressError> {
    LocalPart::parse(text).or_else(|_| {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        LocalPart::parse(&format!("\"{escaped}\""))
    })
}

fn day_number(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(24 * 60 * 60)
}

fn format_timestamp(day: i64) -> String {
    let digit = |shift: u32| char::from(BASE32[usize::try_from((day >> shift) & 31).unwrap_or(0)]);
    [digit(5), digit(0)].iter().collect()
}

/// The day modulo [`TIMESTAMP_CYCLE_DAYS`].
fn parse_timestamp(text: &str) -> Option<i64> {
    let digit = |byte: u8| {
        let position = BASE32.iter().position(|digit| *digit == byte.to_ascii_uppercase())?;
        i64::try_from(position).ok()
    };
    let [high, low] = <[u8; 2]>::try_from(text.as_bytes()).ok()?;
    Some(digit(high)? * 32 + digit(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn srs(domain: &str) -> Srs {
        Srs::new(Secret::new(b"tops3cr3t".to_vec()), Domain::parse(domain).expect("a domain"))
    }

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    fn day(days: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_577_836_860 + days * 86_400, 0).expect("a time")
    }

    fn forward(domain: &str, sender: &str) -> String {
        srs(domain).forward(&address(sender), day(0)).expect("it fits").to_string()
    }

    fn reverse(domain: &str, recipient: &str) -> Result<String, SrsError> {
        srs(domain).reverse(&address(recipient), day(0)).map(|address| address.to_string())
    }

    /// The formats are those of the paper; the day is that of PostSRSd's tests, 1 January 2020.
    #[test]
    fn chain_of_forwarders_is_reversed_in_two_steps() {
        let first = forward("a.example", "ag@iit.edu");
        let (hash, rest) = first.strip_prefix("SRS0=").expect("SRS0").split_at(HASH_CHARS);
        assert_eq!(rest, "=2W=iit.edu=ag@a.example");
        let second = forward("b.example", &first);
        let opaque = format!("=a.example=={hash}=2W=iit.edu=ag");
        assert!(second.starts_with("SRS1=") && second.ends_with(&format!("{opaque}@b.example")), "{second}");
        let third = forward("c.example", &second);
        assert!(third.starts_with("SRS1=") && third.ends_with(&format!("{opaque}@c.example")), "{third}");

        assert_eq!(reverse("c.example", &third), Ok(first.clone()));
        assert_eq!(reverse("b.example", &second), Ok(first.clone()));
        assert_eq!(reverse("a.example", &first), Ok("ag@iit.edu".to_owned()));
    }

    #[test]
    fn addresses_of_other_programs_are_forwarded_again() {
        for (sender, rest) in [
            ("SRS0+yf09=Cw=orig.com=user@fwd.example", "=fwd.example=+yf09=Cw=orig.com=user@b.example"),
            ("srs0-x@fwd.example", "=fwd.example=-x@b.example"),
            ("SRS1=Xyz=fwd.example==vmyz=2W=o.com=t@x.example", "=fwd.example==vmyz=2W=o.com=t@b.example"),
        ] {
            let forwarded = forward("b.example", sender);
            assert!(forwarded.starts_with("SRS1=") && forwarded.ends_with(rest), "{forwarded}");
            let restored = reverse("b.example", &forwarded).expect("valid");
            assert!(restored.ends_with("@fwd.example") && restored.starts_with("SRS0"), "{restored}");
        }
        // Not complete, so it is an address like any other.
        assert!(forward("b.example", "SRS1=x@a.example").starts_with("SRS0="));
    }

    #[test]
    fn changed_case_is_accepted_and_changed_text_is_not() {
        let rewritten = forward("a.example", "Ag.Mitra@iit.edu");
        for changed in [rewritten.to_lowercase(), rewritten.to_uppercase()] {
            let restored = reverse("a.example", &changed).expect("the hash ignores case");
            assert!(restored.eq_ignore_ascii_case("ag.mitra@iit.edu"), "{restored}");
        }
        for changed in [
            rewritten.replace("=iit.", "=evil."),
            rewritten.replace("=Ag", "=Bg"),
            rewritten.replace("=2W=", "=2X="),
        ] {
            assert_eq!(reverse("a.example", &changed), Err(SrsError::Forged), "{changed}");
        }
        let short = format!("SRS0={}", &rewritten["SRS0=x".len()..]);
        assert_eq!(reverse("a.example", &short), Err(SrsError::Forged));
        let other =
            Srs::new(Secret::new(b"another key".to_vec()), Domain::parse("a.example").expect("a domain"));
        assert_eq!(other.reverse(&address(&rewritten), day(0)), Err(SrsError::Forged));
    }

    #[test]
    fn address_expires_after_three_weeks() {
        let srs = srs("a.example");
        // The last days of a cycle, whose number is small again soon after.
        for start in [0, 700, 1_023] {
            let rewritten = srs.forward(&address("ag@iit.edu"), day(start)).expect("it fits");
            for age in [0, 1, 21] {
                assert!(srs.reverse(&rewritten, day(start + age)).is_ok(), "{start} {age}");
            }
            for age in [-1, 22, 500, 1_023] {
                assert_eq!(
                    srs.reverse(&rewritten, day(start + age)),
                    Err(SrsError::Expired),
                    "{start} {age}"
                );
            }
        }
    }

    #[test]
    fn other_addresses_are_not_reversed() {
        for other in [
            "ag@a.example",
            "SRS0@a.example",
            "SRS0=x@a.example",
            "SRS0=a=b=c@a.example",
            "SRS1=a=b=c@a.example",
        ] {
            assert_eq!(reverse("a.example", other), Err(SrsError::NotRewritten), "{other}");
            assert!(!srs("a.example").is_rewritten(&address(other)));
        }
        let rewritten = forward("a.example", "ag@iit.edu");
        assert_eq!(reverse("b.example", &rewritten), Err(SrsError::NotRewritten));
        assert!(srs("a.example").is_rewritten(&address(&rewritten)));
    }

    #[test]
    fn own_addresses_are_unchanged_and_long_ones_refused() {
        assert_eq!(forward("a.example", "ag@A.example"), "ag@A.example");
        let srs = srs("a.example");
        let sender = |octets: usize| address(&format!("{}@iit.edu", "x".repeat(octets)));
        // `SRS0=`, the hash, `=2W=`, `iit.edu` and `=` have 23 octets.
        assert_eq!(srs.forward(&sender(41), day(0)).map(|address| address.local.as_str().len()), Ok(64));
        assert_eq!(srs.forward(&sender(42), day(0)), Err(SrsError::TooLong));
    }

    #[test]
    fn quoted_and_literal_addresses_are_restored() {
        for sender in [
            "\"a b\"@iit.edu",
            "\"a\\\"=\\\\b\"@iit.edu",
            "a=b@iit.edu",
            "ag@[192.0.2.1]",
            "é@bücher.example",
        ] {
            let rewritten = forward("a.example", sender);
            assert_eq!(reverse("a.example", &rewritten), Ok(sender.to_owned()), "{rewritten}");
        }
    }

    proptest! {
        #[test]
        fn reverse_restores_what_forward_made(local in "[!-~]{1,20}", domain in "[a-z]{1,10}\\.[a-z]{2,4}", days in 0_i64..5_000) {
            let Ok(sender) = Address::parse(&format!("{local}@{domain}")) else { return Ok(()) };
            let srs = srs("a.example");
            let rewritten = srs.forward(&sender, day(days)).expect("it fits");
            prop_assert_eq!(Address::parse(&rewritten.to_string()), Ok(rewritten.clone()));
            prop_assert_eq!(srs.reverse(&rewritten, day(days + 5)), Ok(sender));
        }

        #[test]
        fn no_address_panics(local in "(SRS[01]|srs0|=|-|a|A7|iit.edu|é){0,9}") {
            let Ok(recipient) = Address::parse(&format!("{local}@a.example")) else { return Ok(()) };
            prop_assert!(srs("a.example").reverse(&recipient, day(0)).is_err());
            let _ = srs("b.example").forward(&recipient, day(0));
        }
    }
}
