//! Features of HTML and CSS that mail programs do not support, with the shapes of Mailpit's HTML check.
//!
//! The table, `html_check/features.tsv`, has facts of caniemail.com. Elements and attributes are found by the HTML parser's tokenizer;
//! style sheets and attributes are searched as text. Nothing is downloaded.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use html5ever::tokenizer::{
    BufferQueue, EndTag, StartTag, Tag, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use memchr::memmem;
use serde::Serialize;

use crate::html::raw_text_of;

const TABLE: &str = include_str!("html_check/features.tsv");
/// Octets of CSS that are searched.
const CSS_OCTETS_MAX: usize = 1 << 20;

/// A line of the table.
#[derive(Debug)]
struct Feature {
    slug: &'static str,
    category: &'static str,
    title: &'static str,
    /// A letter for each program.
    support: &'static str,
}

/// A mail program on one platform.
#[derive(Debug)]
struct Program {
    family: &'static str,
    platform: &'static str,
    name: &'static str,
}

#[derive(Debug, Default)]
struct Table {
    programs: Vec<Program>,
    features: Vec<Feature>,
    /// Selectors by the name of their element.
    elements: HashMap<&'static str, Vec<(usize, Selector)>>,
    /// Selectors of any element, by the name of their attribute.
    attributes: HashMap<&'static str, Vec<(usize, Selector)>>,
    /// By the name of the property, with the beginning of the value.
    properties: HashMap<&'static str, Vec<(usize, &'static str)>>,
    units: HashMap<&'static str, usize>,
    texts: Vec<(usize, &'static str)>,
}

