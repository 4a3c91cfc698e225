//! Lenient MIME parser (RFC 2045 to 2047, RFC 2231, RFC 5322).
//!
//! | module | contents |
//! |---|---|
//! | `field` | header fields, the end of a header |
//! | `structure` | multiparts and their delimiters |
//! | `parameter`, `encoded_word` | RFC 2231 and RFC 2047 |
//! | `charset` | charset labels and the choice of a charset |
//! | `transfer`, `uuencode`, `flowed` | encodings of a body |
//! | `address`, `date`, `received`, `message_ids` | values of header fields |
//! | `body` | which parts are the text, the HTML and the attachments |
//! | `file_name` | names of attachments |
//! | `limits` | bounds for time and memory |
//!
//! Parsing never fails: malformed input is decoded as well as possible. Time is linear in the length of the message.
//! Parts borrow from the message and are decoded on request. A message inside a message (`message/rfc822`) is one part;
//! to see its parts, parse its content.
//!
//! HTML is not interpreted, except for its `<meta charset>`.

mod address;
mod body;
mod charset;
mod date;
mod encoded_word;
mod field;
mod file_name;
mod flowed;
mod limits;
mod message_ids;
mod parameter;
mod received;
mod structure;
mod transfer;
mod uuencode;

use std::borrow::Cow;

pub use address::{Mailbox, addresses};
pub use body::Layout;
pub use date::date;
pub use encoded_word::Context;
pub use field::{Field, Fields, fields, unfold_text};
pub use message_ids::message_ids;
pub use received::Received;
pub use transfer::Encoding;

use crate::message::platform::CharsetDecoder;

/// A parsed message.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// At least one; the first is the message itself. Every part follows its multipart.
    parts: Vec<Part<'a>>,
    decode: CharsetDecoder,
}

/// A message or a part of a multipart.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    parent: Option<usize>,
    header: &'a [u8],
    body: &'a [u8],
    /// The first Content-Type, unfolded.
    content_type: Option<Cow<'a, [u8]>>,
    /// The first Content-Disposition, unfolded.
    disposition: Option<Cow<'a, [u8]>>,
    /// The first Content-ID, folded.
    content_id: Option<&'a [u8]>,
    /// The first Content-Location, folded.
    content_location: Option<&'a [u8]>,
    encoding: Encoding,
    is_multipart: bool,
    /// A part of multipart/digest: without a Content-Type it is a message (RFC 2046 section 5.1.5).
    is_message_by_default: bool,
}

/// The header of a message.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    /// The header without the line that ends it.
    pub bytes: &'a [u8],
    root: Part<'a>,
    decode: CharsetDecoder,
}

const TEXT: (&[u8], &[u8]) = (b"text", b"plain");

/// A uuencoded file in a text part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedFile {
    /// The cleaned file name.
    pub name: String,
    /// The decoded content.
    pub bytes: Vec<u8>,
}

impl<'a> Header<'a> {
    /// Parses the header of a message; the body is not examined.
    #[must_use]
    pub fn parse(message: &'a [u8], decode: CharsetDecoder) -> Self {
        let (end, body) = field::header_end(message, 0, |_| false);
        Self {
            bytes: &message[..end],
            root: Part::new(&message[..end], &message[body..], None, false),
            decode,
        }
    }

    /// Whether the message is declared as multipart/mixed.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        let (kind, subtype) = self.root.declared_types();
        kind.eq_ignore_ascii_case(b"multipart") && subtype.eq_ignore_ascii_case(b"mixed")
    }

    /// Calls `decode` with the context for header text.
    pub fn with_context<T>(&self, decode: impl FnOnce(&Context<'_>) -> T) -> T {
        let charset = self.root.charset();
        decode(&Context { charset: charset.as_deref(), decode: self.decode })
    }
}

impl<'a> Message<'a> {
    /// Parses a message. `decode` converts charsets other than UTF-8 and windows-1252.
    #[must_use]
    pub fn parse(message: &'a [u8], decode: CharsetDecoder) -> Self {
        Self { parts: structure::parts(message), decode }
    }

