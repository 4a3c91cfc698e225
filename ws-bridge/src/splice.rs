//! Carries what waits in large amounts from a target to a browser as one frame that never leaves the kernel (splice(2)).
//!
//! A copy through this process's memory costs twice the time. The frame's header says how much waits, and goes
//! through the same pipe ahead of it. From the header on until the last octet nothing else may be written to the
//! browser.
//!
//! Not for TLS, which needs to see the octets.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::io::ioctl_fionread;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::frame::{HEADER_OCTETS_OUT_MAX, Opcode, head};
use crate::limits::{Limits, READ_OCTETS, SPLICE_OCTETS};
use crate::stream::Stream;

/// One connection's way through the kernel.
#[derive(Debug)]
pub(crate) struct Splice {
    pipe: Option<Pipe>,
}

#[derive(Debug)]
struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    /// Octets of the frame that are in the pipe, its header's among them.
    inside: usize,
    /// Octets of the frame that wait at the target.
    to_come: usize,
}

/// Which side a frame could not be ended for.
#[derive(Debug)]
pub(crate) enum Gone {
    Target(io::Error),
    Browser,
}

impl Splice {
    /// Where there is no TLS, and no pace to keep, which asks for small pieces.
    pub(crate) fn of(browser: &Stream, limits: &Limits) -> Option<Self> {
        (browser.tcp().is_some() && limits.octets_per_second.is_none()).then_some(Self { pipe: None })
    }

    /// Begins a frame of what waits, if it is more than one read would take, and there is a pipe to be had; gives how much
    /// that is. All that was written before has gone out.
    pub(crate) fn begin(&mut self, upstream: &TcpStream) -> io::Result<Option<usize>> {
        let waiting = usize::try_from(ioctl_fionread(upstream)?).unwrap_or(0).min(SPLICE_OCTETS);
        if waiting <= READ_OCTETS {
            return Ok(None);
        }
        if self.pipe.is_none() {
            self.pipe = Pipe::new().ok();
        }
        let Some(pipe) = &mut self.pipe else { return Ok(None) };
        let mut room = [0; HEADER_OCTETS_OUT_MAX];
        let start = head(&mut room, Opcode::Binary, waiting);
        pipe.inside = rustix::io::write(&pipe.into, &room[start..])?;
        pipe.to_come = waiting;
        Ok(Some(waiting))
    }

    /// A frame has begun and not ended.
    pub(crate) fn is_in_frame(&self) -> bool {
        self.pipe.as_ref().is_some_and(|pipe| pipe.inside + pipe.to_come > 0)
    }

    /// Brings a frame that has begun a step further.
    pub(crate) fn poll_step(
        &mut self,
        context: &mut Context<'_>,
        upstream: &TcpStream,
        browser: &TcpStream,
    ) -> Poll<Result<(), Gone>> {
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(())) };
        if pipe.to_come > 0 {
            ready!(pipe.poll_fill(context, upstream)).map_err(Gone::Target)?;
        }
        pipe.poll_empty(context, browser).map_err(|_| Gone::Browser)
    }

    /// Gives the pipe back, between two frames.
    pub(crate) fn rest(&mut self) {
        if !self.is_in_frame() {
            self.pipe = None;
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user's pipes may have had their share of memory; a small one carries the same, in more turns.
        let _ = fcntl_setpipe_size(&into, SPLICE_OCTETS);
        Ok(Self { out, into, inside: 0, to_come: 0 })
    }

    /// Takes as much as the pipe holds, if it holds any more; waits only when there is nothing inside.
    fn poll_fill(&mut self, context: &mut Context<'_>, upstream: &TcpStream) -> Poll<io::Result<()>> {
        let once = || {
            Ok::<_, io::Error>(splice(upstream, None, &self.into, None, self.to_come, SpliceFlags::NONBLOCK)?)
        };
        let octets = loop {
            let outcome = if self.inside > 0 {
                // Not by way of the socket's readiness, which a full pipe says nothing of.
                match once() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Ready(Ok(())),
                    outcome => outcome,
                }
            } else {
                ready!(upstream.poll_read_ready(context))?;
                upstream.try_io(Interest::READABLE, once)
            };
            match outcome {
                Ok(0) => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
                Ok(octets) => break octets,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        };
        self.inside += octets;
        self.to_come -= octets;
        Poll::Ready(Ok(()))
    }

    /// Waits until the browser takes some, and gives it as much as it takes.
    fn poll_empty(&mut self, context: &mut Context<'_>, browser: &TcpStream) -> Poll<io::Result<()>> {
        let more = if self.to_come > 0 { SpliceFlags::MORE } else { SpliceFlags::empty() };
        let flags = SpliceFlags::NONBLOCK | more;
        let once = || Ok(splice(&self.out, None, browser, None, self.inside, flags)?);
        loop {
            ready!(browser.poll_write_ready(context))?;
            match browser.try_io(Interest::WRITABLE, once) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(octets) => {
                    self.inside -= octets;
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
