//! HTML and plain text from a document.
//!
//! The editor and the storage have a `p` for each block and keep white space. A sent message has `div` elements, which have
//! no margins in mail programs, and no-break spaces.

use mail_core::message::html::escape;
use mail_core::message::platform::link_address;

use super::{Block, Content, Kind, RichText, Run};

/// The URL of an image by its Content-ID.
pub(crate) type ImageUrl<'a> = &'a dyn Fn(&str) -> String;

/// The URLs in stored and sent HTML.
pub(super) const STORED: ImageUrl<'static> = &|content_id| format!("cid:{content_id}");

const MAIL_START: &str = "<!doctype html><html><head><meta charset=\"utf-8\"></head><body>";
const MAIL_QUOTE: &str =
    "<blockquote type=\"cite\" style=\"margin:0 0 0 8px;border-left:2px solid #c5ccd6;padding-left:8px\">";

impl RichText {
    /// The HTML of the editor, with one string for each element at the top.
    pub(crate) fn editor_html(&self, image_url: ImageUrl<'_>) -> Vec<String> {
        Writer::new(Form::Editor(image_url)).write(&self.blocks)
    }

    /// The HTML that [`Builder`](super::builder::Builder) converts to the same blocks.
    pub(crate) fn stored_html(&self) -> String {
        self.editor_html(STORED).concat()
    }

    /// The HTML of the message.
    pub(crate) fn mail_html(&self) -> String {
        let own = Writer::new(Form::Mail).write(&self.blocks).concat();
        let original = self.original.as_ref().map_or("", |original| &original.html);
        format!("{MAIL_START}{own}{original}</body></html>")
    }

    /// The same content without formatting: `- ` before list items, `>` before quoted lines, the address after a link, the
    /// alternative text instead of an image.
    pub(crate) fn plain_text(&self) -> String {
        let mut numbers: Vec<usize> = Vec::new();
        let mut lines = Vec::new();
        let mut quote_before = 0;
        for block in &self.blocks {
            if !block.is_item() || block.quote != quote_before {
                numbers.clear();
            }
            quote_before = block.quote;
            let mut mark = String::new();
            if block.is_item() {
                let depth = usize::from(block.level) + 1;
                numbers.truncate(depth);
                numbers.resize(depth, 0);
                let number = &mut numbers[depth - 1];
                *number = if block.kind == Kind::Number { *number + 1 } else { 0 };
                mark = if block.kind == Kind::Number { format!("{number}. ") } else { "- ".to_owned() };
            }
            let quote = match block.quote {
                0 => String::new(),
                quote => ">".repeat(quote.into()) + " ",
            };
            let indent = "  ".repeat(block.level.into());
            for (at, line) in plain_line(block).split('\n').enumerate() {
                let mark = if at == 0 { mark.clone() } else { " ".repeat(mark.len()) };
                let line = format!("{quote}{indent}{mark}{line}");
                // The mark of a signature ends with a space.
                let is_empty = line.trim_start_matches(['>', ' ']).is_empty();
                lines.push(if is_empty { line.trim_end().to_owned() } else { line });
            }
        }
        let mut text = lines.join("\n");
        if let Some(original) = &self.original {
            text.push('\n');
            text.push_str(&original.text);
        }
        text
    }
}

fn plain_line(block: &Block) -> String {
    let mut line = String::new();
    let mut link_start = 0;
    for (at, run) in block.runs.iter().enumerate() {
        let link = run.style.link.as_deref();
        let neighbour = |at: Option<usize>| at.and_then(|at| block.runs.get(at)?.style.link.as_deref());
        if neighbour(at.checked_sub(1)) != link {
            link_start = line.len();
        }
        match &run.content {
            Content::Text(text) => line.push_str(text),
            Content::Image(image) if image.alt.is_empty() => {}
            Content::Image(image) => line.push_str(&format!("[{}]", image.alt)),
        }
        if let Some(link) = link
            && neighbour(Some(at + 1)) != Some(link)
            && let Some(address) = link_address(link, &line[link_start..])
        {
            line.push_str(&format!(" <{address}>"));
        }
    }
    line
}

#[derive(Clone, Copy)]
enum Form<'a> {
    Editor(ImageUrl<'a>),
    Mail,
}

struct Writer<'a> {
    form: Form<'a>,
    html: String,
    /// Where the elements at the top begin.
    starts: Vec<usize>,
    /// Open quotations.
    quote: u8,
    /// Open lists. Each has an open item.
    lists: Vec<Kind>,
    /// A space would be collapsed here.
    after_space: bool,
}

impl<'a> Writer<'a> {
    const fn new(form: Form<'a>) -> Self {
        Self { form, html: String::new(), starts: Vec::new(), quote: 0, lists: Vec::new(), after_space: true }
    }