    /// The message itself.
    #[must_use]
    pub fn root(&self) -> &Part<'a> {
        &self.parts[0]
    }

    /// All parts in the order of the message, multiparts included; the first is the message itself.
    #[must_use]
    pub fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// The selection of the displayed parts and the attachments.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout::new(&self.parts)
    }

    /// The decoded text of a text part, without embedded files.
    #[must_use]
    pub fn text(&self, part: &Part<'_>) -> (String, Vec<EmbeddedFile>) {
        let octets = part.encoding.decode_text(part.body);
        let charset = part.charset();
        if part.is_html() {
            return (charset::decode_html(charset.as_deref(), octets, self.decode), Vec::new());
        }
        let (octets, files) = match uuencode::extract(&octets) {
            Some((remaining, files)) => {
                let files = files.into_iter().map(|file| self.embedded(part, file)).collect();
                (Cow::Owned(remaining), files)
            }
            None => (octets, Vec::new()),
        };
        let text = charset::decode(charset.as_deref(), octets, self.decode);
        let is = |name, value: &[u8]| part.parameter(name).is_some_and(|own| own.eq_ignore_ascii_case(value));
        let text = if is("format", b"flowed") { flowed::unwrap(&text, is("delsp", b"yes")) } else { text };
        (text, files)
    }

    /// The file name of a part: cleaned, and never empty.
    #[must_use]
    pub fn file_name(&self, part: &Part<'_>) -> String {
        self.own_file_name(part).unwrap_or_else(|| file_name::default_name(&part.media_type()))
    }

    /// The identifier that HTML refers to with `cid:`, without angle brackets.
    #[must_use]
    pub fn content_id(&self, part: &Part<'_>) -> Option<String> {
        let id = field::unfold(part.content_id?);
        let id = self.with_context(part, |context| context.text(&id));
        let id = id.trim();
        let id = id.strip_prefix('<').unwrap_or(id);
        let id = id.strip_suffix('>').unwrap_or(id).trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    /// The URL that HTML refers to. A long URL may be folded at any position (RFC 2557 section 4.4.2).
    #[must_use]
    pub fn content_location(&self, part: &Part<'_>) -> Option<String> {
        let url = field::unfold(part.content_location?);
        let mut url = self.with_context(part, |context| context.text(&url));
        url.retain(|c| !c.is_whitespace());
        (!url.is_empty()).then_some(url)
    }

    fn own_file_name(&self, part: &Part<'_>) -> Option<String> {
        let fields = [(&part.disposition, "filename"), (&part.content_type, "name")];
        fields.into_iter().find_map(|(field, name)| {
            let value =
                self.with_context(part, |context| parameter::text(field.as_deref()?, name, context))?;
            file_name::clean(&value)
        })
    }

    fn embedded(&self, part: &Part<'_>, file: uuencode::File<'_>) -> EmbeddedFile {
        let name = self.with_context(part, |context| context.text(file.name));
        let name =
            file_name::clean(&name).unwrap_or_else(|| file_name::default_name("application/octet-stream"));
        EmbeddedFile { name, bytes: file.bytes }
    }

    /// The context for header text of a part: its own charset, else that of the message.
    fn with_context<T>(&self, part: &Part<'_>, decode: impl FnOnce(&Context<'_>) -> T) -> T {
        let charset = part.charset().or_else(|| self.root().charset());
        decode(&Context { charset: charset.as_deref(), decode: self.decode })
    }
}

impl<'a> Part<'a> {
    fn new(header: &'a [u8], body: &'a [u8], parent: Option<usize>, is_message_by_default: bool) -> Self {
        let mut part = Self {
            parent,
            header,
            body,
            content_type: None,
            disposition: None,
            content_id: None,
            content_location: None,
            encoding: Encoding::default(),
            is_multipart: false,
            is_message_by_default,
        };
        let mut has_encoding = false;
        for field in fields(header) {
            let Some((prefix, name)) = field.name.split_at_checked(8) else { continue };
            if !prefix.eq_ignore_ascii_case(b"Content-") {
                continue;
            }
            if name.eq_ignore_ascii_case(b"Type") {
                part.content_type.get_or_insert_with(|| field::unfold(field.value));
            } else if name.eq_ignore_ascii_case(b"Disposition") {
                part.disposition.get_or_insert_with(|| field::unfold(field.value));
            } else if name.eq_ignore_ascii_case(b"ID") {
                part.content_id.get_or_insert(field.value);
            } else if name.eq_ignore_ascii_case(b"Location") {
                part.content_location.get_or_insert(field.value);
            } else if name.eq_ignore_ascii_case(b"Transfer-Encoding") && !has_encoding {
                has_encoding = true;
                part.encoding = Encoding::parse(field.value);
            }
        }
        part
    }

