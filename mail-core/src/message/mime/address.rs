//! Address lists: From, To, Cc, Reply-To (RFC 5322 sections 3.4 and 4.4).
//!
//! Tolerated: names with unquoted commas, semicolons between addresses, missing angle brackets, unclosed quotes and
//! comments, source routes, and names without an address.

use super::encoded_word::{Context, word_end};
use super::field::unfold_text;
use super::limits::ADDRESSES_MAX;

/// A mailbox of an address list; at least one of the two is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// The decoded display name, or the comment after an address without one.
    pub name: Option<String>,
    /// The address as written, without comments; empty if the field has a name only.
    pub address: String,
}

/// Reads an address list. Groups become their members; their names are dropped.
#[must_use]
pub fn addresses(value: &[u8], context: &Context<'_>) -> Vec<Mailbox> {
    let value = unfold_text(value);
    let mut parser = Parser {
        value: &value,
        at: 0,
        context,
        item: Item::default(),
        names: Vec::new(),
        list: Vec::new(),
        has_open_quote: false,
        has_open_comment: false,
    };
    parser.run();
    parser.list
}

/// The mailbox that is being read.
#[derive(Default)]
struct Item {
    /// Its words as written, with quotes.
    raw: Vec<u8>,
    /// Its words without quotes.
    name: Vec<u8>,
    /// The start and the end of the last word that contains `@`, in `raw` and `name`.
    at_word: Option<[(usize, usize); 2]>,
    /// The start of the current word in `raw` and `name`.
    word: (usize, usize),
    /// The current word contains `@`.
    has_at: bool,
    /// The last comment.
    comment: Vec<u8>,
    /// The content of its angle brackets.
    angle: Option<Vec<u8>>,
}

impl Item {
    fn end_word(&mut self) {
        if std::mem::take(&mut self.has_at) {
            self.at_word = Some([self.word, (self.raw.len(), self.name.len())]);
        }
    }
}

struct Parser<'a> {
    value: &'a [u8],
    at: usize,
    context: &'a Context<'a>,
    item: Item,
    /// The items before the current one that have no address: parts of a name with unquoted commas.
    names: Vec<Item>,
    list: Vec<Mailbox>,
    /// A quote or a comment is not closed; the following quotes and parentheses are ordinary characters.
    has_open_quote: bool,
    has_open_comment: bool,
}

