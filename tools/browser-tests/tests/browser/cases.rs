//! Mails of the folder `../shared/cases` beside the project, or of the folder `PENNYPOST_CASES`, in the page: the
//! attachments that are listed and the images that are drawn. Without the folder, only the project's own mails are
//! tested.

use std::fs;
use std::path::{Path, PathBuf};

use browser_tests::Fixture;
use serde_json::{Value, json};

use crate::attachments::{drawn_images, listed_attachments};
use crate::{assert_no_console_errors, open_inbox};

struct Case {
    name: String,
    mail: String,
    files: Option<Value>,
    images: Option<Value>,
}

fn cases() -> Vec<Case> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    let folder = option_env!("PENNYPOST_CASES").map_or_else(beside, PathBuf::from);
    if !folder.exists() {
        return Vec::new();
    }
    let expected = fs::read(folder.join("expected.json")).expect("the folder has expected.json");
    let expected: Value = serde_json::from_slice(&expected).expect("expected.json is valid JSON");
    let all = expected.as_object().expect("expected.json is an object").iter();
    let cases: Vec<_> = all
        .filter(|(_, case)| case.get("page_files").or_else(|| case.get("page_pic")).is_some())
        .map(|(name, case)| Case {
            name: name.clone(),
            mail: fs::read_to_string(folder.join(format!("{name}.eml"))).expect("every case has a mail"),
            files: case.get("page_files").cloned(),
            images: case.get("page_pic").cloned(),
        })
        .collect();
    assert!(!cases.is_empty(), "{} has no cases for the page", folder.display());
    cases
}

#[tokio::test]
async fn cases_have_the_expected_attachments_and_images() {
    let cases = cases();
    if cases.is_empty() {
        return;
    }
    let mails: Vec<_> = cases.iter().map(|case| case.mail.as_str()).collect();
    let fixture = open_inbox(&mails).await;
    let Fixture { page, .. } = &fixture;
    for case in &cases {
        page.open_row(&case.name).await;
        page.wait_for("heading", &case.name).await;
        let files = case.files.clone().unwrap_or_else(|| json!([]));
        page.wait_until(&format!("{}: the files {files}", case.name), async || {
            listed_attachments(page).await == files
        })
        .await;
        if let Some(images) = &case.images {
            page.wait_until(&format!("{}: {images} images", case.name), async || {
                drawn_images(page).await == *images
            })
            .await;
        }
    }
    assert_no_console_errors(page).await;
}
