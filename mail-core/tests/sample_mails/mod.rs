//! Sample mails: those in this file, and an optional external collection.

#![allow(dead_code, reason = "each test binary uses a part of this module")]

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Name and text of each built-in mail, with LF line ends.
pub(crate) const BUILT_IN: &[(&str, &[u8])] = &[
    ("plain", b"From: ag@iit.edu\nTo: gb@iit.edu\nSubject: Meeting\n\nSee you at five.\n"),
    ("empty body", b"From: ag@iit.edu\nTo: gb@iit.edu\nSubject: Nothing to add\n\n"),
    ("no fields but others", b"Date: Sun, 22 Nov 2026 19:15:06 +0000\nMessage-ID: <1@iit.edu>\n\nWho wrote this?\n"),
    ("only a header", b"Subject: no blank line follows\nFrom: ag@iit.edu\n"),
    ("no header", b"Just a text of two lines,\nsent as it is.\n"),
    ("an empty line first", b"\nall of this is body\nFrom: nobody@iit.edu\n"),
    ("nothing", b""),
    ("one line end", b"\n"),
    ("no last line end", b"Subject: cut\n\nno line end"),
    ("dots", b"From: ag@iit.edu\nSubject: dots\n\n.\n..\n...\n.leading\n. \nend.\n.\n"),
    ("a dot in the header", b"From: ag@iit.edu\n.dotted: header line\nTo: gb@iit.edu\nSubject: x\n\n.\n"),
    ("From in the body", b"Subject: mbox\n\nFrom here on it is body.\n>From too.\n"),
    ("an mbox line first", b"From ag@iit.edu Sun Nov 22 19:15:06 2026\nSubject: exported\nTo: gb@iit.edu\n\nbody\n"),
    ("fields last and folded", b"X-First: 1\nDate: Sun, 22 Nov 2026 19:15:06 +0000\nSubject: a subject\n that is\n\tfolded\nTo: gb@iit.edu,\n ag@iit.edu\nFrom: \"A. G.\"\n <ag@iit.edu>\nX-Last: 2\n\nbody\n"),
    ("fields twice", b"From: ag@iit.edu\nFrom: gb@iit.edu\nSubject: one\nSubject: two\nTo: ag@iit.edu\nTo: gb@iit.edu\n\nbody\n"),
    ("odd field names", b"from: ag@iit.edu\nTO : gb@iit.edu\nsUbJeCt:no space\nReturn-Path: <forged@example.org>\nReceived: from nowhere\n\nbody\n"),
    ("lines that are no fields", b"From: ag@iit.edu\nthis is no field\nSubject: still the header\n: nor this\n\nbody\n"),
    ("looks like a record", b"Subject: nested\n\nFrom: <a@b>\nTo: <c@d>\nSubject: x\nReceived: 2026-11-22 : 19 : 15\nReturn-Path: <a@b>\n\nfake\n.\nFrom: <e@f>\n"),
    ("MIME", b"From: ag@iit.edu\nTo: gb@iit.edu\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"-\"\n\n---\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nSch\xc3\xb6ne Gr\xc3\xbc\xc3\x9fe\n---\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"a.bin\"\n\nAAECAwQFBgc=\n-----\n"),
    ("8-bit in no charset", b"From: ag@iit.edu\nSubject: caf\xe9\n\n\xff\xfe\x80 raw octets\n"),
    ("control characters", b"Subject: bells\n\n\x07\x1b[31mred\x1b[0m \x01\x7f\n"),
    ("tabs and trailing spaces", b"Subject:\ttab \n\n \n\t\nend \t \n"),
    ("many line ends at the end", b"Subject: room\n\nbody\n\n\n\n"),
];

/// Path and text of each mail in the collection; empty if the collection does not exist.
pub(crate) fn collected() -> Vec<(String, Vec<u8>)> {
    let folder = collection_path();
    if !folder.is_dir() {
        return Vec::new();
    }
    let mails = mails_below(&folder);
    assert!(!mails.is_empty(), "{} contains no .eml file", folder.display());
    mails
}

/// The folder in `PENNYPOST_CORPUS`, else `../shared/corpus` next to the checkout.
pub(crate) fn collection_path() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    env::var_os("PENNYPOST_CORPUS").map_or_else(default, PathBuf::from)
}

/// Every `.eml` file below a folder, sorted by path.
fn mails_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut mails = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "eml") {
                mails.push((path.display().to_string(), fs::read(&path).expect("readable")));
            }
        }
    }
    mails.sort();
    mails
}
