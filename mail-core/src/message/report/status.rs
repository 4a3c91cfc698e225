//! The meaning of enhanced status codes: RFC 3463 section 3 and the registry of RFC 5248.

use crate::smtp::reply::EnhancedCode;

/// The meaning of a code as a clause that continues "Not delivered to ...:". An unknown detail has the meaning of its
/// subject. `None` for an unknown subject and for codes without a meaning, such as 5.0.0.
#[must_use]
pub const fn explanation(code: EnhancedCode) -> Option<&'static str> {
    match known(code.subject(), code.detail()) {
        Some(text) => Some(text),
        None => known(code.subject(), 0),
    }
}

/// Whether the code says more than its subject.
pub(super) const fn is_specific(code: EnhancedCode) -> bool {
    code.detail() != 0 && known(code.subject(), code.detail()).is_some()
}

const fn known(subject: u16, detail: u16) -> Option<&'static str> {
    match subject {
        1 => address(detail),
        2 => mailbox(detail),
        3 => mail_system(detail),
        4 => network(detail),
        5 => protocol(detail),
        6 => content(detail),
        7 => policy(detail),
        _ => None,
    }
}

const fn address(detail: u16) -> Option<&'static str> {
    Some(match detail {
        0 => "the address was not accepted",
        1 => "no such user",
        2 => "the domain does not exist or has no mail server",
        3 => "the address is not valid",
        4 => "the address is ambiguous",
        6 => "the mailbox has moved, and no new address is known",
        7 => "the sender's address is not valid",
        8 => "the sender's domain does not exist or is not accepted",
        9 => "the message was passed to a server that sends no reports",
        10 => "the address or its domain accepts no mail",
        _ => return None,
    })
}

const fn mailbox(detail: u16) -> Option<&'static str> {
    Some(match detail {
        0 => "the mailbox did not accept the message",
        1 => "the mailbox is disabled",
        2 => "the mailbox is full",
        3 => "the message is too large for the mailbox",
        4 => "the mailing list could not be expanded",
        _ => return None,
    })
}

const fn mail_system(detail: u16) -> Option<&'static str> {
    Some(match detail {
        0 => "the mail server has a problem",
        1 => "the mail server has no space left",
        2 => "the mail server accepts no mail now",
        3 => "the mail server lacks a feature that the message needs",
        4 => "the message is too large for the mail server",
        5 => "the mail server is configured incorrectly",
        _ => return None,
    })
}

const fn network(detail: u16) -> Option<&'static str> {
    Some(match detail {
        0 => "the mail server could not be reached",
        1 => "the mail server does not answer",
        2 => "the connection to the mail server was lost",
        3 => "a name could not be looked up",
        4 => "no route to the mail server was found",
        5 => "the mail server is overloaded",
        6 => "the message is in a loop",
        7 => "the message could not be delivered in time",
        _ => return None,
    })
}

const fn protocol(detail: u16) -> Option<&'static str> {
    Some(match detail {
        0 => "a protocol error occurred between the mail servers",
        1 | 2 | 4 => "the mail server did not accept a command",
        3 => "the message has too many recipients",
        5 => "the mail servers use different versions of the protocol",
        6 => "the authentication data is too long",
        _ => return None,
    })
}

const fn content(detail: u16) -> Option<&'static str> {
    Some(match detail {
        0 => "the content of the message was not accepted",
        1 => "the type of the content is not accepted",
        2 | 3 => "the message would need a conversion that is prohibited or not supported",
        4 => "the message was converted with a loss",
        5 => "the message could not be converted",
        6 => "the content of the message is not available",
        7 => "the mail server does not accept addresses that are not ASCII",
        8 | 10 => "the mail server's reply needs UTF-8, which the sending server does not support",
        9 => "the mail server does not accept header fields in UTF-8",
        _ => return None,
    })
}

const fn policy(detail: u16) -> Option<&'static str> {
    Some(match detail {
        0 | 1 => "the mail server refuses the message by its rules",
        2 => "the sender may not write to the mailing list",
        3 | 4 => "the mail server lacks a security feature that the message needs",
        5 | 6 => "the mail server could not decrypt the message",
        7 => "the message was altered in transit",
        8 => "the mail server refused the sending server's credentials",
        10 => "the mail server requires encryption",
        13 => "the account is disabled",
        14 => "the mail server needs a trust relationship",
        15 => "the priority of the message is too low",
        16 => "the message is too large for its priority",
        17 => "the mailbox has a new owner",
        18 => "the domain has a new owner",
        19 => "the owner of the mailbox could not be verified",
        20..=22 => "the message has no acceptable DKIM signature",
        23 | 24 => "the sender's server may not send for this domain (SPF)",
        25 => "the sender's server has no valid host name (reverse DNS)",
        26 => "the message failed several authentication checks",
        27 => "the sender's domain accepts no mail",
        28 => "the sender sent too many messages",
        29 => "the message failed the ARC check",
        30 => "the next mail server does not promise to use encrypted connections (REQUIRETLS)",
        _ => return None,
    })
}
