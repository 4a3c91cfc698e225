//! Relays one browser's WebSocket to a target's byte stream, in one task.
//!
//! ```text
//! browser -> ReadAhead -> tungstenite -> to_target -> target
//! browser <- tungstenite <- from_target <- target
//! ```
//!
//! Each direction reads only while its bounded buffer has room, so the slow side slows the fast one down. A message from the
//! browser is forwarded when it is complete and valid.
//!
//! Data precedes the end of its stream: the target's last bytes reach the browser before the Close frame, and data that the
//! browser sent before its Close (or before it answered the bridge's Close) reaches the target before the end of the stream.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use net::stream::{Stream, Transport};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::debug;

use crate::close::CloseReason;
use crate::limits::{
    CLOSE_TIMEOUT, EMPTY_FRAMES_MAX, Limits, SMALL_READ_BYTES, TARGET_CLOSE_TIMEOUT, TARGET_READ_BYTES,
    TO_TARGET_BYTES_MAX, WRITE_BUFFER_BYTES,
};
use crate::metrics::{Metrics, TargetMetrics};
use crate::rate_limiter::RateLimiter;
use crate::read_ahead::ReadAhead;
use crate::target::{Browser, Target};
use crate::timers::{Expired, Timers};

type Socket = WebSocketStream<ReadAhead<Stream<TcpStream>>>;

/// Limits and metrics of all connections to a target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RelayContext<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) metrics: &'a Metrics,
    pub(crate) target_metrics: &'a TargetMetrics,
}

/// Connects to the target and relays until either side, a limit or `shutdown` ends the connection. `early` is what the browser
/// sent directly behind its request.
pub(crate) async fn relay(
    stream: Stream<TcpStream>,
    early: &[u8],
    target: &Target,
    browser: &Browser,
    context: RelayContext<'_>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut socket = open_socket(ReadAhead::new(stream, early), context.limits).await;
    let target = match target.connect(browser).await {
        Ok(target) => target,
        Err((reason, error)) => {
            debug!(?target, %error, "cannot connect to the target");
            context.metrics.count_close(reason);
            let _ = timeout(CLOSE_TIMEOUT, socket.feed(Message::Close(Some(reason.frame())))).await;
            return close_browser(socket, true).await;
        }
    };
    let mut relay = Relay::new(socket, target, context);
    let mut shutdown_seen = false;
    let end = loop {
        let pause = tokio::select! {
            biased;
            pause = poll_fn(|cx| relay.poll(cx)) => pause,
            changed = shutdown.wait_for(|shutdown| *shutdown), if !shutdown_seen => {
                shutdown_seen = true;
                if changed.is_ok() {
                    relay.timers.start_shutdown();
                }
                continue;
            }
        };
        match pause {
            Pause::Ended(end) => break end,
            Pause::Idle => relay = relay.release_buffers().await,
        }
    };
    relay.finish(end).await;
}

async fn open_socket(stream: ReadAhead<Stream<TcpStream>>, limits: &Limits) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(SMALL_READ_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(2 * WRITE_BUFFER_BYTES)
        .max_message_size(Some(limits.message_bytes_max))
        .max_frame_size(Some(limits.message_bytes_max));
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}

/// Minimum length of a frame from the browser, which is masked (RFC 6455 section 5.2).
const fn frame_bytes_min(payload_bytes: usize) -> u64 {
    let header_bytes = match payload_bytes {
        0..126 => 6,
        126..0x1_0000 => 8,
        _ => 14,
    };
    header_bytes + payload_bytes as u64
}