/// The condition of an element's attributes.
#[derive(Debug, Clone, Copy)]
enum Selector {
    Any,
    Has(&'static str),
    Is(&'static str, &'static str),
    StartsWith(&'static str, &'static str),
    EndsWith(&'static str, &'static str),
}

/// Mailpit's `HTMLCheckResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HtmlCheck {
    warnings: Vec<Warning>,
    platforms: BTreeMap<&'static str, Vec<&'static str>>,
    total: Total,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Warning {
    slug: &'static str,
    title: &'static str,
    description: &'static str,
    #[serde(rename = "URL")]
    url: String,
    category: &'static str,
    tags: [&'static str; 0],
    keywords: &'static str,
    results: Vec<ProgramResult>,
    notes_by_number: BTreeMap<&'static str, &'static str>,
    score: Score,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProgramResult {
    name: &'static str,
    platform: &'static str,
    family: &'static str,
    version: &'static str,
    support: &'static str,
    note_number: &'static str,
}

/// Percentages of the programs.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Score {
    found: usize,
    supported: f64,
    partial: f64,
    unsupported: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Total {
    tests: usize,
    nodes: usize,
    supported: f64,
    partial: f64,
    unsupported: f64,
}

impl HtmlCheck {
    pub(crate) fn of(html: &str) -> Self {
        static TABLE_PARSED: LazyLock<Table> = LazyLock::new(|| Table::parse(TABLE));
        let table = &*TABLE_PARSED;
        let usage = Usage::of(html, table);
        let used = usage.found.iter().zip(&table.features).filter(|(found, _)| **found > 0);
        let mut warnings: Vec<_> = used.map(|(found, feature)| table.warning(feature, *found)).collect();
        let nodes = usage.nodes.max(1);
        let weight = |percent: f64, found: usize| (percent * found as f64 / nodes as f64).min(100.0);
        let gap = |score: &Score| weight(score.unsupported + score.partial, score.found);
        warnings.sort_by(|a, b| gap(&b.score).total_cmp(&gap(&a.score)));
        let worst = |percent: fn(&Score) -> f64| {
            warnings
                .iter()
                .map(|warning| weight(percent(&warning.score), warning.score.found))
                .fold(0.0, f64::max)
        };
        let (partial, unsupported) = (worst(|score| score.partial), worst(|score| score.unsupported));
        let total = Total {
            tests: table.features.len(),
            nodes: usage.nodes,
            supported: (100.0 - partial - unsupported).max(0.0),
            partial,
            unsupported,
        };
        Self { warnings, platforms: table.platforms(), total }
    }
}

impl Table {
    fn parse(text: &'static str) -> Self {
        let mut table = Self::default();
        for line in text.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            match columns[..] {
                ["# programs", ref programs @ ..] => {
                    table.programs = programs.iter().map(|text| Program::parse(text)).collect()
                }
                [slug, category, title, finders, support] if !slug.starts_with('#') => {
                    let feature = table.features.len();
                    table.features.push(Feature { slug, category, title, support });
                    finders.split(',').for_each(|finder| table.add_finder(feature, finder));
                }
                _ => {}
            }
        }
        table
    }

    fn add_finder(&mut self, feature: usize, finder: &'static str) {
        let (kind, argument) = finder.split_once(' ').unwrap_or_default();
        match kind {
            "element" => {
                let (element, selector) = Selector::parse(argument);
                let (map, key) = match (element, selector.attribute()) {
                    ("", Some(attribute)) => (&mut self.attributes, attribute),
                    _ => (&mut self.elements, element),
                };
                map.entry(key).or_default().push((feature, selector));
            }
            "property" => {
                let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
                self.properties.entry(name).or_default().push((feature, value));
            }
            "unit" => _ = self.units.insert(argument, feature),
            _ => self.texts.push((feature, argument)),
        }
    }

    fn warning(&self, feature: &Feature, found: usize) -> Warning {
        let count = |letter| feature.support.chars().filter(|own| *own == letter).count() as f64;
        let (yes, no, partly) = (count('y'), count('n'), count('p'));
        let percent = |count: f64| 100.0 * count / (yes + no + partly);
        let results = self.programs.iter().zip(feature.support.chars()).filter_map(|(program, letter)| {
            let support = match letter {
                'y' => "yes",
                'n' => "no",
                'p' => "partial",
                _ => return None,
            };
            let Program { family, platform, name } = program;
            Some(ProgramResult { name, platform, family, version: "", support, note_number: "" })
        });
        // caniemail.com has no page about scripts.
        let url = match feature.slug {
            "html-script" => String::new(),
            slug => format!("https://www.caniemail.com/features/{slug}/"),
        };
        Warning {
            slug: feature.slug,
            title: feature.title,
            description: "",
            url,
            category: feature.category,
            tags: [],
            keywords: "",
            results: results.collect(),
            notes_by_number: BTreeMap::new(),
            score: Score {
                found,
                supported: percent(yes),
                partial: percent(partly),
                unsupported: percent(no),
            },
        }
    }

    fn platforms(&self) -> BTreeMap<&'static str, Vec<&'static str>> {
        let mut platforms: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for program in &self.programs {
            platforms.entry(program.platform).or_default().push(program.name);
        }
        platforms
    }
}

impl Program {
    /// `family/platform/Name`
    fn parse(text: &'static str) -> Self {
        let mut parts = text.splitn(3, '/');
        let mut next = || parts.next().unwrap_or_default();
        Self { family: next(), platform: next(), name: next() }
    }
}

impl Selector {
    /// `name`, `[attribute]`, `name[attribute=value]`, with `^=` for the beginning and `$=` for the end of the value.
    fn parse(text: &'static str) -> (&'static str, Self) {
        let (element, condition) = text.split_once('[').unwrap_or((text, ""));
        let condition = condition.trim_end_matches(']');
        let selector = if condition.is_empty() {
            Self::Any
        } else if let Some((name, value)) = condition.split_once("^=") {
            Self::StartsWith(name, value)
        } else if let Some((name, value)) = condition.split_once("$=") {
            Self::EndsWith(name, value)
        } else if let Some((name, value)) = condition.split_once('=') {
            Self::Is(name, value)
        } else {
            Self::Has(condition)
        };
        (element, selector)
    }

    const fn attribute(&self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Has(name) | Self::Is(name, _) | Self::StartsWith(name, _) | Self::EndsWith(name, _) => {
                Some(name)
            }
        }
    }

    fn matches(self, tag: &Tag) -> bool {
        let Some(name) = self.attribute() else { return true };
        let attribute = tag.attrs.iter().find(|attribute| &*attribute.name.local == name);
        let Some(value) = attribute.map(|attribute| attribute.value.trim().to_ascii_lowercase()) else {
            return false;
        };
        match self {
            Self::Any | Self::Has(_) => true,
            Self::Is(_, wanted) => value == wanted,
            Self::StartsWith(_, wanted) => value.starts_with(wanted),
            Self::EndsWith(_, wanted) => {
                value.split(['?', '#']).next().is_some_and(|path| path.ends_with(wanted))
            }
        }
    }
}

/// The features in an HTML text.
#[derive(Debug)]
struct Usage {
    /// Start tags.
    nodes: usize,
    /// Occurrences of each feature.
    found: Vec<usize>,
    /// Style sheets, and style attributes in braces, in lower case.
    css: String,
}

struct Sink<'a> {
    table: &'a Table,
    state: RefCell<State>,
}

