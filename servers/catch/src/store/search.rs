//! The searchable text of a message, in lower case, in one allocation.

use memchr::memmem::Finder;

/// Octets of text in memory. The rest of a longer message is read from its file.
const TEXT_OCTETS_MAX: usize = 4 << 10;
/// Maximum size of a text with a filter, in octets.
const FILTERED_OCTETS_MAX: usize = 1 << 20;
const FILTER_BITS_MIN: usize = 512;
const FILTER_BITS_MAX: usize = 1 << 17;

/// A part of [`SearchText`]. The addresses are together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    From,
    To,
    Cc,
    Bcc,
    ReplyTo,
    Subject,
    MessageId,
}

const FIELDS: usize = 7;

/// Text of a message's body, until the fields are known.
#[derive(Debug)]
pub(crate) struct BodyText {
    text: String,
    is_complete: bool,
    trigrams: TrigramFilter,
}

/// Fields and text. No word contains the LF that ends a field.
#[derive(Debug)]
pub(crate) struct SearchText {
    /// The fields, and the beginning of the text.
    texts: Box<str>,
    /// The end of each field.
    ends: [u32; FIELDS],
    /// Whether `texts` has all of the text.
    is_complete: bool,
    trigrams: TrigramFilter,
}

/// A word or phrase in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    finder: Finder<'static>,
    hashes: Vec<u32>,
}

/// A Bloom filter of all groups of three octets: it excludes most messages that do not contain a word, without reading their text.
#[derive(Debug, Default)]
struct TrigramFilter {
    /// A power of two; empty if the filter excludes nothing.
    bits: Box<[u64]>,
}

impl BodyText {
    pub(crate) fn new(text: &str) -> Self {
        let is_complete = text.len() <= TEXT_OCTETS_MAX;
        let mut trigrams = TrigramFilter::default();
        let kept = &text[..text.floor_char_boundary(TEXT_OCTETS_MAX)];
        if text.len() > FILTERED_OCTETS_MAX {
            return Self { text: kept.to_lowercase(), is_complete, trigrams };
        }
        let lower = text.to_lowercase();
        trigrams.resize(lower.len());
        trigrams.add(&lower);
        let text = if is_complete { lower } else { kept.to_lowercase() };
        Self { text, is_complete, trigrams }
    }
}

impl SearchText {
    /// `fields` are in the order of [`Field`], in lower case.
    pub(crate) fn new(fields: [String; FIELDS], body: BodyText) -> Self {
        let BodyText { text, is_complete, mut trigrams } = body;
        let octets: usize = fields.iter().map(|field| field.len() + 1).sum();
        let mut texts = String::with_capacity(octets + text.len());
        let ends = fields.map(|field| {
            trigrams.add(&field);
            texts.push_str(&field);
            texts.push('\n');
            u32::try_from(texts.len()).unwrap_or(u32::MAX)
        });
        texts.push_str(&text);
        Self { texts: texts.into(), ends, is_complete, trigrams }
    }

    pub(crate) fn field(&self, field: Field) -> &str {
        let index = field as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.slice(start, self.ends[index])
    }

    /// All address fields.
    pub(crate) fn addresses(&self) -> &str {
        self.slice(0, self.ends[Field::ReplyTo as usize])
    }

    fn slice(&self, start: u32, end: u32) -> &str {
        self.texts.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Whether the fields and the text contain a word; `read_all` searches the whole text, if only a part of it is in memory.
    pub(crate) fn contains(&self, needle: &Needle, read_all: impl FnOnce() -> bool) -> bool {
        self.trigrams.may_contain(needle) && (needle.is_in(&self.texts) || (!self.is_complete && read_all()))
    }
}

impl Needle {
    pub(crate) fn new(text: &str) -> Self {
        let hashes = trigrams(text.as_bytes()).collect();
        Self { finder: Finder::new(text).into_owned(), hashes }
    }

    /// `text` is in lower case.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.finder.find(text.as_bytes()).is_some()
    }
}

impl TrigramFilter {
    /// Space for a text, with a bit for each octet. The fields are small compared with it, or with the minimum.
    fn resize(&mut self, octets: usize) {
        let bits = octets.next_power_of_two().clamp(FILTER_BITS_MIN, FILTER_BITS_MAX);
        self.bits = vec![0; bits / 64].into();
    }

    /// The word and the bit of a hash.
    fn place(&self, hash: u32) -> Option<(usize, u64)> {
        let bit =
            (hash >> (32 - FILTER_BITS_MAX.ilog2())) as usize & (self.bits.len() * 64).checked_sub(1)?;
        Some((bit / 64, 1 << (bit % 64)))
    }

    fn add(&mut self, text: &str) {
        for hash in trigrams(text.as_bytes()) {
            if let Some((word, bit)) = self.place(hash) {
                self.bits[word] |= bit;
            }
        }
    }

    fn may_contain(&self, needle: &Needle) -> bool {
        needle
            .hashes
            .iter()
            .all(|hash| self.place(*hash).is_none_or(|(word, bit)| self.bits[word] & bit != 0))
    }
}

/// Hashes whose high bits are distributed well (Fibonacci hashing).
fn trigrams(text: &[u8]) -> impl Iterator<Item = u32> {
    text.windows(3)
        .map(|three| u32::from_le_bytes([three[0], three[1], three[2], 0]).wrapping_mul(0x9E37_79B1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search_text(subject: &str, text: &str) -> SearchText {
        let mut fields = std::array::from_fn(|index| format!("field{index}"));
        fields[Field::Subject as usize] = subject.to_owned();
        SearchText::new(fields, BodyText::new(text))
    }

    #[test]
    fn fields_are_separate() {
        let search = search_text("hello", "The Text");
        assert_eq!((search.field(Field::From), search.field(Field::Subject)), ("field0\n", "hello\n"));
        assert_eq!(search.addresses(), "field0\nfield1\nfield2\nfield3\nfield4\n");
        for (word, is_in) in
            [("the text", true), ("hello", true), ("field6", true), ("helloworld", false), ("xt", true)]
        {
            assert_eq!(
                search.contains(&Needle::new(word), || panic!("all of it is in memory")),
                is_in,
                "{word}"
            );
        }
    }

    #[test]
    fn rest_of_a_long_text_is_read_only_if_the_filter_admits_the_word() {
        let search = search_text("", &format!("{} The Needle", "hay ".repeat(TEXT_OCTETS_MAX)));
        assert!(search.contains(&Needle::new("needle"), || true));
        assert!(!search.contains(&Needle::new("needle"), || false));
        assert!(!search.contains(&Needle::new("zebra"), || panic!("the filter excludes it")));
        let endless = search_text("", &"x".repeat(FILTERED_OCTETS_MAX + 1));
        assert!(endless.contains(&Needle::new("zebra"), || true), "without a filter");
    }

    proptest::proptest! {
        #[test]
        fn filter_excludes_no_contained_word(text in "\\PC{0,200}", at in 0_usize..200, length in 0_usize..20) {
            let lower = text.to_lowercase();
            let start = lower.floor_char_boundary(at.min(lower.len()));
            let end = lower.ceil_char_boundary((start + length).min(lower.len()));
            let needle = Needle::new(&lower[start..end]);
            proptest::prop_assert!(search_text("", &text).contains(&needle, || false));
        }
    }
}
