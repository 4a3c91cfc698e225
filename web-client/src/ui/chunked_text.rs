//! Plain text of any length, with links.
//!
//! The text is drawn in chunks that end at line ends, with pauses in which the browser handles input. The elements are
//! outside of Yew's tree, and the browser lays out only those near the visible part (`content-visibility`).

use std::cell::Cell;
use std::rc::Rc;

use mail_core::message::printable::printable;
use mail_core::time::{Duration, Instant};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Document, Element, HtmlElement};
use yew::platform::spawn_local;
use yew::platform::time::sleep;
use yew::prelude::*;

use super::plain_text::{Segment, href, segments};
use crate::control::Control;
use crate::model::fetched_message::FetchedMessage;
use crate::model::quotation::{Part, Passage, TEXT_OCTETS_MAX, parts};
use crate::strings;

/// Length of a chunk; longer only if the text has no place to split.
const CHUNK_OCTETS: usize = 32 * 1_024;
/// Time for which chunks are drawn without a pause.
const DRAWING_TIME: Duration = Duration::from_millis(25);
/// Height of two lines in the style sheet, in pixels.
const TWO_LINES_HEIGHT: usize = 45;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextOf {
    /// The text to display, which may be converted from HTML.
    Display,
    /// The text part. Nothing is converted from HTML, which may be unsafe.
    TextPart,
}

impl TextOf {
    pub(super) fn text(self, message: &FetchedMessage) -> &str {
        match self {
            Self::Display => message.parsed.plain_text(),
            Self::TextPart => message.parsed.text.as_deref().unwrap_or_default(),
        }
    }
}

#[derive(Clone, Properties, PartialEq)]
pub(super) struct ChunkedTextProps {
    pub(super) message: Rc<FetchedMessage>,
    pub(super) of: TextOf,
    /// Quotations have a bar, and those at the end of the text are folded.
    #[prop_or_default]
    pub(super) quotations: bool,
}

#[component]
pub(super) fn ChunkedText(props: &ChunkedTextProps) -> Html {
    let node = use_node_ref();
    {
        let node = node.clone();
        use_effect_with(props.clone(), move |ChunkedTextProps { message, of, quotations }| {
            let is_current = Rc::new(Cell::new(true));
            if let Some(element) = node.cast::<Element>() {
                element.set_text_content(None);
                let (message, of, is_current) = (message.clone(), *of, is_current.clone());
                let text = of.text(&message).trim_end();
                let mut drawing = Drawing { element, at: 0 };
                if *quotations && text.len() <= TEXT_OCTETS_MAX {
                    // Fails only if the document is gone.
                    let _ = draw_parts(&drawing.element, text);
                } else if drawing.draw(text) {
                    // The beginning has appeared.
                    spawn_local(async move {
                        sleep(Duration::ZERO).await;
                        while is_current.get() && drawing.draw(of.text(&message)) {
                            sleep(Duration::ZERO).await;
                        }
                    });
                }
            }
            move || is_current.set(false)
        });
    }
    // The page of a mail catcher sends no mail.
    let control = use_context::<Control>();
    let onclick = Callback::from(move |event: MouseEvent| {
        let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let link = target.and_then(|target| target.closest("a[href^='mailto:']").ok().flatten());
        if let (Some(control), Some(link)) = (&control, link) {
            event.prevent_default();
            control.compose_to(&link.get_attribute("href").unwrap_or_default());
        }
    });
    html! { <div class="text" ref={node} {onclick}></div> }
}

struct Drawing {
    element: Element,
    /// The octets of the text that are drawn.
    at: usize,
}

impl Drawing {
    /// Draws chunks for [`DRAWING_TIME`]. Returns whether more of the text remains.
    fn draw(&mut self, text: &str) -> bool {
        let text = text.trim_end();
        let start = Instant::now();
        while self.at < text.len() && start.elapsed() < DRAWING_TIME {
            let end = chunk_end(text, self.at);
            // Fails only if the document is gone.
            let _ = append(&self.element, &text[self.at..end]);
            self.at = end;
        }
        self.at < text.len()
    }
}