struct State {
    usage: Usage,
    is_in_style: bool,
}

impl Usage {
    fn of(html: &str, table: &Table) -> Self {
        let usage = Self { nodes: 0, found: vec![0; table.features.len()], css: String::new() };
        let sink = Sink { table, state: RefCell::new(State { usage, is_in_style: false }) };
        let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
        let input = BufferQueue::default();
        input.push_back(html.into());
        // Scripts are not run, so the tokenizer never pauses.
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        let mut usage = tokenizer.sink.state.into_inner().usage;
        usage.search_css(table);
        usage
    }

    fn add_css(&mut self, text: &str) {
        let room = CSS_OCTETS_MAX.saturating_sub(self.css.len());
        self.css.push_str(&text[..text.floor_char_boundary(room)].to_ascii_lowercase());
    }

    fn search_css(&mut self, table: &Table) {
        let css = without_comments(&self.css);
        for piece in css.split(['{', '}', ';']) {
            let Some((name, value)) = piece.split_once(':') else { continue };
            for (feature, wanted) in table.properties.get(name.trim()).into_iter().flatten() {
                self.found[*feature] += usize::from(value.trim_start().starts_with(wanted));
            }
        }
        for (feature, text) in &table.texts {
            let places = memmem::find_iter(css.as_bytes(), text);
            self.found[*feature] += places.filter(|at| is_word(&css, *at, text)).count();
        }
        for (at, _) in css.match_indices(|c: char| c.is_ascii_digit()) {
            let unit = &css[at + 1..];
            let end = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
            if let Some(feature) = table.units.get(&unit[..end]) {
                self.found[*feature] += 1;
            }
        }
    }
}

/// Whether the text at this place is not a part of a longer name.
fn is_word(css: &str, at: usize, text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let (before, after) = (css[..at].chars().next_back(), css[at + text.len()..].chars().next());
    let joins =
        |outside: Option<char>, edge: Option<char>| edge.is_some_and(is_name) && outside.is_some_and(is_name);
    !joins(before, text.chars().next()) && !joins(after, text.chars().next_back())
}

