//! Authentication of messages from unauthenticated clients: the interface of its implementation, which uses the DNS.

use std::fmt::Debug;
use std::net::IpAddr;
use std::pin::Pin;

use mail_core::message::address::ReversePath;
use mail_core::smtp::reply::Reply;

/// Verifies SPF, DKIM and DMARC of messages. A failure of the DNS never rejects one.
pub trait MessageAuthenticator: Send + Sync + Debug {
    /// The name of this server in Authentication-Results fields (RFC 8601 section 2.5).
    fn authserv_id(&self) -> &str;

    /// Names of the fields that this server adds besides. Those of a received message are forged.
    fn own_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// Starts to verify a message, which has yet to arrive.
    fn begin(&self, sender: Sender) -> Box<dyn MessageCheck>;
}

/// The client and the envelope of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    pub address: IpAddr,
    /// The argument of HELO or EHLO.
    pub hello: String,
    pub reverse_path: ReversePath,
    /// Recipients as the client wrote them, up to a number.
    pub recipients: Vec<String>,
}

/// The verification of a message. Dropping it ends it.
pub trait MessageCheck: Send + Debug {
    /// The whole header, without the empty line after it. Called once, before the body.
    fn header(&mut self, header: &[u8]);

    /// The next part of the body.
    fn body(&mut self, chunk: &[u8]);

    /// Bytes of memory in use.
    fn memory(&self) -> usize;

    /// Completes the verification, in limited time.
    fn finish(self: Box<Self>) -> Pin<Box<dyn Future<Output = Verdict> + Send>>;
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The Authentication-Results field, and those of a spam filter, with their CRLF.
    pub field: String,
    /// The reply if the message is rejected.
    pub rejection: Option<Reply>,
}
