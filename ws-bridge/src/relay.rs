//! One bridged connection: a browser's WebSocket and the TCP stream of its target.
//!
//! Each direction reads only after its last piece has been taken by the other side, so the slow side holds back the
//! fast one and nothing is queued but what one read and one frame bring.
//!
//! What was sent before an end arrives before it: the target's last bytes reach the browser ahead of the Close frame, and
//! the bytes that the browser sent before its Close (or before it answered ours) reach the target ahead of the end of
//! the stream.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use config::Target;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use mail_core::proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message, error::ProtocolError};
use tracing::debug;

use crate::close::Close;
use crate::limits::{
    CLOSE_TIMEOUT, CONNECT_TIMEOUT, EMPTY_FRAMES_MAX, FAREWELL_TIMEOUT, Limits, READ_OCTETS, STOP_GRACE,
    STOP_QUIET,
};
use crate::splice::{Gone, Splice};
use crate::stream::Stream;
use crate::traffic::{Pace, Pulse};

/// Whose connection it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) source: SocketAddr,
    /// The address of ours that it connected to.
    pub(crate) destination: SocketAddr,
    /// It came over TLS.
    pub(crate) secure: bool,
}

/// Connects to the target and carries bytes until either side, a limit or `stopping` ends it.
pub(crate) async fn relay(
    mut socket: WebSocketStream<Stream>,
    target: &Target,
    client: Client,
    limits: &Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let mut upstream = match connect(target, client).await {
        Ok(upstream) => upstream,
        Err((close, error)) => {
            debug!(address = %target.address, %error, "no connection to the target");
            return part(socket, Some(close)).await;
        }
    };
    let mut splice = Splice::of(socket.get_ref(), limits);
    let unsaid = {
        let (mut sink, stream) = (&mut socket).split();
        let (read, write) = upstream.split();
        let pulse = Pulse::new();
        let mut up = pin!(up(stream, write, limits, &pulse));
        let close = tokio::select! {
            left = &mut up => Err(left),
            close = down(&read, &mut sink, &mut splice, limits, &pulse) => Ok(close),
            () = pulse.silence(limits.idle) => Ok(Close::Idle(limits.idle)),
            () = stop(&mut stopping, &pulse) => Ok(Close::Away),
        };
        // Half a frame may have gone out, and nothing can be said within it.
        let whole = async {
            match &mut splice {
                Some(splice) => splice.finish(read.as_ref(), &pulse).await,
                None => Ok(()),
            }
        };
        match close {
            Err(left) => {
                let _ = timeout(CLOSE_TIMEOUT, whole).await;
                left
            }
            Ok(close) => {
                debug!(%close, "closing");
                let goodbye = async {
                    whole.await.ok()?;
                    sink.flush().await.ok()?;
                    sink.send(Message::Close(Some(close.frame()))).await.ok()?;
                    // What the browser sends until it answers was sent before it knew.
                    up.await
                };
                let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
                None
            }
        }
    };
    tokio::join!(part(socket, unsaid), leave(upstream));
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

/// Carries the browser's bytes to the target until the browser closes or is gone, or does what it may not.
async fn up(
    mut stream: SplitStream<&mut WebSocketStream<Stream>>,
    mut upstream: WriteHalf<'_>,
    limits: &Limits,
    pulse: &Pulse,
) -> Option<Close> {
    let mut pace = Pace::new(limits.octets_per_second);
    let mut takes = true;
    let mut empty_frames = 0;
    loop {
        let octets = match stream.next().await {
            Some(Ok(Message::Binary(octets))) => octets,
            // A ping is answered by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Bytes::new(),
            Some(Ok(Message::Close(_))) | None => return None,
            Some(Ok(Message::Text(_))) => return Some(Close::Text),
            Some(Err(Error::Utf8(_))) => return Some(Close::Utf8),
            Some(Err(Error::Capacity(_))) => return Some(Close::FrameSize(limits.frame_octets)),
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_))) => {
                return None;
            }
            Some(Err(error)) => {
                debug!(%error, "not the WebSocket protocol");
                return Some(Close::Protocol);
            }
        };
        if octets.is_empty() {
            empty_frames += 1;
            if empty_frames > EMPTY_FRAMES_MAX {
                return Some(Close::Empty);
            }
            continue;
        }
        empty_frames = 0;
        // A target that takes no more may still have words to say; its own end decides.
        takes = takes && upstream.write_all(&octets).await.is_ok();
        pulse.beat();
        pace.passed(octets.len()).await;
    }
}