fn without_comments(css: &str) -> String {
    let mut result = String::with_capacity(css.len());
    let mut rest = css;
    while let Some((before, after)) = rest.split_once("/*") {
        result.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    result + rest
}

impl TokenSink for Sink<'_> {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.state.borrow_mut();
        match token {
            Token::TagToken(tag) => {
                state.tag(&tag, self.table);
                if let Some(kind) = raw_text_of(&tag) {
                    return TokenSinkResult::RawData(kind);
                }
            }
            Token::CharacterTokens(text) if state.is_in_style => state.usage.add_css(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl State {
    fn tag(&mut self, tag: &Tag, table: &Table) {
        if &*tag.name == "style" {
            self.is_in_style = tag.kind == StartTag;
        }
        if tag.kind == EndTag {
            return;
        }
        self.usage.nodes += 1;
        let of_element = table.elements.get(&*tag.name).into_iter().flatten();
        let names = tag.attrs.iter().map(|attribute| &*attribute.name.local);
        let of_attributes = names.filter_map(|name| table.attributes.get(name)).flatten();
        for (feature, selector) in of_element.chain(of_attributes) {
            self.usage.found[*feature] += usize::from(selector.matches(tag));
        }
        if let Some(style) = tag.attrs.iter().find(|attribute| &*attribute.name.local == "style") {
            for part in ["{", &style.value, "}"] {
                self.usage.add_css(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Vec<(&'static str, usize)> {
        let check = HtmlCheck::of(html);
        let mut found: Vec<_> =
            check.warnings.iter().map(|warning| (warning.slug, warning.score.found)).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn every_line_of_the_table_is_complete() {
        let table = Table::parse(TABLE);
        assert!(table.features.len() > 200 && table.programs.len() > 20, "{}", table.features.len());
        for feature in &table.features {
            assert_eq!(feature.support.len(), table.programs.len(), "{}", feature.slug);
            assert!(feature.support.contains(['n', 'p']), "{} has no gap", feature.slug);
            assert!(["css", "html", "image"].contains(&feature.category), "{}", feature.slug);
        }
        let finders = table.elements.values().chain(table.attributes.values()).map(Vec::len).sum::<usize>()
            + table.properties.values().map(Vec::len).sum::<usize>()
            + table.units.len()
            + table.texts.len();
        assert!(finders >= table.features.len(), "{finders}");
        assert!(table.programs.iter().all(|program| !program.name.is_empty()));
    }

    #[test]
    fn used_features_are_counted() {
        for (html, expected) in [
            ("<p>Hello</p>", &[][..]),
            ("<video src=x></video><VIDEO>", &[("html-video", 2)]),
            ("<img src='a.webp?x=1'><img src=b.png srcset=x>", &[("html-srcset", 1), ("image-webp", 1)]),
            ("<a href='#top'>x</a><a href='https://a.example/#top'>", &[("html-anchor-links", 1)]),
            ("<script>var x = '<video>';</script>", &[("html-script", 1)]),
            ("<p style='Display : FLEX; display:flex'>", &[("css-display", 2), ("css-display-flex", 2)]),
            ("<p style='text-transform:none'>", &[("css-text-transform", 1)]),
            (
                "<style>/* display:grid */ @media print { p:hover { gap: 2vw } }</style>",
                &[
                    ("css-at-media", 1),
                    ("css-gap", 1),
                    ("css-pseudo-class-hover", 1),
                    ("css-unit-vw", 1),
                    ("html-style", 1),
                ],
            ),
            ("<!-- <video> -->display:flex", &[]),
            (
                "<p style='width:calc(1px);grid-template-columns:minmax(1px,2px)'>",
                &[("css-grid-template", 1), ("css-unit-calc", 1), ("css-width", 1)],
            ),
        ] {
            assert_eq!(found(html), expected, "{html}");
        }
    }

    #[test]
    fn score_is_the_share_of_programs_weighted_by_use() {
        let check = HtmlCheck::of("<div><script></script><p>x</p><p>y</p></div>");
        let score = check.warnings[0].score;
        assert_eq!((score.supported, score.unsupported, check.total.nodes), (0.0, 100.0, 4));
        assert_eq!((check.total.unsupported, check.total.supported), (25.0, 75.0));
        let empty = HtmlCheck::of("");
        assert_eq!((empty.total.nodes, empty.total.supported), (0, 100.0));
    }

    proptest::proptest! {
        #[test]
        fn no_html_panics(html in "[a-z<>/='\"{}:;@#.*!\\- \u{e9}0-9]{0,120}", css in "\\PC{0,80}") {
            let _ = HtmlCheck::of(&format!("{html}<style>{css}</style><p style=\"{css}\">"));
        }
    }
}
