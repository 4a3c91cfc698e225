//! One bridged connection: a browser's WebSocket and the TCP stream of its target.
//!
//! One task carries both directions. Each reads only while there is room in a buffer that does not grow, so the slow side
//! holds back the fast one.
//!
//! What was sent before an end arrives before it: the target's last bytes reach the browser ahead of the Close frame, and
//! the bytes that the browser sent before its Close (or before it answered ours) reach the target ahead of the end of
//! the stream.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use config::Target;
use mail_core::proxy;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use crate::close::Close;
use crate::inlet::{Inlet, Word};
use crate::limits::{
    CLOSE_TIMEOUT, CONNECT_TIMEOUT, FAREWELL_TIMEOUT, Limits, READ_OCTETS, SMALL_READ_OCTETS,
};
use crate::meters::{Meters, Passage};
use crate::outlet::Outlet;
use crate::splice::{Gone, Splice};
use crate::stream::Stream;
use crate::traffic::{Clock, Due, Pace};

/// Whose connection it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) source: SocketAddr,
    /// The address of ours that it connected to.
    pub(crate) destination: SocketAddr,
    /// It came over TLS.
    pub(crate) secure: bool,
}

/// What all connections to a target share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) meters: &'a Meters,
    pub(crate) passage: &'a Passage,
}

/// Connects to the target and carries bytes until either side, a limit or `stopping` ends it. `early` has come from the
/// browser with its request.
pub(crate) async fn relay(
    browser: Stream,
    early: &[u8],
    target: &Target,
    client: Client,
    terms: Terms<'_>,
    mut stopping: watch::Receiver<bool>,
) {
    let upstream = match connect(target, client).await {
        Ok(upstream) => upstream,
        Err((close, error)) => {
            debug!(address = %target.address, %error, "no connection to the target");
            terms.meters.count_close(close);
            let mut outlet = Outlet::default();
            outlet.close(close.words());
            return part(browser, outlet, true).await;
        }
    };
    let mut relay = Relay::new(browser, early, upstream, terms);
    let mut is_told = false;
    let left = loop {
        tokio::select! {
            biased;
            left = poll_fn(|context| relay.poll(context)) => break left,
            told = stopping.wait_for(|stop| *stop), if !is_told => {
                is_told = true;
                // Else nobody is left who could say it.
                if told.is_ok() {
                    relay.clock.stop();
                }
            }
        }
    };
    relay.end(left).await;
}

async fn connect(target: &Target, client: Client) -> Result<TcpStream, (Close, io::Error)> {
    let connected = async {
        let mut stream = TcpStream::connect(target.address).await?;
        // Frames come whole; waiting to fill a segment only adds delay.
        stream.set_nodelay(true)?;
        if target.proxy {
            let Client { source, destination, secure } = client;
            stream.write_all(&proxy::Header::Proxied { source, destination, secure }.encode()).await?;
        }
        Ok(stream)
    };
    match timeout(CONNECT_TIMEOUT, connected).await {
        Ok(connected) => connected.map_err(|error| (Close::Unreachable, error)),
        Err(_) => Err((Close::Unanswered, io::ErrorKind::TimedOut.into())),
    }
}

struct Relay<'a> {
    terms: Terms<'a>,
    browser: Stream,
    upstream: TcpStream,
    inlet: Inlet,
    outlet: Outlet,
    splice: Option<Splice>,
    clock: Clock,
    up_pace: Pace,
    down_pace: Pace,
    /// The target still takes octets.
    takes: bool,
    /// The browser still takes frames, and none was broken off.
    listens: bool,
    /// There may be written octets that TLS holds.
    is_unflushed: bool,
    /// The target's last read was full, so that more of it may wait.
    is_much: bool,
    /// Why the browser's direction ends, when all that came before has gone on.
    left: Option<Left>,
}

/// How a browser's direction ends.
enum Left {
    /// With no word, or with the answer to ours.
    Gone,
    /// With a Close, which is answered with the same words.
    Closed(Vec<u8>),
    /// With what it may not do. It may be sending still.
    Refused(Close),
}

impl<'a> Relay<'a> {
    fn new(browser: Stream, early: &[u8], upstream: TcpStream, terms: Terms<'a>) -> Self {
        let limits = terms.limits;
        Self {
            terms,
            inlet: Inlet::new(early, limits.frame_octets),
            outlet: Outlet::default(),
            splice: Splice::of(&browser, limits),
            clock: Clock::new(limits),
            up_pace: Pace::new(limits.octets_per_second),
            down_pace: Pace::new(limits.octets_per_second),
            takes: true,
            listens: true,
            is_unflushed: false,
            is_much: false,
            left: None,
            browser,
            upstream,
        }
    }

