//! Where there is no splice(2), all is copied.

use std::io;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use crate::limits::Limits;
use crate::stream::Stream;

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

    pub(crate) const fn begin(&mut self, _: &TcpStream) -> io::Result<Option<usize>> {
        match *self {}
    }

    pub(crate) const fn is_in_frame(&self) -> bool {
        match *self {}
    }

    pub(crate) const fn poll_step(
        &mut self,
        _: &mut Context<'_>,
        _: &TcpStream,
        _: &TcpStream,
    ) -> Poll<Result<(), Gone>> {
        match *self {}
    }

    pub(crate) const fn rest(&mut self) {
        match *self {}
    }
}
