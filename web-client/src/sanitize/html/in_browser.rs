//! The sanitizer alone, without the sandbox and the CSP.

use js_sys::{Array, Function, Reflect, global};
use mail_core::message::draft::Attachment;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{RemoteImages, SanitizedHtml, TrailingQuotation, sanitize_and_fold, sanitize_html};

/// Loaded by a script element in the page.
const DOM_PURIFY: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/node_modules/dompurify/dist/purify.min.js"));

/// Returns the source of all elements that are not allowed, or that have an attribute which is not allowed. The head that
/// [`sanitize_html`] writes is excluded.
const HARMFUL: &str = "
    const page = new DOMParser().parseFromString(html, 'text/html');
    const own = [...page.head.children];
    const elements = 'script, link, style, base, meta, title, form, input, button, select, textarea, svg, math, iframe, \
        frame, frameset, object, embed, applet, audio, video, source, track, template, noscript, dialog, picture, canvas';
    const attributes = '[srcset], [srcdoc], [background], [poster], [ping], [action], [formaction], [data], [id], [name], \
        [target]:not([target=_blank]), a:not([rel=\"noopener noreferrer\"]), :not(img)[src]';
    const script = /^[\\s\\0-\\x20]*(javascript|vbscript|data|file|blob):/i;
    const isHarmful = (element) =>
        element.matches(elements) || element.matches(attributes) ||
        [...element.attributes].some(({ name, value }) =>
            name.startsWith('on') || name.includes(':') ||
            (name === 'style' && /url\\((?!\"data:image)|@|fixed|expression|\\\\/i.test(value)) ||
            (name === 'href' && script.test(value)) ||
            (name === 'src' && !/^data:image\\/(png|gif|jpeg|webp)[;,]/.test(value)));
    return [...page.querySelectorAll('head *, body, body *')]
        .filter((element) => !own.includes(element) && isHarmful(element))
        .map((element) => element.outerHTML)";

/// In each of these, [`HARMFUL`] finds something before sanitising.
const SNIPPETS: [&str; 56] = [
    "<script>alert(1)</script>",
    "<ScRiPt src=http://x.localhost/x.js></ScRiPt>",
    "<script src=data:,alert(1)>",
    "<link rel=stylesheet href=http://x.localhost/x.css>",
    "<link rel=dns-prefetch href=//x.localhost>",
    "<style>@import 'http://x.localhost/'; p { background: url(//x.localhost/) }</style>",
    "<base href=http://x.localhost/>",
    "<meta http-equiv=refresh content='0;url=http://x.localhost/'>",
    "<meta name=referrer content=unsafe-url>",
    "<title>Another page</title>",
    "<form action=http://x.localhost/><input name=password></form>",
    "<input autofocus onfocus=alert(1)>",
    "<button formaction=javascript:alert(1)>press</button>",
    "<select onchange=alert(1)><option>1</select>",
    "<textarea>x</textarea>",
    "<svg onload=alert(1)></svg>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate attributeName=href values=javascript:alert(1) /></svg>",
    "<svg><image href=http://x.localhost/x.png></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text>press</text></a></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<math href=javascript:alert(1)>press</math>",
    "<math><annotation-xml encoding=text/html><img src=x onerror=alert(1)></annotation-xml></math>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<iframe src=http://x.localhost/></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=http://x.localhost/></object>",
    "<embed src=http://x.localhost/>",
    "<audio src=http://x.localhost/ autoplay></audio>",
    "<video poster=http://x.localhost/ src=x></video>",
    "<picture><source srcset=http://x.localhost/x.png><img src=x></picture>",
    "<template><img src=x onerror=alert(1)></template>",
    "<noscript><img title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<dialog open>Your session has ended</dialog>",
    "<canvas></canvas>",
    "<img src=x onerror=alert(1)>",
    "<img src=http://x.localhost/x.png>",
    "<img src=//x.localhost/x.png>",
    "<img src=/ws/smtp>",
    "<img srcset='http://x.localhost/x.png 1x'>",
    "<img src='data:image/svg+xml,<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>'>",
    "<img src='data:text/html,<script>alert(1)</script>'>",
    "<body background=http://x.localhost/ onload=alert(1)>",
    "<table background=http://x.localhost/><tr><td>x</table>",
    "<p style='background: url(http://x.localhost/)'>x</p>",
    "<p style='background: u\\72l(http://x.localhost/)'>x</p>",
    "<p style='position: fixed; top: 0'>x</p>",
    "<p id=search name=search class=veil>x</p>",
    "<p onclick=alert(1)>x</p>",
    "<p/onmouseover=alert(1)>x</p>",
    "<a href=javascript:alert(1)>press</a>",
    "<a href='&#106;ava&Tab;script:alert(1)'>press</a>",
    "<a href=http://x.localhost/ ping=http://x.localhost/ target=_top>press</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>press</a>",
    "<a href=http://x.localhost/ rel=opener>press</a>",
];

fn sanitized(html: &str) -> SanitizedHtml {
    sanitized_with(html, &[])
}

pub(in crate::sanitize) fn load_dom_purify() {
    if !Reflect::has(&global(), &"DOMPurify".into()).unwrap() {
        js_sys::eval(DOM_PURIFY).unwrap();
    }
}

fn sanitized_with(html: &str, attachments: &[Attachment]) -> SanitizedHtml {
    load_dom_purify();
    sanitize_html(html, attachments, RemoteImages::Blocked).expect("DOMPurify is loaded")
}

/// The document without its head.
fn body(page: &SanitizedHtml) -> &str {
    let (_, body) = page.document.split_once("</head>").unwrap();
    let body = body.strip_suffix("</body></html>").unwrap();
    body.strip_prefix("<body>").unwrap_or(body)
}

fn harmful(html: &str) -> Vec<String> {
    let found = Function::new_with_args("html", HARMFUL).call1(&JsValue::NULL, &html.into()).unwrap();
    Array::from(&found).iter().filter_map(|element| element.as_string()).collect()
}

#[test]
fn harmful_content_is_removed() {
    for snippet in SNIPPETS {
        let raw = format!("<!doctype html><html><head></head><body>{snippet}</body></html>");
        assert_ne!(harmful(&raw), [""; 0], "nothing harmful is found in {snippet}");
        let page = sanitized(&format!("<p>before</p>{snippet}"));
        assert_eq!(harmful(&page.document), [""; 0], "{snippet} leaves {}", body(&page));
        assert!(body(&page).starts_with("<p>before</p>"), "{snippet} removes too much: {}", body(&page));
    }
}

/// The frame parses the result again.
#[test]
fn result_is_stable_under_reparsing() {
    let again = Function::new_with_args(
        "html",
        "return new DOMParser().parseFromString(html, 'text/html').body.innerHTML",
    );
    for snippet in SNIPPETS {
        let page = sanitized(snippet);
        let parsed = again.call1(&JsValue::NULL, &page.document.as_ref().into()).unwrap();
        assert_eq!(parsed.as_string().as_deref(), Some(body(&page)), "{snippet}");
    }
}

#[test]
fn formatting_and_links_remain() {
    for html in [
        "<h1>Title</h1><p align=\"center\">a <b>b</b> <i>i</i></p><ul><li>1</li></ul><blockquote>q</blockquote>",
        "<table border=\"1\" cellpadding=\"2\"><tbody><tr><td colspan=\"2\" bgcolor=\"#eeeeee\">cell</td></tr></tbody></table>",
        "<p style=\"color: rgb(51, 51, 51); font-size: 14px;\" class=\"a b\">styled</p><font color=\"red\" face=\"serif\">old</font>",
        "<div dir=\"rtl\" lang=\"he\">\u{5e9}\u{5dc}\u{5d5}\u{5dd}</div>",
    ] {
        assert_eq!(body(&sanitized(html)), html);
    }
    let links = "<a href=\"https://example.org/?a=1\">1</a><a href=\"mailto:ag@iit.edu\">2</a>";
    let safe = links.replace("\">", "\" target=\"_blank\" rel=\"noopener noreferrer\">");
    assert_eq!(body(&sanitized(links)), safe);
}

#[test]
fn only_images_of_the_message_remain() {
    let square = |bytes: &[u8]| Attachment {
        name: "square".to_owned(),
        mime: "image/png".to_owned(),
        content_id: Some("square".to_owned()),
        content_location: None,
        bytes: bytes.to_vec(),
    };
    let png = [square(PNG)];
    let page = sanitized_with("<img src=cid:square alt=a>", &png);
    assert_eq!(body(&page), "<img src=\"data:image/png;base64,iVBORw0KGgo=\" alt=\"a\">");
    assert!(!page.is_empty);

    let blocked = |text: &str| format!("<span class=\"blocked-image\">{text}</span>");
    for (html, expected, count) in [
        ("<img src=cid:circle alt='a circle'>", blocked("a circle"), 0),
        ("<img src=http://x.localhost/ alt='a <b>'>", blocked("a &lt;b&gt;"), 1),
        ("<img src=//x.localhost/>", blocked("image"), 1),
        // Relative URLs have no meaning in a message.
        ("<img src=/ws/smtp>", blocked("image"), 0),
        ("<img src=http://x.localhost/ alt=''>", String::new(), 1),
        ("<img src=http://x.localhost/ width=1 height=1>", String::new(), 1),
        ("<img src=HTTP://x.localhost/><img src=https://x.localhost/>", blocked("image").repeat(2), 2),
        ("<img src='data:image/svg+xml,x'>", blocked("image"), 0),
    ] {
        let page = sanitized_with(html, &png);
        assert_eq!((body(&page), page.blocked_images), (expected.as_str(), count), "{html}");
    }
    // SVG may contain scripts.
    let svg = [square(b"<svg xmlns='http://www.w3.org/2000/svg'/>")];
    assert_eq!(body(&sanitized_with("<img src=cid:square>", &svg)), blocked("image"));
}

/// The first octets of a PNG.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn attachment(mime: &str, id: Option<&str>, location: Option<&str>, bytes: &[u8]) -> Attachment {
    Attachment {
        name: "x".to_owned(),
        mime: mime.to_owned(),
        content_id: id.map(str::to_owned),
        content_location: location.map(str::to_owned),
        bytes: bytes.to_vec(),
    }
}

#[test]
fn images_are_found_by_content_id_and_location() {
    let id = |id| attachment("image/png", Some(id), None, PNG);
    let at = |location| attachment("image/x-png", None, Some(location), PNG);
    let files = [
        attachment("application/pdf", Some("part1"), None, b"%PDF"),
        id("part10"),
        id("a+b@iit.edu"),
        id("Capitals@iit.edu"),
        id("capitals@iit.edu"),
        id("with%20escape"),
        at("http://x.localhost/one/two.png"),
        at("three.png"),
        attachment("text/plain", Some("twice"), None, b"text"),
        id("twice"),
    ];
    for (source, index) in [
        ("cid:part1", None),
        ("cid:part10", Some(1)),
        ("cid:part100", None),
        ("CID:a%2Bb%40iit.edu", Some(2)),
        ("cid:a+b@iit.edu", Some(2)),
        ("cid:&lt;a+b@iit.edu&gt;", Some(2)),
        (" cid:%3CA+B@IIT.EDU%3E ", Some(2)),
        ("cid:Capitals@iit.edu", Some(3)),
        ("cid:capitals@iit.edu", Some(4)),
        ("cid:with%20escape", Some(5)),
        ("cid:%zz", None),
        ("http://x.localhost/one/two.png", Some(6)),
        ("one/two.png", Some(6)),
        ("./two.png", Some(6)),
        ("wo.png", None),
        ("three.png", Some(7)),
        ("three.png?", None),
        ("cid:twice", Some(9)),
        ("cid:", None),
        ("", None),
    ] {
        let page = sanitized_with(&format!("<p>x<img src=\"{source}\">"), &files);
        assert_eq!(
            page.images.iter().copied().collect::<Vec<_>>(),
            index.map(Some).into_iter().collect::<Vec<_>>(),
            "{source}"
        );
    }
    for html in ["write src=cid:part10 to name it", "<td background=cid:part10>x", "<a href=cid:part10>x</a>"]
    {
        assert_eq!(*sanitized_with(html, &files).images, [], "{html}");
    }
    let page = sanitized_with(
        "<img src=cid:twice><img src='data:image/gif;base64,R0lG'><img src=cid:part10>",
        &files,
    );
    assert_eq!(*page.images, [Some(9), None, Some(1)]);
}

#[test]
fn octets_of_images_are_limited() {
    let large = [PNG, &[0; 12 * 1_024 * 1_024]].concat();
    let files = [
        attachment("image/png", Some("large"), None, &large),
        attachment("image/png", Some("small"), None, PNG),
    ];
    let page = sanitized_with(&("<img src=cid:large>".repeat(4) + "<img src=cid:small>"), &files);
    assert_eq!(*page.images, [Some(0), Some(0), Some(1)]);
    assert_eq!(body(&page).matches("blocked-image").count(), 2);
}

#[test]
fn relative_links_are_removed() {
    for link in ["#top", "/ws/smtp", "page.html", "//x.localhost/", "cid:x", "data:image/png,x", "?q"] {
        let expected = "<a target=\"_blank\" rel=\"noopener noreferrer\">x</a>";
        assert_eq!(body(&sanitized(&format!("<a href='{link}'>x</a>"))), expected, "{link}");
    }
}

#[test]
fn colours_of_the_body_remain() {
    let page = sanitized(
        "<html><body bgcolor=#000000 text=#ffffff link=yellow dir=rtl onload=alert(1) id=x>x</body></html>",
    );
    let expected = "<body bgcolor=\"#000000\" text=\"#ffffff\" link=\"yellow\" dir=\"rtl\">x";
    assert_eq!(body(&page), expected);
    // The text colour may have been in an attribute that is not allowed.
    let dark = sanitized("<body style=\"background-color:#000\"><p style=\"color:#fff\">x</p>");
    assert_eq!(
        body(&dark),
        "<body style=\"background-color: rgb(0, 0, 0); color: rgb(255, 255, 255);\"><p style=\"color: rgb(255, 255, 255);\">x</p>"
    );
}

#[test]
fn text_and_background_remain_together_or_not_at_all() {
    for (html, expected) in [
        // The style sheet has the background.
        (
            "<style>body{background:#000}</style><p style='color:#fff'>x</p>",
            "<p style=\"color: rgb(255, 255, 255);\">x</p>",
        ),
        ("<p><font color=white>x</font></p>", "<p><font>x</font></p>"),
        (
            "<div style='background-image:url(x)'><p style='color:#eee;margin:1px'>x</p></div>",
            "<div><p style=\"margin: 1px;\">x</p></div>",
        ),
        ("<p style='color:#999'>x</p>", "<p style=\"color: rgb(153, 153, 153);\">x</p>"),
        // The text colour is missing.
        (
            "<table bgcolor=#102030><tbody><tr><td>x</td></tr></tbody></table>",
            "<table bgcolor=\"#102030\" style=\"color: rgb(255, 255, 255);\"><tbody><tr><td>x</td></tr></tbody></table>",
        ),
        (
            "<div style='color:#eee;background-color:black'><b style='background-color:#111'>x</b></div>",
            "<div style=\"color: rgb(238, 238, 238); background-color: black;\"><b style=\"background-color: rgb(17, 17, 17);\">x</b></div>",
        ),
    ] {
        assert_eq!(body(&sanitized(html)), expected, "{html}");
    }
    // The colour remains, without the image.
    let image = sanitized("<div style='background:#000 url(x)'><p style='color:#fff'>x</p></div>");
    assert!(
        body(&image).contains("background-color: rgb(0, 0, 0)") && !body(&image).contains("url"),
        "{}",
        body(&image)
    );
}

#[test]
fn style_sheet_is_in_the_head_and_message_without_colours_is_themed() {
    let page = sanitized("<style>.a{margin:1px}@import 'http://x.localhost/';</style><p class=a>x</p>");
    assert!(page.document.contains("<style>.a{margin: 1px;}\n</style>") && page.is_themed);
    assert_eq!(body(&page), "<p class=\"a\">x</p>");
    assert!(!page.document.contains("localhost"));
    for coloured in [
        "<style>a{color:red}</style><p>x</p>",
        "<p style='color:#333'>x</p>",
        "<table bgcolor=white><tr><td>x</table>",
        "<font color=red>x</font>",
        "<body text=black>x",
        "<p style='background:linear-gradient(red,blue)'>x</p>",
    ] {
        assert!(!sanitized(coloured).is_themed, "{coloured}");
    }
    assert!(sanitized("<p style='background:transparent;margin:0'>x</p>").is_themed);
}

#[test]
fn quotation_at_the_end_is_folded() {
    for (html, folded) in [
        ("<p>Yes.</p><blockquote>Q</blockquote><br>", Some("<p>Yes.</p><br>")),
        (
            "<p>Yes.</p><div><p>Ag wrote:</p><blockquote>Q<blockquote>R</blockquote></blockquote></div>",
            Some("<p>Yes.</p><div><p>Ag wrote:</p></div>"),
        ),
        (
            "<img src='data:image/png;base64,iVBORw0KGgo='><blockquote>Q</blockquote>",
            Some("<img src=\"data:image/png;base64,iVBORw0KGgo=\">"),
        ),
        ("<blockquote>Q</blockquote>", None),
        ("<blockquote>Q</blockquote><p>Yes.</p>", None),
        ("<p>FYI</p><blockquote>Begin forwarded message: x</blockquote>", None),
        ("<p>Yes.</p>", None),
        ("", None),
    ] {
        assert_eq!(sanitized(html).has_quotation, folded.is_some(), "{html}");
        let page = sanitize_and_fold(html, &[], RemoteImages::Blocked, TrailingQuotation::Folded);
        let page = page.expect("DOMPurify is loaded");
        assert!(folded.is_none_or(|folded| body(&page) == folded), "{html}: {}", body(&page));
        assert!(folded.is_some() || body(&page) == body(&sanitized(html)), "{html}: {}", body(&page));
    }
}

#[test]
fn message_without_visible_content_is_empty() {
    for html in ["", " <p> </p> ", "<script>alert(1)</script>", "<img src=http://x.localhost/ width=1>"] {
        assert!(sanitized(html).is_empty, "{html}");
    }
    for html in ["x", "<img src='data:image/png;base64,iVBORw=='>", "<img src=http://x.localhost/ alt=x>"] {
        assert!(!sanitized(html).is_empty, "{html}");
    }
}

#[test]
fn remote_images_remain_by_https_if_they_are_shown() {
    assert_eq!(sanitized("<img src=http://x.localhost/>").blocked_images, 1);
    for (source, expected) in [
        ("http://x.localhost/a", "https://x.localhost/a"),
        (" HTTPS://x.localhost/a", "https://x.localhost/a"),
        ("//x.localhost/a", "https://x.localhost/a"),
    ] {
        let html = format!("<img src='{source}' srcset='{source} 1x' onerror=alert(1)>");
        let page = sanitize_html(&html, &[], RemoteImages::Shown).expect("DOMPurify is loaded");
        assert_eq!(body(&page), format!("<img src=\"{expected}\">"), "{source}");
        assert_eq!((page.blocked_images, page.remote_images), (0, 1));
        assert!(!page.is_empty && *page.images == [None]);
    }
    for source in ["x.png", "/x.png", "http:x", "file:///x", "cid:x", "blob:https://x.localhost/x"] {
        let page = sanitize_html(&format!("<img src='{source}' alt=x>"), &[], RemoteImages::Shown);
        let page = page.expect("DOMPurify is loaded");
        assert!(!body(&page).contains("<img"), "{source}: {}", page.document);
    }
}

#[test]
fn failure_of_the_sanitizer_is_reported() {
    assert!(!sanitized("x").is_empty);
    let name = JsValue::from("DOMPurify");
    let purify = Reflect::get(&global(), &name).unwrap();
    for broken in ["return {}", "return { sanitize() { throw new Error('out of memory') } }"] {
        let broken = Function::new_no_args(broken).call0(&JsValue::NULL).unwrap();
        Reflect::set(&global(), &name, &broken).unwrap();
        let page = sanitize_html("<p>x</p>", &[], RemoteImages::Blocked);
        Reflect::set(&global(), &name, &purify).unwrap();
        assert_eq!(page, None);
    }
}

#[test]
fn document_with_a_frameset_is_not_shown() {
    let html = "<frameset><frame src='http://x.localhost/'></frameset>";
    assert_eq!(sanitize_html(html, &[], RemoteImages::Blocked), None);
}