struct Relay<'a> {
    context: RelayContext<'a>,
    browser: Socket,
    target: Box<dyn Transport>,
    to_target: BytesMut,
    from_target: BytesMut,
    /// Size of the next read from the target; large after a full read.
    target_read_bytes: usize,
    timers: Timers,
    to_target_rate: RateLimiter,
    to_browser_rate: RateLimiter,
    /// Writes to the target succeed; a target may close its read side and still send.
    target_writable: bool,
    /// The target has not closed its side.
    target_readable: bool,
    browser_writable: bool,
    /// tungstenite may hold frames that the stream has not accepted.
    needs_flush: bool,
    /// One of those frames carries stream data.
    data_in_flight: bool,
    /// [`ReadAhead::bytes_written`] at the last flush.
    bytes_flushed: u64,
    /// Minimum length of all received messages on the wire.
    bytes_received_min: u64,
    /// A Close was sent; nothing may follow it.
    close_sent: bool,
    empty_frames: usize,
    /// Set when the browser's direction ends; takes effect when `to_target` is empty.
    browser_end: Option<BrowserEnd>,
}

/// The relay has nothing to do without its owner.
enum Pause {
    /// Nothing has been sent for a while, so the buffers can be released.
    Idle,
    Ended(BrowserEnd),
}

enum BrowserEnd {
    /// Without a Close, or with the answer to the bridge's Close.
    Disconnected,
    /// With a Close, which tungstenite answers.
    Closed,
    /// The bridge rejects a frame. The browser may still be sending.
    Rejected(CloseReason),
}

impl<'a> Relay<'a> {
    fn new(browser: Socket, target: Box<dyn Transport>, context: RelayContext<'a>) -> Self {
        let limits = context.limits;
        Self {
            context,
            browser,
            target,
            to_target: BytesMut::new(),
            from_target: BytesMut::new(),
            target_read_bytes: SMALL_READ_BYTES,
            timers: Timers::new(limits),
            to_target_rate: RateLimiter::new(limits.bytes_per_second),
            to_browser_rate: RateLimiter::new(limits.bytes_per_second),
            target_writable: true,
            target_readable: true,
            browser_writable: true,
            needs_flush: false,
            data_in_flight: false,
            bytes_flushed: 0,
            bytes_received_min: 0,
            close_sent: false,
            empty_frames: 0,
            browser_end: None,
        }
    }

