//! Mails for the tests.

/// A PNG of a blue square, 48 pixels wide, in base64.
pub(crate) const SQUARE: &str = "iVBORw0KGgoAAAANSUhEUgAAADAAAAAwCAIAAADYYG7QAAAAOklEQVR42u3OQQ0AAAgEoGtiNKNazRbOBxsBSPW8EiEhISEhISEhISEhISEhISEhISEhISEhISGhOwtTziWm+5CkmAAAAABJRU5ErkJggg==";

pub(crate) const PLAIN: &str = "\
From: Ag Mitra <ag@iit.edu>
To: gb@iit.edu
Subject: Meeting
Date: Sun, 22 Nov 2026 19:15:06 +0000

See you at five.
.this line begins with a dot
Bring <b>nothing</b> & no one.
";

pub(crate) const HTML: &str = "\
From: Newsletter <news@example.org>
To: gb@iit.edu
Subject: Ten things
MIME-Version: 1.0
Content-Type: multipart/related; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain

The plain face.
--inner
Content-Type: text/html; charset=utf-8

<h1>Ten things</h1><p>you <em>did not</em> ask for, with a <a href=\"http://example.localhost/\">link</a>.</p>
<img src=\"cid:square\" alt=\"a square\"><img src=\"http://pictures.localhost/one.png\" alt=\"from elsewhere\">
--inner--
--outer
Content-Type: image/png
Content-ID: <square>
Content-Disposition: inline
Content-Transfer-Encoding: base64

iVBORw0KGgoAAAANSUhEUgAAADAAAAAwCAIAAADYYG7QAAAAOklEQVR42u3OQQ0AAAgEoGtiNKNazRbOBxsBSPW8EiEhISEhISEhISEhISEhISEhISEhISEhISGhOwtTziWm+5CkmAAAAABJRU5ErkJggg==
--outer--
";

pub(crate) const NON_LATIN: &str = "\
From: =?utf-8?B?0J/QvtGI0YLQvtCy0LAg0YHQutGA0LjQvdGM0LrQsA==?= <box@example.org>
To: gb@iit.edu
Subject: =?utf-8?B?0JfQstGW0YIg0LfQsCDQu9C40YHRgtC+0L/QsNC0?=
MIME-Version: 1.0
Content-Type: text/plain; charset=koi8-u
Content-Transfer-Encoding: quoted-printable

=F0=D2=C9=D7=A6=D4, =D3=D7=A6=D4=C5!
";

/// A mail with one attachment, given in base64.
pub(crate) fn with_attachment(subject: &str, name: &str, mime: &str, base64: &str) -> String {
    format!(
        "From: Ag Mitra <ag@iit.edu>\nTo: gb@iit.edu\nSubject: {subject}\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nIt is attached.\n\
         --b\nContent-Type: {mime}; name=\"{name}\"\nContent-Disposition: attachment; filename=\"{name}\"\n\
         Content-Transfer-Encoding: base64\n\n{base64}\n--b--\n"
    )
}

/// A mail with an HTML body.
pub(crate) fn html(subject: &str, body: &str) -> String {
    format!(
        "From: Stranger <stranger@example.org>\nTo: gb@iit.edu\nSubject: {subject}\nMIME-Version: 1.0\n\
         Content-Type: text/html; charset=utf-8\n\n{body}\n"
    )
}

/// A mail with one line of text.
pub(crate) fn short(subject: &str) -> String {
    format!("From: Ag Mitra <ag@iit.edu>\nTo: gb@iit.edu\nSubject: {subject}\n\nThis is {subject}.\n")
}

/// A multipart/related mail: HTML, and parts given by their header fields and content in base64.
pub(crate) fn related(subject: &str, html: &str, parts: &[(&str, &str)]) -> String {
    let part = |(fields, base64): &(&str, &str)| {
        format!("--b\n{fields}\nContent-Transfer-Encoding: base64\n\n{base64}\n")
    };
    format!(
        "From: Ag Mitra <ag@iit.edu>\nTo: gb@iit.edu\nSubject: {subject}\nMIME-Version: 1.0\n\
         Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html; charset=utf-8\n\n{html}\n{}--b--\n",
        parts.iter().map(part).collect::<String>()
    )
}
