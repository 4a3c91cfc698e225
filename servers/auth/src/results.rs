//! The results of the methods, in the words of RFC 8601 section 2.7.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_auth::common::crypto::Algorithm;
use mail_auth::dmarc::Policy;
use mail_auth::{
    ArcOutput, AuthenticatedMessage, DkimOutput, DkimResult, DmarcOutput, DmarcResult, DnsError, Error,
    IprevResult, SpfOutput, SpfResult,
};
use mail_core::message::authentication_results::MethodResult;

pub(crate) const TEMPORARY_ERROR: &str = "temperror";

/// Octets of a signature that tell it from others of the message (RFC 6008).
const SIGNATURE_PREFIX_OCTETS: usize = 6;

/// The error of a step that took too long.
pub(crate) fn timed_out() -> Error {
    Error::Dns(DnsError::Resolver("timed out".into()))
}

pub(crate) const fn iprev(result: &IprevResult) -> &'static str {
    match result {
        IprevResult::Pass => "pass",
        IprevResult::Fail(_) => "fail",
        IprevResult::TempError(_) => TEMPORARY_ERROR,
        IprevResult::PermError(_) => "permerror",
        IprevResult::None => "none",
    }
}

/// `identity` is the name of the property that was verified.
pub(crate) fn spf(output: &SpfOutput, identity: &'static str, value: &str) -> MethodResult {
    let result = match output.result() {
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::TempError => TEMPORARY_ERROR,
        SpfResult::PermError => "permerror",
        SpfResult::None => "none",
    };
    MethodResult { method: "spf", result, properties: vec![(identity, value.to_owned())] }
}

/// A result for each signature; `none` without one.
pub(crate) fn dkim(outputs: &[DkimOutput<'_>]) -> Vec<MethodResult> {
    if outputs.is_empty() {
        return vec![MethodResult { method: "dkim", result: "none", properties: Vec::new() }];
    }
    outputs.iter().map(signature).collect()
}

fn signature(output: &DkimOutput<'_>) -> MethodResult {
    let result = match output.result() {
        DkimResult::Pass => "pass",
        // RFC 8601 section 2.7.1: the signature could not be processed. The library counts a wrong body hash and an expired
        // signature as such, too.
        DkimResult::Neutral(Error::Dkim(_)) if output.signature().is_some() => "fail",
        DkimResult::Neutral(_) => "neutral",
        DkimResult::Fail(_) => "fail",
        DkimResult::PermError(_) => "permerror",
        DkimResult::TempError(_) => TEMPORARY_ERROR,
        DkimResult::None => "none",
    };
    let properties = output.signature().map_or_else(Vec::new, |signature| {
        let algorithm = match signature.a {
            Algorithm::RsaSha1 => "rsa-sha1",
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
        };
        let prefix = &signature.b[..signature.b.len().min(SIGNATURE_PREFIX_OCTETS)];
        vec![
            ("header.d", signature.d.clone()),
            ("header.s", signature.s.clone()),
            ("header.a", algorithm.to_owned()),
            ("header.b", BASE64.encode(prefix)),
        ]
    });
    MethodResult { method: "dkim", result, properties }
}

/// The results of signatures whose verification took too long.
pub(crate) fn unverified<'x>(message: &'x AuthenticatedMessage<'x>) -> Vec<DkimOutput<'x>> {
    let signatures = message.dkim_headers.iter();
    signatures.map(|signature| DkimOutput::temp_err(timed_out()).with_signature(&signature.header)).collect()
}

/// The result of the ARC chain, if there is one (RFC 8617 section 10.1). `None`: it took too long.
pub(crate) fn arc(
    message: &AuthenticatedMessage<'_>,
    output: Option<&ArcOutput<'_>>,
) -> Option<MethodResult> {
    if message.as_headers.is_empty() && !message.has_arc_errors {
        return None;
    }
    let result = match output.map(ArcOutput::result) {
        Some(DkimResult::Pass) => "pass",
        Some(DkimResult::None) => "none",
        Some(DkimResult::TempError(_)) | None => TEMPORARY_ERROR,
        Some(_) => "fail",
    };
    let sealer = message.as_headers.last().map(|seal| ("header.d", seal.header.d.clone()));
    Some(MethodResult { method: "arc", result, properties: sealer.into_iter().collect() })
}

/// No policy applies to authors of several domains, or of none.
pub(crate) fn unclear_authors() -> MethodResult {
    MethodResult { method: "dmarc", result: "permerror", properties: Vec::new() }
}

pub(crate) fn dmarc(output: &DmarcOutput) -> MethodResult {
    let result = match output.result() {
        DmarcResult::Pass => "pass",
        DmarcResult::Fail(_) => "fail",
        DmarcResult::TempError(_) => TEMPORARY_ERROR,
        DmarcResult::PermError(_) => "permerror",
        DmarcResult::None => "none",
    };
    let policy = match output.policy() {
        Policy::Reject => "reject",
        Policy::Quarantine => "quarantine",
        Policy::None | Policy::Unspecified => "none",
    };
    let mut properties = Vec::new();
    if !output.domain().is_empty() {
        properties.push(("header.from", output.domain().to_owned()));
    }
    if matches!(result, "pass" | "fail") {
        properties.push(("policy.dmarc", policy.to_owned()));
    }
    MethodResult { method: "dmarc", result, properties }
}