/// Carries the target's bytes to the browser until the target ends or breaks.
async fn down(
    upstream: &ReadHalf<'_>,
    sink: &mut SplitSink<&mut WebSocketStream<Stream>, Message>,
    splice: &mut Option<Splice>,
    limits: &Limits,
    pulse: &Pulse,
) -> Close {
    let mut pace = Pace::new(limits.octets_per_second);
    let mut buffer = BytesMut::new();
    loop {
        let (octets, sent) = match timeout(limits.ping, read(upstream, &mut buffer, splice)).await {
            Ok(Ok(Piece::End)) => return Close::End,
            Ok(Ok(Piece::Read(octets))) => (octets.len(), sink.send(Message::Binary(octets)).await.is_ok()),
            Ok(Ok(Piece::Waiting(octets))) => match carry(octets, splice, upstream, sink, pulse).await {
                Err(Gone::Target(error)) => return broken(&error),
                outcome => (octets, outcome.is_ok()),
            },
            Ok(Err(error)) => return broken(&error),
            Err(_) => (0, sink.send(Message::Ping(Bytes::new())).await.is_ok()),
        };
        if !sent {
            // The browser is gone: the other direction sees that too, and has its last bytes to bring.
            std::future::pending::<()>().await;
        }
        if octets > 0 {
            pulse.beat();
            pace.passed(octets).await;
        }
    }
}

/// What a target has for the browser.
enum Piece {
    Read(Bytes),
    /// So much that it is not read.
    Waiting(usize),
    End,
}

/// The next octets. While there are none to read, no buffer and no pipe is held.
async fn read(
    upstream: &ReadHalf<'_>,
    buffer: &mut BytesMut,
    splice: &mut Option<Splice>,
) -> io::Result<Piece> {
    loop {
        upstream.readable().await?;
        if let Some(octets) = splice.as_mut().and_then(|splice| splice.waiting(upstream.as_ref())) {
            return Ok(Piece::Waiting(octets));
        }
        buffer.reserve(READ_OCTETS);
        match upstream.try_read_buf(&mut buffer.limit(READ_OCTETS)) {
            Ok(0) => return Ok(Piece::End),
            Ok(_) => return Ok(Piece::Read(buffer.split().freeze())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *buffer = BytesMut::new();
                if let Some(splice) = splice {
                    splice.rest();
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sends what waits as one frame, around the WebSocket's buffers, which are empty while it does.
async fn carry(
    octets: usize,
    splice: &mut Option<Splice>,
    upstream: &ReadHalf<'_>,
    sink: &mut SplitSink<&mut WebSocketStream<Stream>, Message>,
    pulse: &Pulse,
) -> Result<(), Gone> {
    let Some(splice) = splice else { return Ok(()) };
    sink.flush().await.map_err(|_| Gone::Browser)?;
    splice.begin(octets).map_err(Gone::Target)?;
    splice.finish(upstream.as_ref(), pulse).await?;
    // What waited behind it, such as the answer to a ping.
    sink.flush().await.map_err(|_| Gone::Browser)
}

fn broken(error: &io::Error) -> Close {
    debug!(%error, "the target's connection broke");
    Close::Broken
}

/// The word to stop, once the connection is quiet or has had its time.
async fn stop(stopping: &mut watch::Receiver<bool>, pulse: &Pulse) {
    if stopping.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could say it.
        std::future::pending::<()>().await;
    }
    let _ = timeout(STOP_GRACE, pulse.silence(STOP_QUIET)).await;
}

/// Ends the WebSocket. With a reason, it has not been told to the browser, which may be sending still: a socket that is
/// closed with unread input resets the connection, and the Close frame with it, so the rest is read. Without one, both
/// sides have said goodbye, or the browser is gone.
async fn part(mut socket: WebSocketStream<Stream>, close: Option<Close>) {
    if let Some(close) = close {
        debug!(%close, "closing");
    }
    let _ = timeout(CLOSE_TIMEOUT, async {
        // First what is due: the answer to a ping, or to the browser's own Close, behind which ours would be one too many.
        // Either fails only when the browser is gone.
        let _ = socket.flush().await;
        if let Some(close) = close {
            let _ = socket.close(Some(close.frame())).await;
        }
        let mut raw = socket.into_inner();
        raw.shutdown().await?;
        if close.is_some() {
            tokio::io::copy(&mut raw, &mut tokio::io::sink()).await?;
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
