//! SMTP smuggling (CVE-2023-51764 and its kin): no server takes for the end of a message what another might, so nobody
//! hides a second message, with another sender, in a first one.

mod support;

use support::{Place, Smtp};

/// What somewhere ends a message, and must not here.
const FALSE_ENDS: &[&[u8]] = &[
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r\n.\n",
    b"\r.\r\n",
    b"\n.\r",
    b"\r\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n\0.\n",
    b"\n.\0\n",
    b"\r.\0\r",
    b"\r\0\n.\r\n",
];

/// Commands that a server would carry out if the message ended before them, and its real end.
const HIDDEN: &[u8] =
    b"MAIL FROM:<root@iit.edu>\r\nRCPT TO:<ag@iit.edu>\r\nDATA\r\nSubject: hidden\r\n\r\nhidden\r\n.\r\n";

fn begin(smtp: &mut Smtp) {
    for (command, reply) in
        [("MAIL FROM:<gb@iit.edu>", "250"), ("RCPT TO:<gb@iit.edu>", "250"), ("DATA", "354")]
    {
        let said = smtp.command(command);
        assert!(said.starts_with(reply), "{command}: {said}");
    }
}

#[test]
fn nothing_is_hidden_behind_a_false_end() {
    let place = Place::new();
    let server = place.serve();
    for false_end in FALSE_ENDS {
        let mut smtp = server.smtp();
        smtp.command("EHLO iit.edu");
        for cut in 0..=false_end.len() {
            begin(&mut smtp);
            let head = b"Subject: seen\r\n\r\ntext".as_slice();
            let octets = [head, false_end, HIDDEN].concat();
            let (first, second) = octets.split_at(head.len() + cut);
            smtp.wire.send(first);
            smtp.wire.send(second);
            let reply = smtp.reply();
            assert!(reply.starts_with("554 5.6.0 "), "{}, cut at {cut}: {reply}", false_end.escape_ascii());
            // One answer for one message: this one is that of NOOP.
            let reply = smtp.command("NOOP");
            assert!(reply.starts_with("250 2.0.0 "), "{}, cut at {cut}: {reply}", false_end.escape_ascii());
        }
        assert!(smtp.command("QUIT").starts_with("221"));
        assert_eq!(smtp.wire.rest(), b"", "it has nothing more to say");
    }
    assert!(place.mailbox("ag").is_empty() && place.mailbox("gb").is_empty());
}

#[test]
fn the_real_end_is_found_behind_lines_of_dots() {
    let place = Place::new();
    let server = place.serve();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    begin(&mut smtp);
    smtp.wire.send(b"Subject: dots\r\n\r\n..\r\n...\r\n.. \r\n. \r\nMAIL FROM:<root@iit.edu>\r\n.\r\n");
    assert!(smtp.reply().starts_with("250 2.0.0 "));
    assert!(smtp.command("QUIT").starts_with("221"));
    let text = server.signed_in("gb", "other").retrieve(1);
    assert!(
        text.ends_with(b"\r\n\r\n.\r\n..\r\n. \r\n \r\nMAIL FROM:<root@iit.edu>\r\n"),
        "{}",
        text.escape_ascii()
    );
}
