//! Carries what waits in large amounts from a target to a browser as one frame that never leaves the kernel (splice(2)).
//!
//! A copy through this process's memory costs twice the time. The frame's header says how much waits, and goes
//! through the same pipe ahead of it. From the header on until the last octet nothing else may be written to the
//! browser; who stops in between has to [`finish`](Splice::finish) before anything else.
//!
//! Not for TLS, which needs to see the octets.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::{Errno, ioctl_fionread};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::limits::{Limits, READ_OCTETS, SPLICE_OCTETS};
use crate::stream::{Plain, Stream};
use crate::traffic::Pulse;

/// One connection's way through the kernel.
#[derive(Debug)]
pub(crate) struct Splice {
    browser: Arc<Plain>,
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
        match browser {
            Stream::Plain(browser) if limits.octets_per_second.is_none() => {
                Some(Self { browser: Arc::clone(browser), pipe: None })
            }
            _ => None,
        }
    }

    /// How much waits, if it is more than one read would take, and there is a pipe to be had.
    pub(crate) fn waiting(&mut self, upstream: &TcpStream) -> Option<usize> {
        let octets = usize::try_from(ioctl_fionread(upstream).ok()?).ok()?;
        if octets <= READ_OCTETS {
            return None;
        }
        if self.pipe.is_none() {
            self.pipe = Pipe::new().ok();
        }
        self.pipe.is_some().then_some(octets.min(SPLICE_OCTETS))
    }

    /// Begins a frame of octets that wait; all that was written to the WebSocket has been flushed.
    pub(crate) fn begin(&mut self, octets: usize) -> io::Result<()> {
        let pipe = self.pipe.as_mut().ok_or(ErrorKind::NotConnected)?;
        pipe.inside = rustix::io::write(&pipe.into, &header(octets))?;
        pipe.to_come = octets;
        self.browser.in_frame.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Brings a frame that was begun to its end; the WebSocket may have more to say then, and is to be flushed.
    pub(crate) async fn finish(&mut self, upstream: &TcpStream, pulse: &Pulse) -> Result<(), Gone> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        while pipe.inside + pipe.to_come > 0 {
            if pipe.to_come > 0 {
                pipe.fill(upstream).await.map_err(Gone::Target)?;
            }
            pipe.empty(&self.browser.tcp).await.map_err(|_| Gone::Browser)?;
            pulse.beat();
        }
        self.browser.in_frame.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the pipe back, between two frames.
    pub(crate) fn rest(&mut self) {
        self.pipe = None;
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user's pipes may have had their share of memory; a small one carries the same, in more turns.
        let _ = fcntl_setpipe_size(&into, SPLICE_OCTETS);
        Ok(Self { out, into, inside: 0, to_come: 0 })
    }

    /// Takes as much as the pipe holds, if it holds any more.
    async fn fill(&mut self, upstream: &TcpStream) -> io::Result<()> {
        let once = || Ok(splice(upstream, None, &self.into, None, self.to_come, SpliceFlags::NONBLOCK)?);
        let octets = if self.inside == 0 {
            upstream.async_io(Interest::READABLE, once).await?
        } else {
            match once() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                outcome => outcome?,
            }
        };
        if octets == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.inside += octets;
        self.to_come -= octets;
        Ok(())
    }

    /// Waits until the browser takes some, and gives it as much as it takes.
    async fn empty(&mut self, browser: &TcpStream) -> io::Result<()> {
        let flags =
            SpliceFlags::NONBLOCK | if self.to_come > 0 { SpliceFlags::MORE } else { SpliceFlags::empty() };
        self.inside -= browser
            .async_io(Interest::WRITABLE, || {
                match splice(&self.out, None, browser, None, self.inside, flags) {
                    Ok(0) => Err(ErrorKind::WriteZero.into()),
                    outcome => outcome.map_err(Errno::into),
                }
            })
            .await?;
        Ok(())
    }
}

/// A final binary frame's, unmasked (RFC 6455 section 5.2), in its longest form, which only what is long may have.
fn header(octets: usize) -> [u8; 10] {
    const { assert!(READ_OCTETS >= 0xffff) };
    let mut header = [0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0];
    header[2..].copy_from_slice(&(octets as u64).to_be_bytes());
    header
}