    /// Carries both ways until the browser's direction ends. When the target's ends, or a limit is met, the browser is told,
    /// and what it sends until it answers was sent before it knew.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Left> {
        loop {
            let up = self.poll_up(context);
            if let Poll::Ready(Some(left)) = up {
                return Poll::Ready(left);
            }
            // Turn and turn about, so that neither direction starves the other.
            let down = self.poll_down(context);
            if let Poll::Ready(Some(close)) = down {
                self.close(close);
                if !self.listens {
                    return Poll::Ready(Left::Gone);
                }
            }
            if up.is_ready() || down.is_ready() {
                continue;
            }
            match ready!(self.clock.poll(context)) {
                Due::Ping => self.outlet.ping(),
                Due::Rest => self.rest(),
                Due::Idle => self.close(Close::Idle(self.clock.idle())),
                Due::Stop => self.close(Close::Away),
                Due::GiveUp => return Poll::Ready(Left::Gone),
            }
        }
    }

    /// Brings the browser's octets a step further to the target. All that there is to read at once is read before it is
    /// written, as far as there is room.
    fn poll_up(&mut self, context: &mut Context<'_>) -> Poll<Option<Left>> {
        ready!(self.up_pace.poll_paid(context));
        if self.left.is_none() {
            match self.inlet.next() {
                Ok(Some(Word::Ping(words))) => self.outlet.pong(words),
                Ok(Some(Word::Close(words))) => self.left = Some(Left::Closed(words.to_vec())),
                Err(close) => self.left = Some(Left::Refused(close)),
                Ok(None) => {
                    if self.inlet.has_room() && self.poll_receive(context).is_ready() {
                        return Poll::Ready(None);
                    }
                    return self.poll_pass(context).map(|()| None);
                }
            }
            return Poll::Ready(None);
        }
        if self.inlet.passable().is_empty() {
            return Poll::Ready(self.left.take());
        }
        self.poll_pass(context).map(|()| None)
    }

    /// Reads what the browser sends next.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let read = pin!(self.browser.read_buf(&mut self.inlet.room())).poll(context);
        if let Ok(0) | Err(_) = ready!(read) {
            self.left = Some(Left::Gone);
        }
        if self.inlet.is_large() {
            self.clock.hold();
        }
        Poll::Ready(())
    }

    /// Writes what may go on to the target, and waits where there is nothing.
    fn poll_pass(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let octets = self.inlet.passable();
        if octets.is_empty() {
            return Poll::Pending;
        }
        let passed = if self.takes {
            match ready!(Pin::new(&mut self.upstream).poll_write(context, octets)) {
                Ok(passed) => {
                    self.terms.passage.octets_up.add(passed as u64);
                    passed
                }
                // A target that takes no more may still have words to say; its own end decides.
                Err(_) => {
                    self.takes = false;
                    0
                }
            }
        } else {
            octets.len()
        };
        self.inlet.passed(passed);
        self.up_pace.passed(passed);
        self.clock.beat();
        Poll::Ready(())
    }

    /// Brings the target's octets, and what the bridge itself has to say, a step further to the browser; gives how the target
    /// ends.
    fn poll_down(&mut self, context: &mut Context<'_>) -> Poll<Option<Close>> {
        if !self.listens {
            // The other direction sees that too, and has its last bytes to bring.
            return Poll::Pending;
        }
        if self.is_in_frame() {
            return self.poll_frame(context).map(|outcome| outcome.err());
        }
        let unsent = self.outlet.unsent();
        if !unsent.is_empty() {
            match ready!(Pin::new(&mut self.browser).poll_write(context, unsent)) {
                Ok(0) | Err(_) => self.listens = false,
                Ok(octets) => {
                    if self.outlet.sent(octets) {
                        self.clock.beat();
                    }
                    self.is_unflushed = true;
                }
            }
            return Poll::Ready(None);
        }
        if self.is_unflushed {
            self.listens = ready!(Pin::new(&mut self.browser).poll_flush(context)).is_ok();
            self.is_unflushed = false;
        }
        if self.outlet.is_closing() {
            return Poll::Pending;
        }
        ready!(self.down_pace.poll_paid(context));
        match ready!(self.poll_read(context)) {
            Ok(0) => return Poll::Ready(Some(Close::End)),
            Ok(octets) => {
                self.clock.heard();
                self.terms.passage.octets_down.add(octets as u64);
                self.down_pace.passed(octets);
            }
            Err(error) => return Poll::Ready(Some(broken(&error))),
        }
        Poll::Ready(None)
    }

    /// Reads the next octets into a frame, or begins one of octets that are not read; gives how many.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_much {
            self.clock.hold();
            if let Some(splice) = &mut self.splice {
                ready!(self.upstream.poll_read_ready(context))?;
                if let Some(octets) = splice.begin(&self.upstream)? {
                    return Poll::Ready(Ok(octets));
                }
            }
        }
        let room = if self.is_much { READ_OCTETS } else { SMALL_READ_OCTETS };
        let read = pin!(self.upstream.read_buf(&mut self.outlet.room(room))).poll(context);
        if let Poll::Ready(Ok(octets @ 1..)) = read {
            self.is_much = octets >= SMALL_READ_OCTETS;
            self.outlet.frame();
        }
        read
    }

    fn is_in_frame(&self) -> bool {
        self.splice.as_ref().is_some_and(Splice::is_in_frame)
    }

    /// Brings a frame that goes around this process's memory a step further.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Close>> {
        let (Some(splice), Some(browser)) = (&mut self.splice, self.browser.tcp()) else {
            return Poll::Ready(Ok(()));
        };
        match ready!(splice.poll_step(context, &self.upstream, browser)) {
            Ok(()) => self.clock.beat(),
            Err(Gone::Browser) => self.listens = false,
            Err(Gone::Target(error)) => {
                // Nothing can be said within a frame.
                self.listens = false;
                return Poll::Ready(Err(broken(&error)));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives back what a connection at rest doesn't need.
    fn rest(&mut self) {
        self.is_much = false;
        self.inlet.rest();
        self.outlet.rest();
        if let Some(splice) = &mut self.splice {
            splice.rest();
        }
        if self.inlet.is_large() || self.outlet.is_large() || self.is_in_frame() {
            self.clock.hold();
        }
    }

    fn close(&mut self, close: Close) {
        if !self.outlet.is_closing() {
            close.log();
            self.terms.meters.count_close(close);
            self.outlet.close(close.words());
            self.clock.say_goodbye();
        }
    }

    /// Says the last words to both sides.
    async fn end(mut self, left: Left) {
        let is_news = !self.outlet.is_closing();
        let meters = self.terms.meters;
        let mut may_be_sending = false;
        match left {
            Left::Gone => meters.lost.add(1),
            Left::Closed(words) if is_news => {
                meters.closed_by_browser.add(1);
                self.outlet.close(words);
            }
            Left::Refused(close) if is_news => {
                close.log();
                meters.count_close(close);
                self.outlet.close(close.words());
                may_be_sending = true;
            }
            // All has been said.
            Left::Closed(_) | Left::Refused(_) => {}
        }
        // Half a frame may have gone out.
        let whole = poll_fn(|context| {
            while self.listens && self.is_in_frame() {
                let _ = ready!(self.poll_frame(context));
            }
            Poll::Ready(())
        });
        let _ = timeout(CLOSE_TIMEOUT, whole).await;
        let outlet = if self.listens && !self.is_in_frame() { self.outlet } else { Outlet::default() };
        tokio::join!(part(self.browser, outlet, may_be_sending), leave(self.upstream));
    }
}

fn broken(error: &io::Error) -> Close {
    debug!(%error, "the target's connection broke");
    Close::Broken
}

/// Sends the browser what is left for it, and ends its stream. A browser that may be sending still is read until it ends: a
/// socket that is closed with unread input resets the connection, and what was sent last with it.
async fn part(mut browser: Stream, mut outlet: Outlet, may_be_sending: bool) {
    let _ = timeout(CLOSE_TIMEOUT, async {
        loop {
            let unsent = outlet.unsent();
            if unsent.is_empty() {
                break;
            }
            let octets = unsent.len();
            browser.write_all(unsent).await?;
            outlet.sent(octets);
        }
        browser.flush().await?;
        browser.shutdown().await?;
        if may_be_sending {
            tokio::io::copy(&mut browser, &mut tokio::io::sink()).await?;
        }
        Ok::<_, io::Error>(())
    })
    .await;
}

/// Ends the stream to the target and waits for its own end, so that it reads all that it was sent.
async fn leave(mut upstream: TcpStream) {
    let _ = timeout(FAREWELL_TIMEOUT, async {
        upstream.shutdown().await?;
        let mut rest = [0; 4 << 10];
        while upstream.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    })
    .await;
}
