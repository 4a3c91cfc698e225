//! `index.html` with its `data-trunk` elements replaced, byte for byte like Trunk 0.21.
//!
//! Supports what `index.html` uses: `<link data-trunk rel="icon|css|copy-file|rust">` and `<script data-trunk src>`. Anything
//! else is an error.

use std::fmt::Write;
use std::path::Path;

use crate::Result;
use crate::asset::{self, Digest};

/// The files of the WebAssembly module: names and digests.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) script: (String, Digest),
    pub(crate) wasm: (String, Digest),
    pub(crate) snippets: Vec<(String, Digest)>,
}

/// An element marked `data-trunk`.
#[derive(Debug, PartialEq)]
struct Element<'html> {
    tag: &'html str,
    /// Without `data-trunk`.
    attributes: Vec<(&'html str, &'html str)>,
}

/// Copies the assets to `folder` and returns the finished document.
pub(crate) fn render(source: &str, folder: &Path, module: &Module) -> Result<String> {
    let mut output = String::new();
    let mut rest = source;
    while let Some((before, element, after)) = next_element(rest)? {
        output.push_str(before);
        output.push_str(&replacement(&element, folder, module)?);
        rest = after;
    }
    output.push_str(rest);
    let head_end = output.find("</head>").ok_or("index.html has no </head>")?;
    output.insert_str(head_end, &preload_links(module));
    Ok(output)
}

/// Splits the document around its first marked element.
fn next_element(html: &str) -> Result<Option<(&str, Element<'_>, &str)>> {
    let starts =
        ["link", "script"].map(|tag| html.find(&format!("<{tag} data-trunk")).map(|start| (start, tag)));
    let Some((start, tag)) = starts.into_iter().flatten().min() else { return Ok(None) };
    let (before, tag_text) = html.split_at(start);
    let end = tag_text.find('>').ok_or("index.html: an element is not closed")?;
    let attributes = attributes(&tag_text[tag.len() + 1..end])?;
    let mut after = &tag_text[end + 1..];
    if tag == "script" {
        after = after.strip_prefix("</script>").ok_or("index.html: a data-trunk script has content")?;
    }
    Ok(Some((before, Element { tag, attributes }, after)))
}

/// Parses `name="value"` and `name`, separated by spaces.
fn attributes(mut text: &str) -> Result<Vec<(&str, &str)>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return Ok(found);
        }
        let name_end = text.find(['=', ' ']).unwrap_or(text.len());
        let (name, rest) = text.split_at(name_end);
        let value;
        (value, text) = match rest.strip_prefix("=\"") {
            Some(rest) => rest.split_once('"').ok_or("index.html: an attribute is not closed")?,
            None if rest.starts_with('=') => return Err("index.html: an attribute is not quoted".into()),
            None => ("", rest),
        };
        if name != "data-trunk" {
            found.push((name, value));
        }
    }
}