    fn write(mut self, blocks: &[Block]) -> Vec<String> {
        for block in blocks {
            self.block(block);
        }
        self.close_lists(0);
        self.quote(0);
        let ends = self.starts.iter().skip(1).copied().chain(std::iter::once(self.html.len()));
        self.starts.iter().zip(ends).map(|(start, end)| self.html[*start..end].to_owned()).collect()
    }

    fn block(&mut self, block: &Block) {
        if block.quote != self.quote {
            self.close_lists(0);
        }
        if block.quote == 0 && self.quote > 0 {
            self.quote(0);
        }
        if !block.is_item() {
            self.close_lists(0);
        }
        let depth = usize::from(block.level) + 1;
        let continues_list = block.is_item() && self.lists.get(depth - 1) == Some(&block.kind);
        if block.is_item() && !continues_list {
            self.close_lists(depth - 1);
        }
        if self.quote == 0 && self.lists.is_empty() {
            self.starts.push(self.html.len());
        }
        self.quote(block.quote);
        if !block.is_item() {
            return self.paragraph(block);
        }
        if continues_list {
            self.close_lists(depth);
            self.html.push_str("</li>");
        }
        while self.lists.len() < depth {
            self.html.push_str(if block.kind == Kind::Number { "<ol>" } else { "<ul>" });
            self.lists.push(block.kind);
        }
        self.html.push_str("<li>");
        match self.form {
            Form::Editor(_) => self.paragraph(block),
            Form::Mail => self.runs(block),
        }
    }

    fn quote(&mut self, quote: u8) {
        while self.quote > quote {
            self.html.push_str("</blockquote>");
            self.quote -= 1;
        }
        while self.quote < quote {
            self.html.push_str(match self.form {
                Form::Editor(_) => "<blockquote>",
                Form::Mail => MAIL_QUOTE,
            });
            self.quote += 1;
        }
    }

    fn close_lists(&mut self, depth: usize) {
        while self.lists.len() > depth {
            let kind = self.lists.pop();
            self.html.push_str(if kind == Some(Kind::Number) { "</li></ol>" } else { "</li></ul>" });
        }
    }

    fn paragraph(&mut self, block: &Block) {
        let tag = match self.form {
            Form::Editor(_) => "p",
            Form::Mail => "div",
        };
        self.html.push_str(&format!("<{tag}>"));
        self.runs(block);
        self.html.push_str(&format!("</{tag}>"));
    }

    fn runs(&mut self, block: &Block) {
        let mut open_link = None;
        self.after_space = true;
        for run in &block.runs {
            if run.style.link != open_link {
                if open_link.is_some() {
                    self.html.push_str("</a>");
                }
                open_link.clone_from(&run.style.link);
                if let Some(link) = &open_link {
                    self.html.push_str(&format!("<a href=\"{}\">", escape(link)));
                }
            }
            self.run(run);
        }
        if open_link.is_some() {
            self.html.push_str("</a>");
        }
        // A line break at the end, and an empty block, have no height without it.
        let ends_line = match block.runs.last().map(|run| &run.content) {
            None => true,
            Some(Content::Text(text)) => text.ends_with('\n'),
            Some(Content::Image(_)) => false,
        };
        if ends_line {
            self.html.push_str("<br>");
        }
    }

    fn run(&mut self, run: &Run) {
        let tags = [(run.style.bold, "b"), (run.style.italic, "i")];
        for (_, tag) in tags.iter().filter(|(is_set, _)| *is_set) {
            self.html.push_str(&format!("<{tag}>"));
        }
        match &run.content {
            Content::Text(text) => {
                let text = match self.form {
                    Form::Editor(_) => escape(text),
                    Form::Mail => with_no_break_spaces(&escape(text), &mut self.after_space),
                };
                self.html.push_str(&text.replace('\n', "<br>"));
            }
            Content::Image(image) => {
                self.after_space = false;
                let url = match self.form {
                    Form::Editor(image_url) => image_url(&image.content_id),
                    Form::Mail => STORED(&image.content_id),
                };
                let (url, alt) = (escape(&url), escape(&image.alt));
                let rest = match self.form {
                    Form::Editor(_) => format!(" data-id=\"{}\"", escape(&image.content_id)),
                    Form::Mail => " style=\"max-width:100%;height:auto\"".to_owned(),
                };
                self.html.push_str(&format!("<img src=\"{url}\" alt=\"{alt}\"{rest}>"));
            }
        }
        for (_, tag) in tags.iter().rev().filter(|(is_set, _)| *is_set) {
            self.html.push_str(&format!("</{tag}>"));
        }
    }
}

/// Keeps the spaces that HTML would collapse. `after_space` is true at the start of a line and behind a space.
fn with_no_break_spaces(text: &str, after_space: &mut bool) -> String {
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' if *after_space => kept.push_str("&nbsp;"),
            '\t' => kept.push_str("&nbsp;&nbsp;&nbsp; "),
            c => kept.push(c),
        }
        *after_space = matches!(c, ' ' | '\t' | '\n');
    }
    kept
}
