//! Limits and errors of addresses.

/// RFC 5321 section 4.5.3.1.1, including quotes and backslashes. Paths may exceed it (section 4.5.3.1: implementations
/// should avoid limits): VERP and SRS produce longer ones.
pub const LOCAL_PART_OCTETS_MAX: usize = 64;
/// RFC 5321 section 4.5.3.1.2.
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// RFC 5321 section 4.5.3.1.3 allows paths of 256 octets including angle brackets.
pub const ADDRESS_OCTETS_MAX: usize = 254;
/// RFC 1035 section 2.3.4.
pub const LABEL_OCTETS_MAX: usize = 63;

/// The reason an address or path is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The address is empty.
    #[error("the address is missing")]
    Empty,
    /// The address is not UTF-8.
    #[error("the address is not valid UTF-8")]
    NotUtf8,
    /// No `@`.
    #[error("an address has the form X@Y; the \"@\" is missing")]
    NoAt,
    /// Nothing before the `@`.
    #[error("the name before the \"@\" is missing")]
    NoLocalPart,
    /// Over [`LOCAL_PART_OCTETS_MAX`].
    #[error("the part before the \"@\" is longer than 64 octets")]
    LocalPartTooLong,
    /// A character that is not allowed in a dot-string.
    #[error("{0:?} is not allowed before the \"@\" without quotes")]
    LocalPartChar(char),
    /// A character that is not allowed in a quoted string.
    #[error("{0:?} is not allowed in an address")]
    QuotedChar(char),
    /// A leading, trailing or repeated dot in the local part.
    #[error("the part before the \"@\" begins or ends with a dot, or has consecutive dots")]
    LocalPartDot,
    /// A quoted string without a closing quote.
    #[error("a quote in the part before the \"@\" is not closed")]
    UnclosedQuote,
    /// A quoted string that is not followed by `@`.
    #[error("the part before the \"@\" must be quoted as a whole")]
    AfterQuote,
    /// Nothing after the `@`.
    #[error("the domain after the \"@\" is missing")]
    NoDomain,
    /// Over [`DOMAIN_OCTETS_MAX`].
    #[error("the domain is longer than 255 octets")]
    DomainTooLong,
    /// A label over [`LABEL_OCTETS_MAX`].
    #[error("a part of the domain is longer than 63 octets")]
    LabelTooLong,
    /// A leading, trailing or repeated dot in the domain.
    #[error("the domain begins or ends with a dot, or has consecutive dots")]
    EmptyLabel,
    /// A label that begins or ends with a hyphen.
    #[error("a part of the domain begins or ends with a hyphen")]
    LabelHyphen,
    /// A character that is not allowed in a domain.
    #[error("{0:?} is not allowed in a domain")]
    DomainChar(char),
    /// A UTF-8 domain that is invalid under IDNA.
    #[error("the domain is not a valid internationalised name")]
    NotIdna,
    /// Invalid text in square brackets.
    #[error("the text in square brackets is not an IP address: write [192.0.2.1] or [IPv6:2001:db8::1]")]
    Literal,
    /// Over [`ADDRESS_OCTETS_MAX`].
    #[error("the address is longer than 254 octets")]
    TooLong,
    /// A `<` without its `>`.
    #[error("the \">\" after the address is missing")]
    UnclosedBracket,
    /// A source route that is not `@a,@b:`.
    #[error("the source route before the address is malformed")]
    SourceRoute,
    /// The null path as a recipient.
    #[error("the null address <> cannot receive mail")]
    NullRecipient,
    /// Text after the path without a space.
    #[error("{0:?} is not allowed after an address")]
    Trailing(char),
}
