//! Limits of the reader. They bound time and memory for hostile input and are far above what real mail needs.

/// Header octets that are searched for fields. 3,000 recipients need 125 kB.
pub(super) const HEADER_BYTES_MAX: usize = 1 << 20;
/// Nested multiparts. Every delimiter line is compared with the boundary of each open multipart, so the depth bounds
/// the work per line. Mailing lists and gateways reach about 8.
pub(super) const DEPTH_MAX: usize = 32;
/// Parts of a message. The last one contains the remaining text. A part costs about 300 bytes of memory.
pub(super) const PARTS_MAX: usize = 10_000;
/// Parameters of a header field, segments of RFC 2231 included. Long file names need about 20 segments.
pub(super) const PARAMETERS_MAX: usize = 200;
/// Mailboxes of an address field.
pub(super) const ADDRESSES_MAX: usize = 10_000;
/// Identifiers of a References or In-Reply-To field. A reply copies all of them.
pub(super) const MESSAGE_IDS_MAX: usize = 1_000;
/// Octets at the start of an HTML part that are searched for `<meta charset>`. HTML asks for it in the first 1,024;
/// mail programs put comments and styles before it.
pub(super) const META_BYTES_MAX: usize = 8_192;
/// Characters of a file name; file systems allow 255 bytes.
pub(super) const FILE_NAME_CHARS_MAX: usize = 120;
