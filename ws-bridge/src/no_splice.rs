//! Where there is no splice(2), all is copied.

use std::io;

use tokio::net::TcpStream;

use crate::limits::Limits;
use crate::stream::Stream;
use crate::traffic::Pulse;

/// There is none.
#[derive(Debug)]
pub(crate) enum Splice {}

#[derive(Debug)]
#[allow(dead_code, reason = "nothing is ever begun, so nothing ends early")]
pub(crate) enum Gone {
    Target(io::Error),
    Browser,
}

impl Splice {
    pub(crate) const fn of(_: &Stream, _: &Limits) -> Option<Self> {
        None
    }

    pub(crate) const fn waiting(&mut self, _: &TcpStream) -> Option<usize> {
        match *self {}
    }

    pub(crate) const fn begin(&mut self, _: usize) -> io::Result<()> {
        match *self {}
    }

    #[allow(clippy::unused_async, reason = "it stands for one that waits")]
    pub(crate) async fn finish(&mut self, _: &TcpStream, _: &Pulse) -> Result<(), Gone> {
        match *self {}
    }

    pub(crate) const fn rest(&mut self) {
        match *self {}
    }
}