/// Draws a text whose quotations have a bar or are folded.
fn draw_parts(element: &Element, text: &str) -> Result<(), JsValue> {
    let document = element.owner_document().ok_or(JsValue::NULL)?;
    for part in parts(text) {
        match part {
            Part::Text(text) => drop(append_chunks(element, &text)?),
            Part::Quotation { passages, is_folded } => {
                let quotation = document.create_element("blockquote")?;
                for Passage { depth, text } in passages {
                    for chunk in append_chunks(&quotation, &text)? {
                        chunk.style().set_property("--depth", &depth.to_string())?;
                    }
                }
                if is_folded {
                    let folded = folded(&document)?;
                    folded.append_with_node_1(&quotation)?;
                    element.append_with_node_1(&folded)?;
                } else {
                    element.append_with_node_1(&quotation)?;
                }
            }
        }
    }
    Ok(())
}

fn folded(document: &Document) -> Result<Element, JsValue> {
    let (details, summary) = (document.create_element("details")?, document.create_element("summary")?);
    for (class, text) in
        [("when-closed", strings::SHOW_QUOTED_TEXT), ("when-open", strings::HIDE_QUOTED_TEXT)]
    {
        let label = document.create_element("span")?;
        label.set_class_name(class);
        label.set_text_content(Some(text));
        summary.append_with_node_1(&label)?;
    }
    details.append_with_node_1(&summary)?;
    Ok(details)
}

fn append_chunks(parent: &Element, text: &str) -> Result<Vec<HtmlElement>, JsValue> {
    let (mut chunks, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let end = chunk_end(text, at);
        chunks.push(append(parent, &text[at..end])?);
        at = end;
    }
    Ok(chunks)
}

fn append(parent: &Element, text: &str) -> Result<HtmlElement, JsValue> {
    let document = parent.owner_document().ok_or(JsValue::NULL)?;
    let chunk: HtmlElement = document.create_element("div")?.unchecked_into();
    // For the scroll bar, until the chunk is laid out.
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + usize::from(!text.ends_with('\n'));
    let height = format!("auto {}px", lines * TWO_LINES_HEIGHT / 2);
    chunk.style().set_property("contain-intrinsic-block-size", &height)?;
    for segment in segments(&printable(text)) {
        match segment {
            Segment::Text(text) => chunk.append_with_str_1(text)?,
            Segment::Link(url) => {
                let link = link(&document, url)?;
                chunk.append_with_node_1(&link)?;
            }
        }
    }
    parent.append_with_node_1(&chunk)?;
    Ok(chunk)
}

fn link(document: &Document, url: &str) -> Result<Element, JsValue> {
    let link = document.create_element("a")?;
    link.set_attribute("href", &href(url))?;
    for (name, value) in [("target", "_blank"), ("rel", "noopener noreferrer")] {
        link.set_attribute(name, value)?;
    }
    link.set_text_content(Some(url));
    Ok(link)
}

/// The end of the chunk at `start`: after the last line end, else after the last space, else at the maximum length.
fn chunk_end(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    if rest.len() <= CHUNK_OCTETS {
        return text.len();
    }
    let chunk = &rest[..rest.floor_char_boundary(CHUNK_OCTETS)];
    let end = chunk.rfind('\n').or_else(|| chunk.rfind([' ', '\t'])).map_or(chunk.len(), |at| at + 1);
    // A line end of two octets is not split.
    start + end + usize::from(rest[end..].starts_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn chunks(text: &str) -> Vec<&str> {
        let (mut chunks, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let end = chunk_end(text, at);
            chunks.push(&text[at..end]);
            at = end;
        }
        chunks
    }

    #[test]
    fn chunks_end_at_line_ends() {
        let text = "A line of some words.\r\n".repeat(5_000);
        let chunks = chunks(&text);
        assert_eq!((chunks.concat(), chunks.len()), (text.clone(), 4));
        assert!(chunks.iter().all(|chunk| chunk.ends_with('\n') && chunk.len() <= CHUNK_OCTETS));
    }

    #[test]
    fn text_without_line_ends_is_split_between_words_and_characters() {
        let words = "word ".repeat(20_000);
        assert!(chunks(&words).iter().all(|chunk| chunk.ends_with("word ")));
        let letters = "\u{e9}\u{20ac}".repeat(20_000);
        assert_eq!((chunks(&letters).concat(), chunks(&letters).len()), (letters.clone(), 4));
        let end = "x".repeat(CHUNK_OCTETS - 1) + "\r\n" + &"y".repeat(CHUNK_OCTETS);
        assert!(chunks(&end)[0].ends_with("\r\n"));
        assert_eq!(chunks(""), [""; 0]);
    }
}
