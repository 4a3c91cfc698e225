//! Attachments in the list, and images in the HTML.

use browser_tests::{Fixture, Page};
use serde_json::{Value, json};

use crate::sample_mails::{SQUARE, related};
use crate::{assert_no_console_errors, open_inbox};

/// Names in the list of attachments.
pub(crate) async fn listed_attachments(page: &Page) -> Value {
    page.run(
        "return [...document.querySelectorAll('.attachment bdi')].map((name) => name.textContent)",
        vec![],
    )
    .await
}

/// Number of images that the message frame shows.
pub(crate) async fn drawn_images(page: &Page) -> Value {
    let images =
        "return [...document.images].filter((image) => image.complete && image.naturalWidth > 0).length";
    page.run_in_message(images).await.unwrap_or_default()
}

/// An image of one pixel: a GIF, a JPEG, and a WebP.
const GIF: &str = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
const JPEG: &str = "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////\
    wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA=";
const WEBP: &str = "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA";

struct Sample {
    subject: &'static str,
    html: &'static str,
    /// Header fields and base64 of each part after the HTML.
    parts: &'static [(&'static str, &'static str)],
    listed: &'static [&'static str],
    drawn: u64,
}

const SAMPLES: &[Sample] = &[
    Sample {
        subject: "escapes and capitals",
        html: "one <img src='CID:a%2Bb%40IIT.edu'> two",
        parts: &[("Content-Type: image/png; name=square.png\nContent-ID: <a+b@iit.edu>", SQUARE)],
        listed: &[],
        drawn: 1,
    },
    Sample {
        subject: "no brackets",
        html: "<img src='cid:square'>",
        parts: &[("Content-Type: image/png\nContent-ID: square", SQUARE)],
        listed: &[],
        drawn: 1,
    },
    Sample {
        subject: "location",
        html: "<img src='pictures/square.png'> <img src='http://pictures.localhost/other.png'>",
        parts: &[
            ("Content-Type: image/png\nContent-Location: pictures/square.png", SQUARE),
            ("Content-Type: image/png\nContent-Location: http://pictures.localhost/other.png", SQUARE),
        ],
        listed: &[],
        drawn: 2,
    },
    Sample {
        subject: "wrong types",
        html: "<img src=cid:1><img src=cid:2><img src=cid:3><img src=cid:4>",
        parts: &[
            ("Content-Type: image/pjpeg\nContent-ID: <1>", JPEG),
            ("Content-Type: application/octet-stream; name=x.png\nContent-ID: <2>", SQUARE),
            ("Content-Type: image/x-png\nContent-ID: <3>", GIF),
            ("Content-Type: text/html; name=x.webp\nContent-ID: <4>", WEBP),
        ],
        listed: &[],
        drawn: 4,
    },
    Sample {
        subject: "longer identifier",
        html: "See the bill. <img src=cid:part12>",
        parts: &[
            ("Content-Type: application/pdf; name=bill.pdf\nContent-ID: <part1>", "JVBERi0="),
            ("Content-Type: image/png; name=square.png\nContent-ID: <part12>", SQUARE),
        ],
        listed: &["bill.pdf"],
        drawn: 1,
    },
    Sample {
        subject: "only mentioned",
        html: "The address is cid:doc, <a href=cid:doc>here</a>.",
        parts: &[("Content-Type: image/png; name=doc.png\nContent-ID: <doc>", SQUARE)],
        listed: &["doc.png"],
        drawn: 0,
    },
    Sample {
        subject: "background",
        html: "<table background=cid:menu><tr><td style='background:url(cid:menu)'>Menu</table>",
        parts: &[("Content-Type: image/png; name=menu.png\nContent-ID: <menu>", SQUARE)],
        listed: &["menu.png"],
        drawn: 0,
    },
    Sample {
        subject: "no image",
        html: "<img src=cid:letter alt='a letter'> text",
        parts: &[("Content-Type: image/png; name=letter.doc\nContent-ID: <letter>", "0M8R4KGxGuE=")],
        listed: &["letter.doc"],
        drawn: 0,
    },
    Sample {
        // It begins like a PNG.
        subject: "damaged image",
        html: "<img src=cid:damaged alt='a square'> text <img src=cid:whole>",
        parts: &[
            ("Content-Type: image/png; name=damaged.png\nContent-ID: <damaged>", "iVBORw0KGgoAAAANSUhEUg=="),
            ("Content-Type: image/png; name=whole.png\nContent-ID: <whole>", SQUARE),
        ],
        listed: &["damaged.png"],
        drawn: 1,
    },
];

#[tokio::test]
async fn attachment_is_listed_unless_the_html_shows_it() {
    let mails: Vec<_> =
        SAMPLES.iter().map(|sample| related(sample.subject, sample.html, sample.parts)).collect();
    let fixture = open_inbox(&mails.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let Fixture { page, driver, .. } = &fixture;
    for Sample { subject, listed, drawn, .. } in SAMPLES {
        page.open_row(subject).await;
        page.wait_for("heading", subject).await;
        page.wait_until(&format!("{subject}: {listed:?}"), async || {
            listed_attachments(page).await == json!(listed)
        })
        .await;
        page.wait_until(&format!("{subject}: {drawn} images"), async || {
            drawn_images(page).await == json!(drawn)
        })
        .await;
    }
    page.screenshot("damaged-image").await;

    // The plain text shows no images.
    page.press("Show plain text").await;
    page.wait_until("all attachments", async || {
        listed_attachments(page).await == json!(["damaged.png", "whole.png"])
    })
    .await;
    page.screenshot("attached-images").await;
    assert_no_console_errors(page).await;
    page.close().await;
    assert!(!driver.network_log().contains("pictures.localhost"));
}