fn replacement(element: &Element<'_>, folder: &Path, module: &Module) -> Result<String> {
    let attribute = |name| element.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    match (element.tag, attribute("rel"), attribute("href"), attribute("src")) {
        ("link", Some("icon"), Some(file), _) => {
            let (name, Digest(digest)) = asset::copy(file, folder)?;
            Ok(format!(r#"<link rel="icon" href="/{name}" integrity="{digest}"/>"#))
        }
        ("link", Some("css"), Some(file), _) => {
            let (name, Digest(digest)) = asset::copy(file, folder)?;
            Ok(format!(r#"<link rel="stylesheet" href="/{name}" integrity="{digest}"/>"#))
        }
        ("link", Some("copy-file"), Some(file), _) => {
            asset::copy_unchanged(file, folder)?;
            Ok(String::new())
        }
        ("link", Some("rust"), ..) => Ok(loader(module)),
        ("script", _, _, Some(file)) => {
            let (name, Digest(digest)) = asset::copy(file, folder)?;
            let defer = if attribute("defer").is_some() { " defer" } else { "" };
            Ok(format!(r#"<script src="/{name}"{defer} integrity="{digest}"></script>"#))
        }
        _ => Err(format!("index.html: unsupported data-trunk element {element:?}").into()),
    }
}

/// The script that starts the client.
fn loader(module: &Module) -> String {
    let (script, wasm) = (&module.script.0, &module.wasm.0);
    format!(
        "
<script type=\"module\">
import init, * as bindings from '/{script}';
const wasm = await init({{ module_or_path: '/{wasm}' }});


window.wasmBindings = bindings;


dispatchEvent(new CustomEvent(\"TrunkApplicationStarted\", {{detail: {{wasm}}}}));

</script>"
    )
}

fn preload_links(module: &Module) -> String {
    let mut links = String::new();
    for (name, Digest(digest)) in std::iter::once(&module.script).chain(&module.snippets) {
        let _ = write!(
            links,
            r#"<link rel="modulepreload" href="/{name}" crossorigin="anonymous" integrity="{digest}">"#
        );
    }
    let (name, Digest(digest)) = &module.wasm;
    let _ = write!(
        links,
        r#"<link rel="preload" href="/{name}" crossorigin="anonymous" integrity="{digest}" as="fetch" type="application/wasm">"#
    );
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module() -> Module {
        let file = |name: &str| (name.to_owned(), Digest("sha384-x".to_owned()));
        Module {
            script: file("c-1.js"),
            wasm: file("c-1_bg.wasm"),
            snippets: vec![file("snippets/s/inline0.js")],
        }
    }

    #[test]
    fn document_without_assets_gets_only_preload_links() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let html = render("<head>a</head><body>b</body>", folder.path(), &module()).expect("valid");
        assert_eq!(
            html,
            r#"<head>a<link rel="modulepreload" href="/c-1.js" crossorigin="anonymous" integrity="sha384-x">"#
                .to_owned()
                + r#"<link rel="modulepreload" href="/snippets/s/inline0.js" crossorigin="anonymous" integrity="sha384-x">"#
                + r#"<link rel="preload" href="/c-1_bg.wasm" crossorigin="anonymous" integrity="sha384-x" as="fetch" type="application/wasm">"#
                + "</head><body>b</body>"
        );
    }

    #[test]
    fn asset_elements_refer_to_the_copies() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("a.css");
        std::fs::write(&file, "x").expect("written");
        let html = format!(
            "<link data-trunk rel=\"css\" href=\"{0}\">-<script data-trunk src=\"{0}\" defer></script></head>",
            file.display()
        );
        let html = render(&html, folder.path(), &module()).expect("valid");
        let (name, Digest(digest)) =
            asset::copy(file.to_str().expect("UTF-8"), folder.path()).expect("copied");
        let expected = format!(
            "<link rel=\"stylesheet\" href=\"/{name}\" integrity=\"{digest}\"/>-\
             <script src=\"/{name}\" defer integrity=\"{digest}\"></script>"
        );
        assert!(html.starts_with(&expected), "{html}");
    }

    #[test]
    fn copied_files_keep_their_names() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (source, target) = (folder.path().join("source"), folder.path().join("target"));
        std::fs::create_dir(&source).expect("created");
        std::fs::create_dir(&target).expect("created");
        std::fs::write(source.join("sw.js"), "x").expect("written");
        let html = format!(
            "-<link data-trunk rel=\"copy-file\" href=\"{}\">-</head>",
            source.join("sw.js").display()
        );
        let html = render(&html, &target, &module()).expect("valid");
        assert!(html.starts_with("--<link rel=\"modulepreload\""), "{html}");
        assert_eq!(std::fs::read_to_string(target.join("sw.js")).expect("a copy"), "x");
    }

    #[test]
    fn rust_element_becomes_the_loader() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let html =
            render("<link data-trunk rel=\"rust\" data-x></head>", folder.path(), &module()).expect("valid");
        assert!(html.contains("import init, * as bindings from '/c-1.js';\n"), "{html}");
        assert!(html.contains("init({ module_or_path: '/c-1_bg.wasm' })"), "{html}");
    }

    #[test]
    fn unsupported_elements_are_errors() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        for html in [
            "<link data-trunk rel=\"sass\" href=\"a\"></head>",
            "<link data-trunk href=\"a\"></head>",
            "<link data-trunk rel=css></head>",
            "<link data-trunk rel=\"css></head>",
            "<script data-trunk src=\"a\">x</script></head>",
            "<link data-trunk",
            "no head",
        ] {
            assert!(render(html, folder.path(), &module()).is_err(), "{html}");
        }
    }
}