    /// Ready when the connection is idle or the browser's direction has ended. If the target's direction ends first, a
    /// Close is sent, and the browser's data is forwarded until it answers.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Pause> {
        loop {
            let to_target = self.poll_to_target(cx);
            if let Poll::Ready(Some(end)) = to_target {
                return Poll::Ready(Pause::Ended(end));
            }
            let to_browser = self.poll_to_browser(cx);
            if let Poll::Ready(Some(reason)) = to_browser {
                self.close(reason);
            }
            if to_target.is_ready() || to_browser.is_ready() {
                continue;
            }
            match ready!(self.timers.poll_expired(cx)) {
                Expired::Ping => self.feed(Message::Ping(Bytes::new())),
                Expired::ReleaseBuffers => return Poll::Ready(Pause::Idle),
                Expired::Idle => self.close(CloseReason::Idle(self.timers.idle_timeout())),
                Expired::Shutdown => self.close(CloseReason::Shutdown),
                Expired::CloseHandshake => return Poll::Ready(Pause::Ended(BrowserEnd::Disconnected)),
            }
        }
    }

    /// One step from the browser to the target. Reads all available messages, up to the limit of `to_target`, before it writes.
    fn poll_to_target(&mut self, cx: &mut Context<'_>) -> Poll<Option<BrowserEnd>> {
        ready!(self.to_target_rate.poll_ready(cx));
        if self.browser_end.is_none()
            && self.to_target.len() < TO_TARGET_BYTES_MAX
            && let Poll::Ready(message) = self.browser.poll_next_unpin(cx)
        {
            self.browser_end = self.receive(message);
            return Poll::Ready(None);
        }
        if !self.to_target.is_empty() {
            return self.poll_write_target(cx).map(|()| None);
        }
        match self.browser_end.take() {
            Some(end) => Poll::Ready(Some(end)),
            None => Poll::Pending,
        }
    }

    /// Queues a message's data for the target; returns the end of the browser's direction, if the message is that.
    fn receive(&mut self, message: Option<Result<Message, Error>>) -> Option<BrowserEnd> {
        if let Some(Ok(message)) = &message {
            self.bytes_received_min += frame_bytes_min(message.len());
        }
        match message {
            Some(Ok(Message::Binary(payload))) if !payload.is_empty() => {
                self.to_target.extend_from_slice(&payload);
                self.empty_frames = 0;
                self.timers.request_release();
                None
            }
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {
                // tungstenite has queued the answer to a ping.
                self.needs_flush = true;
                self.empty_frames += 1;
                (self.empty_frames > EMPTY_FRAMES_MAX)
                    .then_some(BrowserEnd::Rejected(CloseReason::EmptyFrames))
            }
            Some(Ok(Message::Text(_))) => Some(BrowserEnd::Rejected(CloseReason::TextFrame)),
            Some(Ok(Message::Close(_))) => {
                self.needs_flush = true;
                Some(BrowserEnd::Closed)
            }
            Some(Err(error)) => Some(self.read_error(&error)),
            Some(Ok(Message::Frame(_))) | None => Some(BrowserEnd::Disconnected),
        }
    }

    fn read_error(&self, error: &Error) -> BrowserEnd {
        debug!(%error, "cannot read from the browser");
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => BrowserEnd::Disconnected,
            Error::Protocol(_) => BrowserEnd::Rejected(CloseReason::Protocol),
            Error::Utf8(_) => BrowserEnd::Rejected(CloseReason::InvalidUtf8),
            Error::Capacity(_) => {
                BrowserEnd::Rejected(CloseReason::MessageTooLarge(self.context.limits.message_bytes_max))
            }
            _ => BrowserEnd::Disconnected,
        }
    }

    fn poll_write_target(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let written = if self.target_writable {
            match ready!(Pin::new(&mut self.target).poll_write(cx, &self.to_target)) {
                Ok(written) => {
                    self.context.target_metrics.octets_up.inc_by(written as u64);
                    written
                }
                Err(error) => {
                    debug!(%error, "cannot write to the target");
                    self.target_writable = false;
                    0
                }
            }
        } else {
            self.to_target.len()
        };
        self.to_target.advance(written);
        self.to_target_rate.consume(written);
        self.timers.record_activity();
        Poll::Ready(())
    }

    /// One step from the target to the browser: flushes the last frame, then reads the next one. Returns the reason to close the
    /// WebSocket when the target's stream ends.
    fn poll_to_browser(&mut self, cx: &mut Context<'_>) -> Poll<Option<CloseReason>> {
        if self.needs_flush && self.browser_writable {
            ready!(self.poll_flush_browser(cx));
        }
        let may_send = self.browser_writable && !self.close_sent && self.browser_end.is_none();
        if may_send {
            ready!(self.to_browser_rate.poll_ready(cx));
        } else if self.to_target.is_empty() {
            return Poll::Pending;
        }
        if !self.target_readable {
            return Poll::Pending;
        }
        let reason = match ready!(self.poll_read_target(cx)) {
            Ok(1..) => {
                if may_send {
                    self.send_to_browser();
                } else {
                    // The target may have to send this before it reads `to_target`.
                    self.from_target.clear();
                }
                return Poll::Ready(None);
            }
            Ok(0) => CloseReason::TargetClosed,
            Err(error) => {
                debug!(%error, "cannot read from the target");
                CloseReason::TargetFailed
            }
        };
        self.target_readable = false;
        Poll::Ready(Some(reason))
    }

    fn poll_flush_browser(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let flushed = self.browser.poll_flush_unpin(cx);
        let bytes_written = self.browser.get_ref().bytes_written();
        if self.data_in_flight && bytes_written > self.bytes_flushed {
            self.timers.record_activity();
        }
        self.bytes_flushed = bytes_written;
        if let Err(error) = ready!(flushed) {
            debug!(%error, "cannot write to the browser");
            self.browser_writable = false;
        }
        self.needs_flush = false;
        self.data_in_flight = false;
        Poll::Ready(())
    }

    fn poll_read_target(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // An idle connection needs no buffer.
        ready!(self.target.poll_readable(cx))?;
        self.from_target.reserve(self.target_read_bytes);
        let mut room = (&mut self.from_target).limit(self.target_read_bytes);
        let length = ready!(pin!(self.target.read_buf(&mut room)).poll(cx))?;
        self.target_read_bytes =
            if length >= SMALL_READ_BYTES { TARGET_READ_BYTES } else { SMALL_READ_BYTES };
        self.timers.request_release();
        Poll::Ready(Ok(length))
    }

    /// Queues what was read from the target as one frame.
    fn send_to_browser(&mut self) {
        let data = self.from_target.split().freeze();
        self.context.target_metrics.octets_down.inc_by(data.len() as u64);
        self.to_browser_rate.consume(data.len());
        self.timers.record_target_data();
        self.data_in_flight = true;
        self.feed(Message::Binary(data));
    }

    /// Queues a message. A failure shows when it is flushed.
    fn feed(&mut self, message: Message) {
        if let Err(error) = self.browser.start_send_unpin(message) {
            debug!(%error, "cannot queue a frame");
        }
        self.needs_flush = true;
    }

    /// Sends a Close, unless the browser's direction has ended, and limits the time for the rest.
    fn close(&mut self, reason: CloseReason) {
        if self.close_sent {
            return;
        }
        if self.browser_end.is_none() {
            self.send_close(reason);
        }
        self.timers.start_close();
    }

    fn send_close(&mut self, reason: CloseReason) {
        reason.log();
        self.context.metrics.count_close(reason);
        self.feed(Message::Close(Some(reason.frame())));
        self.close_sent = true;
    }

    async fn release_buffers(mut self) -> Self {
        if self.to_target.is_empty() {
            self.to_target = BytesMut::new();
        }
        self.from_target = BytesMut::new();
        self.target_read_bytes = SMALL_READ_BYTES;
        self.browser.get_mut().release_buffer();
        // tungstenite never shrinks its buffers, so a new WebSocket replaces one without buffered data. If all bytes that it
        // has read were necessary for the messages that it has returned, it holds no part of a message.
        let is_empty = self.browser.get_ref().bytes_read() == self.bytes_received_min && !self.needs_flush;
        if !is_empty || self.close_sent || self.browser_end.is_some() {
            return self;
        }
        let browser = open_socket(self.browser.into_inner(), self.context.limits).await;
        Self { browser, ..self }
    }

    /// Ends both streams in order.
    async fn finish(mut self, end: BrowserEnd) {
        let metrics = self.context.metrics;
        let mut may_be_sending = false;
        match end {
            BrowserEnd::Disconnected => {
                metrics.lost.inc();
            }
            BrowserEnd::Closed if !self.close_sent => {
                metrics.closed_by_browser.inc();
            }
            BrowserEnd::Rejected(reason) if !self.close_sent => {
                self.send_close(reason);
                may_be_sending = true;
            }
            BrowserEnd::Closed | BrowserEnd::Rejected(_) => {}
        }
        tokio::join!(close_browser(self.browser, may_be_sending), close_target(self.target));
    }
}

/// Flushes pending frames and closes the stream. A browser that may still be sending is read to its end first, because a
/// socket closed with unread input resets the connection, and the browser might lose the Close frame.
async fn close_browser(mut socket: Socket, may_be_sending: bool) {
    let _ = timeout(CLOSE_TIMEOUT, async {
        socket.flush().await.map_err(io::Error::other)?;
        let mut stream = socket.into_inner().into_inner();
        stream.shutdown().await?;
        if may_be_sending {
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        }
        Ok::<_, io::Error>(())
    })
    .await;
}

/// Closes the stream to the target and reads the target's to its end, so that the target receives everything.
async fn close_target(mut target: Box<dyn Transport>) {
    let _ = timeout(TARGET_CLOSE_TIMEOUT, async {
        target.shutdown().await?;
        let mut discarded = [0; 4 << 10];
        while target.read(&mut discarded).await? > 0 {}
        Ok::<_, io::Error>(())
    })
    .await;
}
