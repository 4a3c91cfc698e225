//! Carries the bytes of a browser's WebSocket to a TCP port and back.
//!
//! The browser client speaks SMTP and POP3 itself, but a page cannot open a TCP connection. The relay belongs here; the
//! protocols do not: it never looks into the bytes, and it connects to configured targets only, never to an address that
//! a page names. Nothing of it is written yet.