    /// The index of the multipart that it belongs to.
    #[must_use]
    pub const fn parent(&self) -> Option<usize> {
        self.parent
    }

    /// Its header, as written.
    #[must_use]
    pub const fn header(&self) -> &'a [u8] {
        self.header
    }

    /// Its body, as written.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Whether it has parts.
    #[must_use]
    pub const fn is_multipart(&self) -> bool {
        self.is_multipart
    }

    /// Its media type in lower case, like `image/png`.
    #[must_use]
    pub fn media_type(&self) -> String {
        let (kind, subtype) = self.types();
        String::from_utf8_lossy(&[kind, b"/", subtype].concat()).to_ascii_lowercase()
    }

    /// Its content without the transfer encoding.
    #[must_use]
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        self.encoding.decode(self.body)
    }

    fn is_type(&self, kind: &str, subtype: &str) -> bool {
        let own = self.types();
        own.0.eq_ignore_ascii_case(kind.as_bytes()) && own.1.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Whether it is HTML to be shown.
    #[must_use]
    pub fn is_html(&self) -> bool {
        self.is_type("text", "html")
    }

    /// Type and subtype; a multipart without parts is text/plain.
    fn types(&self) -> (&[u8], &[u8]) {
        let declared = self.declared_types();
        let is_unusable = !self.is_multipart && declared.0.eq_ignore_ascii_case(b"multipart");
        if is_unusable { TEXT } else { declared }
    }

    /// Type and subtype as declared; an invalid media type is text/plain (RFC 2045 section 5.2).
    fn declared_types(&self) -> (&[u8], &[u8]) {
        let Some(value) = &self.content_type else {
            return if self.is_message_by_default { (b"message", b"rfc822") } else { TEXT };
        };
        let is_token = |byte: &u8| byte.is_ascii_graphic() && !b"/;=()<>@,:\"".contains(byte);
        let token = |text: &'_ [u8]| text.iter().position(|byte| !is_token(byte)).unwrap_or(text.len());
        let (kind, rest) = value.split_at(token(value));
        let rest = rest.trim_ascii_start().strip_prefix(b"/").unwrap_or_default().trim_ascii_start();
        let subtype = &rest[..token(rest)];
        let is = |name: &str| kind.eq_ignore_ascii_case(name.as_bytes());
        match (kind.is_empty(), subtype.is_empty()) {
            (false, false) => (kind, subtype),
            (false, true) if is("multipart") => (kind, b"mixed"),
            (false, true) if ["application", "audio", "image", "video"].into_iter().any(is) => {
                (b"application", b"octet-stream")
            }
            _ => TEXT,
        }
    }

    /// The boundary of a multipart.
    fn boundary(&self) -> Option<Vec<u8>> {
        if !self.declared_types().0.eq_ignore_ascii_case(b"multipart") {
            return None;
        }
        let boundary = self.parameter("boundary")?;
        let boundary = boundary.trim_ascii_end();
        (!boundary.is_empty()).then(|| boundary.to_vec())
    }

    fn charset(&self) -> Option<Cow<'_, [u8]>> {
        self.parameter("charset")
    }

    fn parameter(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        parameter::token(self.content_type.as_deref()?, name)
    }

    fn has_name(&self) -> bool {
        let has = |field: &Option<Cow<'a, [u8]>>, name| {
            field
                .as_deref()
                .is_some_and(|field| parameter::token(field, name).is_some_and(|name| !name.is_empty()))
        };
        has(&self.disposition, "filename") || has(&self.content_type, "name")
    }

    /// Whether the sender declared it an attachment. Unknown dispositions count as attachment (RFC 2183 section 2.8).
    fn is_attachment(&self) -> bool {
        self.disposition.as_deref().is_some_and(|value| {
            let end = value.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
            let (token, rest) = value.split_at(end.unwrap_or(value.len()));
            !token.is_empty() && !rest.starts_with(b"=") && !token.eq_ignore_ascii_case(b"inline")
        })
    }
}