impl Parser<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.value.get(self.at) {
            if self.list.len() + self.names.len() >= ADDRESSES_MAX {
                break;
            }
            match byte {
                b',' => self.end_item(false),
                b';' => self.end_item(true),
                b':' if self.item.angle.is_none() && self.item.at_word.is_none() && !self.item.has_at => {
                    // The name of a group.
                    self.end_names();
                    self.item = Item::default();
                }
                b'"' => {
                    self.quoted();
                    continue;
                }
                b'(' => {
                    self.comment();
                    continue;
                }
                b'<' => {
                    self.angle();
                    continue;
                }
                b' ' | b'\t' => self.space(),
                _ => {
                    let end = word_end(self.value, self.at).unwrap_or(self.at + 1);
                    self.item.has_at |= byte == b'@';
                    self.push(self.at, end);
                    self.at = end;
                    continue;
                }
            }
            self.at += 1;
        }
        self.end_item(true);
    }

    fn push(&mut self, start: usize, end: usize) {
        self.item.raw.extend_from_slice(&self.value[start..end]);
        self.item.name.extend_from_slice(&self.value[start..end]);
    }

    fn space(&mut self) {
        let item = &mut self.item;
        item.end_word();
        if item.raw.last().is_some_and(|byte| *byte != b' ') {
            item.raw.push(b' ');
            item.name.push(b' ');
        }
        item.word = (item.raw.len(), item.name.len());
    }

    /// A quoted string; an unclosed quote is an ordinary character.
    fn quoted(&mut self) {
        let start = self.at;
        let mut end = start + 1;
        let mut content = Vec::new();
        while !self.has_open_quote {
            match self.value.get(end) {
                Some(b'"') => {
                    self.item.raw.extend_from_slice(&self.value[start..=end]);
                    self.item.name.extend_from_slice(&content);
                    self.at = end + 1;
                    return;
                }
                Some(b'\\') if end + 1 < self.value.len() => {
                    content.push(self.value[end + 1]);
                    end += 2;
                }
                Some(byte) => {
                    content.push(*byte);
                    end += 1;
                }
                None => self.has_open_quote = true,
            }
        }
        self.at = start + 1;
    }

    /// A comment with nested ones; an unclosed parenthesis is an ordinary character.
    fn comment(&mut self) {
        match self.comment_end(self.at) {
            Some(end) => {
                self.item.comment = self.value[self.at + 1..end - 1].to_vec();
                self.at = end;
            }
            None => {
                self.push(self.at, self.at + 1);
                self.at += 1;
            }
        }
    }

    fn comment_end(&mut self, start: usize) -> Option<usize> {
        let (mut depth, mut at) = (0, start);
        while !self.has_open_comment {
            match self.value.get(at) {
                Some(b'(') => depth += 1,
                Some(b')') if depth == 1 => return Some(at + 1),
                Some(b')') => depth -= 1,
                Some(b'\\') => at += 1,
                Some(_) => {}
                None => self.has_open_comment = true,
            }
            at += 1;
        }
        None
    }

    /// An address in angle brackets; without a closing bracket it ends at a comma or a semicolon.
    fn angle(&mut self) {
        let mut address = Vec::new();
        self.at += 1;
        while let Some(&byte) = self.value.get(self.at) {
            match byte {
                b'>' => {
                    self.at += 1;
                    break;
                }
                // A source route ("@a,@b:") contains commas.
                b',' if !address.starts_with(b"@") => break,
                b';' => break,
                b'(' => {
                    if let Some(end) = self.comment_end(self.at) {
                        self.at = end;
                        continue;
                    }
                }
                b'"' if !self.has_open_quote => {
                    let quote = address.len();
                    let before = std::mem::take(&mut self.item.raw);
                    let name = self.item.name.len();
                    self.quoted();
                    self.item.name.truncate(name);
                    let quoted = std::mem::replace(&mut self.item.raw, before);
                    address.splice(quote.., quoted);
                    continue;
                }
                b' ' | b'\t' | b'<' => {}
                _ => address.push(byte),
            }
            self.at += 1;
        }
        if address.starts_with(b"@")
            && let Some(colon) = address.iter().position(|byte| *byte == b':')
        {
            address.drain(..=colon);
        }
        self.item.angle = Some(address);
    }

    /// Ends the current mailbox. `is_final`: no name continues in the next one.
    fn end_item(&mut self, is_final: bool) {
        let mut item = std::mem::take(&mut self.item);
        item.end_word();
        if item.angle.is_some() {
            let mut name = Vec::new();
            for part in self.names.drain(..).chain([Item { name: item.name.clone(), ..Item::default() }]) {
                let part = part.name.trim_ascii();
                if !part.is_empty() {
                    name.extend_from_slice(if name.is_empty() { b"" } else { b", " });
                    name.extend_from_slice(part);
                }
            }
            let name = if name.is_empty() { item.comment } else { name };
            self.add(&name, &item.angle.unwrap_or_default());
        } else if item.at_word.is_some() {
            self.end_names();
            self.add_bare(&item);
        } else if !item.name.trim_ascii().is_empty() {
            self.names.push(item);
        }
        if is_final {
            self.end_names();
        }
    }

    /// Names without a following address become separate mailboxes.
    fn end_names(&mut self) {
        for item in std::mem::take(&mut self.names) {
            self.add(&item.name, b"");
        }
    }

    /// An address without angle brackets; words before and after it are its name.
    fn add_bare(&mut self, item: &Item) {
        let [(raw_start, start), (raw_end, end)] = item.at_word.unwrap_or_default();
        let word = &item.raw[raw_start..raw_end];
        if word.starts_with(b"@") || word.ends_with(b"@") {
            let address: Vec<u8> = item.raw.iter().copied().filter(|byte| *byte != b' ').collect();
            return self.add(&item.comment, &address);
        }
        let name = [&item.name[..start], &item.name[end..]].concat();
        let name = if name.trim_ascii().is_empty() { &item.comment } else { &name };
        self.add(name, word);
    }

    fn add(&mut self, name: &[u8], address: &[u8]) {
        let name = self.context.text(name.trim_ascii());
        let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
        let address = self.context.text(address).trim().to_owned();
        if name.is_some() || !address.is_empty() {
            self.list.push(Mailbox { name, address });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn list(value: &str) -> String {
        let context = Context { charset: None, decode: |_, _| None };
        let shown = |mailbox: &Mailbox| match &mailbox.name {
            Some(name) => format!("{name} <{}>", mailbox.address),
            None => mailbox.address.clone(),
        };
        addresses(value.as_bytes(), &context).iter().map(shown).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn addresses_have_names_and_comments() {
        for (value, expected) in [
            ("a@b.c", "a@b.c"),
            ("<a@b.c>, d@e.f,", "a@b.c | d@e.f"),
            ("Ann B. <a@b.c>", "Ann B. <a@b.c>"),
            ("\"Ann, B.\\\"\" <a@b.c>", "Ann, B.\" <a@b.c>"),
            ("a@b.c (Ann)", "Ann <a@b.c>"),
            ("a(x)@b.c(y)", "y <a@b.c>"),
            ("<a(x)@b(y).c>", "a@b.c"),
            ("Ann a@b.c", "Ann <a@b.c>"),
            ("\"x y\"@b.c", "\"x y\"@b.c"),
            ("<\"x, y\"@b.c>", "\"x, y\"@b.c"),
            ("a @ b.c", "a@b.c"),
            ("<@x,@y:a@b.c>", "a@b.c"),
            ("a@b.c <a@b.c>", "a@b.c <a@b.c>"),
            ("=?utf-8?q?M=C3=BC,_J?= <a@b.c>", "Mü, J <a@b.c>"),
            ("Jürgen\r\n Müller <a@b.c>", "Jürgen Müller <a@b.c>"),
            ("a@[IPv6:::1]", "a@[IPv6:::1]"),
        ] {
            assert_eq!(list(value), expected, "{value}");
        }
    }

    #[test]
    fn groups_and_odd_separators_are_read() {
        for (value, expected) in [
            ("Team: a@b.c, Ann <d@e.f>;, g@h.i", "a@b.c | Ann <d@e.f> | g@h.i"),
            ("A(x)\r\n :C <c@(y)d.e>,\r\n j@o.e; (end)", "C <c@d.e> | j@o.e"),
            ("undisclosed-recipients:;", ""),
            ("a@b.c; d@e.f; g@h.i", "a@b.c | d@e.f | g@h.i"),
            ("Smith, John <a@b.c>, d@e.f", "Smith, John <a@b.c> | d@e.f"),
            ("\"Blah \"inner, quoted\" foo\" <a@b.c>", "Blah inner, quoted foo <a@b.c>"),
            ("\"Ann <a@b.c>", "Ann <a@b.c>"),
            ("Ann :( <a@b.c>", "( <a@b.c>"),
            ("<a@b.c, d@e.f", "a@b.c | d@e.f"),
        ] {
            assert_eq!(list(value), expected, "{value}");
        }
    }

    #[test]
    fn names_without_an_address_are_kept() {
        for (value, expected) in [
            ("Mail Delivery Subsystem", "Mail Delivery Subsystem <>"),
            ("root", "root <>"),
            ("Ann <>", "Ann <>"),
            ("root, daemon", "root <> | daemon <>"),
            ("=?utf-8?q?J=C3=BC_=3Ca=40b=3E?=", "Jü <a@b> <>"),
            ("<>", ""),
            ("", ""),
        ] {
            assert_eq!(list(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn parsed_list_is_not_much_longer_than_the_field(value in "(a|@|b\\.c|,|;|:|<|>|\"|\\(|\\)|\\\\| |é|=\\?utf-8\\?q\\?x\\?=){0,30}") {
            let context = Context { charset: None, decode: |_, _| None };
            let list = addresses(value.as_bytes(), &context);
            let length: usize = list.iter().map(|one| one.address.len() + one.name.as_ref().map_or(0, String::len)).sum();
            prop_assert!(length <= 3 * value.len(), "{:?}", list);
        }
    }
}
