//! The choice of what is shown: text, HTML and attachments, after RFC 8621 section 4.1.4.
//!
//! Parts of multipart/mixed are shown in their order, text and HTML alike. Of multipart/alternative, the text is chosen
//! for a text display and the HTML for an HTML display. Every other part is an attachment, except for variants of the
//! text that no client shows (AMP).

use super::Part;

/// Indices of parts, in the order of the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// The parts that a text display shows; some may be HTML.
    pub text: Vec<usize>,
    /// The parts that an HTML display shows; some may be plain text.
    pub html: Vec<usize>,
    /// All other parts, except multiparts.
    pub attachments: Vec<usize>,
}

/// The displays that a part is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Display {
    Both,
    Text,
    Html,
}

impl Layout {
    pub(super) fn new(parts: &[Part<'_>]) -> Self {
        let mut children = vec![Vec::new(); parts.len()];
        for (index, part) in parts.iter().enumerate() {
            if let Some(parent) = part.parent {
                children[parent].push(index);
            }
        }
        let walk = Walk { parts, children };
        let mut layout = Self::default();
        walk.part(0, true, Display::Both, &mut layout);
        layout.attachments.sort_unstable();
        layout
    }

    fn show(&mut self, part: usize, display: Display) {
        if display != Display::Html {
            self.text.push(part);
        }
        if display != Display::Text {
            self.html.push(part);
        }
    }
}

struct Walk<'a> {
    parts: &'a [Part<'a>],
    children: Vec<Vec<usize>>,
}

impl Walk<'_> {
    /// `is_first`: the part is the first one of its multipart; a text is then shown even if it has a file name.
    fn part(&self, index: usize, is_first: bool, display: Display, layout: &mut Layout) {
        let part = &self.parts[index];
        if !part.is_multipart {
            if is_shown(part) && (is_first || !part.has_name()) {
                layout.show(index, display);
            } else {
                layout.attachments.push(index);
            }
        } else if part.is_type("multipart", "alternative") {
            self.alternative(index, display, layout);
        } else if part.is_type("multipart", "related") {
            self.related(index, display, layout);
        } else {
            for (at, child) in self.children[index].iter().enumerate() {
                self.part(*child, at == 0, display, layout);
            }
        }
    }

    fn alternative(&self, index: usize, display: Display, layout: &mut Layout) {
        let mut own = Layout::default();
        let children = &self.children[index];
        let has_plain = children.iter().any(|child| is_plain(&self.parts[*child]));
        for child in children {
            let part = &self.parts[*child];
            if part.is_multipart {
                let display = if self.contains(*child, is_html) {
                    Display::Html
                } else if self.contains(*child, is_shown) {
                    Display::Text
                } else {
                    Display::Both
                };
                self.part(*child, true, display, &mut own);
            } else if part.is_html() && is_shown(part) {
                own.html.push(*child);
            } else if is_plain(part) || (is_shown(part) && !has_plain) {
                own.text.push(*child);
            } else if !is_hidden(part) {
                own.attachments.push(*child);
            }
        }
        let (text, html) = match (own.text.is_empty(), own.html.is_empty()) {
            (true, _) => (&own.html, &own.html),
            (_, true) => (&own.text, &own.text),
            _ => (&own.text, &own.html),
        };
        if display != Display::Html {
            layout.text.extend(text);
        }
        if display != Display::Text {
            layout.html.extend(html);
        }
        layout.attachments.extend(own.attachments);
    }

    /// Shows the root of multipart/related (RFC 2387): the part that `start` names, else the first text or multipart.
    fn related(&self, index: usize, display: Display, layout: &mut Layout) {
        let children = &self.children[index];
        let start = self.parts[index].parameter("start");
        let is_start = |child: &&usize| {
            let id = self.parts[**child].content_id.map(bare_id);
            start.as_deref().is_some_and(|start| id.is_some_and(|id| id == bare_id(start)))
        };
        let can_be_root = |child: &&usize| self.parts[**child].is_multipart || is_shown(&self.parts[**child]);
        let root = children.iter().find(is_start).or_else(|| children.iter().find(can_be_root)).copied();
        let has_html = root.is_some_and(|root| self.contains(root, is_html));
        for child in children {
            let part = &self.parts[*child];
            // Some programs send a text and its HTML as related parts.
            let is_other_text = !has_html && part.content_id.is_none();
            if Some(*child) == root || part.is_multipart || is_other_text {
                self.part(*child, Some(*child) == root, display, layout);
            } else {
                layout.attachments.push(*child);
            }
        }
    }

    /// Whether the part or one inside it has a property.
    fn contains(&self, index: usize, has: fn(&Part<'_>) -> bool) -> bool {
        if self.parts[index].is_multipart {
            return self.children[index].iter().any(|child| self.contains(*child, has));
        }
        has(&self.parts[index]) && !self.parts[index].is_attachment()
    }
}

/// Whether a part is a text that clients show.
fn is_shown(part: &Part<'_>) -> bool {
    const FILES: [&str; 8] =
        ["calendar", "csv", "directory", "rfc822-headers", "rtf", "vcard", "x-amp-html", "x-vcard"];
    part.types().0.eq_ignore_ascii_case(b"text")
        && !part.is_attachment()
        && !FILES.iter().any(|subtype| part.is_type("text", subtype))
}

fn is_html(part: &Part<'_>) -> bool {
    part.is_html()
}

fn is_plain(part: &Part<'_>) -> bool {
    !part.is_multipart && part.is_type("text", "plain") && is_shown(part)
}

/// Variants of the HTML for other displays, which repeat its content.
fn is_hidden(part: &Part<'_>) -> bool {
    ["x-amp-html", "watch-html"].iter().any(|subtype| part.is_type("text", subtype)) && !part.is_attachment()
}

/// An identifier without angle brackets and white space.
fn bare_id(id: &[u8]) -> &[u8] {
    let id = id.trim_ascii();
    id.strip_prefix(b"<").unwrap_or(id).strip_suffix(b">").unwrap_or(id)
}
