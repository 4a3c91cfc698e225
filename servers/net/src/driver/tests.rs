//! Peers that read slowly or not at all, on paused time; and the number of writes per answer.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Buf;
use mail_core::machine::{ProtocolError, Step};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant as TokioInstant, sleep, timeout};

use super::connection::poll_alarm;
use super::*;
use crate::metrics::ReplyFormat;
use crate::stream::{Stream, Transport};

/// Sends its output once and then returns the same step forever.
struct Fixed {
    output_once: Vec<u8>,
    step: Step<()>,
}

impl Machine for Fixed {
    type Event = ();

    fn receive(&mut self, _now: Instant, input: &mut BytesMut) -> Result<Step<()>, ProtocolError> {
        input.clear();
        Ok(self.step.clone())
    }

    fn receive_eof(&mut self, _now: Instant) -> Result<Step<()>, ProtocolError> {
        self.step = Step::Closed;
        Ok(Step::Closed)
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&std::mem::take(&mut self.output_once));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _now: Instant) {}
}

struct LeaseSession {
    _lease: Arc<()>,
}

impl Session for LeaseSession {
    type Machine = Fixed;

    async fn handle(&mut self, _event: (), _machine: &mut Fixed) {}

    async fn produce(&mut self, _machine: &mut Fixed) -> Produced {
        Produced::Nothing
    }

    fn tls_established(&mut self, _encryption: Encryption, _now: Instant, _machine: &mut Fixed) {}

    fn shutdown(&self, _machine: &mut Fixed) {}
}

/// A driven connection with a buffer of `window` octets towards the client, its result, and the session's lease.
fn driven(
    output_once: &[u8],
    step: Step<()>,
    window: usize,
) -> (DuplexStream, Arc<()>, JoinHandle<io::Result<Duration>>) {
    let (client, server) = duplex(window);
    let (machine, lease) = (Fixed { output_once: output_once.to_owned(), step }, Arc::new(()));
    let session = LeaseSession { _lease: Arc::clone(&lease) };
    let driven = tokio::spawn(async move {
        let (_stop, shutdown) = watch::channel(false);
        let data = tempfile::tempdir().expect("a temporary directory");
        let certificate = tls::Certificate::open(&config::Tls::SelfSigned, data.path(), "localhost");
        let tls = certificate.expect("made").map(|certificate| certificate.server_config(&[]));
        let start = TokioInstant::now();
        let metrics = ConnectionMetrics::unregistered(ReplyFormat::Smtp);
        let connection = Connection::new(Stream::Plain(server), tls, Arc::clone(&metrics));
        drive(connection, TokioTimer, machine, session, metrics, shutdown).await.map(|()| start.elapsed())
    });
    (client, lease, driven)
}

#[tokio::test(start_paused = true)]
async fn lease_is_released_before_the_last_reply_is_read() {
    let (mut client, lease, driven) = driven(b"bye", Step::Closed, 64);
    let mut output_once = [0; 3];
    client.read_exact(&mut output_once).await.unwrap();
    // The connection is still open, as the client has not closed its side.
    assert!((&output_once, Arc::strong_count(&lease)) == (b"bye", 1));
    drop(client);
    driven.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn peer_that_reads_nothing_times_out_after_five_minutes() {
    let (_client, lease, driven) = driven(&[b'x'; 100], Step::NeedInput, 64);
    let start = TokioInstant::now();
    let error = driven.await.unwrap().expect_err("the client does not read");
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 300));
    assert_eq!(Arc::strong_count(&lease), 1);
}

#[tokio::test(start_paused = true)]
async fn peer_that_reads_too_slowly_times_out() {
    let (mut client, _lease, driven) = driven(&[b'x'; 100_000], Step::NeedInput, 64);
    let start = TokioInstant::now();
    // 299 octets in 299 seconds.
    while start.elapsed().as_secs() < 299 {
        sleep(Duration::from_secs(1)).await;
        client.read_exact(&mut [0; 1]).await.unwrap();
    }
    let error = driven.await.unwrap().expect_err("the client reads too slowly");
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 300));
}

#[tokio::test(start_paused = true)]
async fn slow_peer_receives_everything() {
    let (mut client, _lease, driven) = driven(&[b'x'; 100_000], Step::NeedInput, 4_096);
    for _ in 0..24 {
        sleep(Duration::from_secs(70)).await;
        client.read_exact(&mut [0; 4_096]).await.unwrap();
    }
    client.read_exact(&mut [0; 100_000 - 24 * 4_096]).await.unwrap();
    drop(client);
    assert!(driven.await.unwrap().unwrap() >= Duration::from_secs(24 * 70));
}

#[tokio::test(start_paused = true)]
async fn close_waits_two_seconds_for_the_peer() {
    let (_client, _lease, driven) = driven(b"bye", Step::Closed, 64);
    assert_eq!(driven.await.unwrap().unwrap().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn handshake_times_out_after_thirty_seconds() {
    let (mut client, lease, driven) = driven(b"go ahead", Step::UpgradeTls, 64);
    client.read_exact(&mut [0; 8]).await.unwrap();
    let start = TokioInstant::now();
    client.write_all(&[0x16, 3, 1]).await.unwrap();
    let error = driven.await.unwrap().expect_err("no handshake");
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
    assert_eq!(Arc::strong_count(&lease), 1);
}

#[tokio::test(start_paused = true)]
async fn timer_supports_later_and_earlier_deadlines() {
    let start = TokioInstant::now();
    let mut timer = pin!(sleep(Duration::from_secs(300)));
    // Seconds from the start: the deadline, and when octets would end the wait.
    for (deadline, until) in
        [(400, 350), (410, 380), (500, 490), (495, 600), (100, 600), (700, 650), (601, 602)]
    {
        let until = start + Duration::from_secs(until);
        let deadline = start + Duration::from_secs(deadline);
        let begun = TokioInstant::now();
        let alarm = poll_fn(|cx| poll_alarm(timer.as_mut(), deadline, cx));
        let rang = tokio::time::timeout_at(until, alarm).await.is_ok();
        assert_eq!((rang, TokioInstant::now()), (deadline <= until, deadline.min(until).max(begun)));
    }
}

/// Reports each octet of input as an event.
#[derive(Default)]
struct OctetMachine {
    out: Vec<u8>,
    closed: bool,
}

impl Machine for OctetMachine {
    type Event = u8;

    fn receive(&mut self, _now: Instant, input: &mut BytesMut) -> Result<Step<u8>, ProtocolError> {
        Ok(match self.closed {
            true => Step::Closed,
            false if input.is_empty() => Step::NeedInput,
            false => Step::Event(input.get_u8()),
        })
    }

    fn receive_eof(&mut self, _now: Instant) -> Result<Step<u8>, ProtocolError> {
        self.closed = true;
        Ok(Step::Closed)
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&std::mem::take(&mut self.out));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _now: Instant) {}
}

/// Answers each event with a body between `<` and `>`.
#[derive(Default)]
struct BodySession {
    octets: usize,
    asked: Option<u8>,
    ending: bool,
}

impl Session for BodySession {
    type Machine = OctetMachine;

    async fn handle(&mut self, event: u8, machine: &mut OctetMachine) {
        machine.out.push(b'<');
        self.asked = Some(event);
    }

    async fn produce(&mut self, machine: &mut OctetMachine) -> Produced {
        if let Some(event) = self.asked.take() {
            self.ending = true;
            return Produced::Octets(vec![event; self.octets].into());
        }
        if std::mem::take(&mut self.ending) {
            machine.out.push(b'>');
            return Produced::Queued;
        }
        Produced::Nothing
    }

    fn tls_established(&mut self, _encryption: Encryption, _now: Instant, _machine: &mut OctetMachine) {}

    fn shutdown(&self, machine: &mut OctetMachine) {
        machine.closed = true;
    }
}

/// Counts the writes.
struct CountedWrites(DuplexStream, Arc<AtomicUsize>);

impl Transport for CountedWrites {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }
}

impl AsyncRead for CountedWrites {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for CountedWrites {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Number of writes for a pipeline of `asked` commands, each answered with a body of `octets`.
async fn writes_for(asked: usize, octets: usize) -> usize {
    let (mut client, server) = duplex(1 << 20);
    let questions: Vec<u8> = (b'a'..=b'z').cycle().take(asked).collect();
    client.write_all(&questions).await.unwrap();
    let writes = Arc::new(AtomicUsize::new(0));
    let stream = Stream::Plain(CountedWrites(server, Arc::clone(&writes)));
    let driven = tokio::spawn(async move {
        let (_stop, shutdown) = watch::channel(false);
        let session = BodySession { octets, ..BodySession::default() };
        let metrics = ConnectionMetrics::unregistered(ReplyFormat::Pop3);
        let connection = Connection::new(stream, None, Arc::clone(&metrics));
        drive(connection, TokioTimer, OctetMachine::default(), session, metrics, shutdown).await
    });
    let mut answers = vec![0; asked * (octets + 2)];
    client.read_exact(&mut answers).await.unwrap();
    for (question, answer) in questions.iter().zip(answers.chunks(octets + 2)) {
        let (first, rest) = answer.split_first().unwrap();
        let (last, body) = rest.split_last().unwrap();
        assert!((*first, *last) == (b'<', b'>') && body.iter().all(|octet| octet == question));
    }
    let answered = writes.load(Ordering::Relaxed);
    drop(client);
    driven.await.unwrap().unwrap();
    answered
}

#[tokio::test(start_paused = true)]
async fn short_answers_of_a_pipeline_share_writes() {
    assert_eq!(writes_for(1, 0).await, 1);
    assert_eq!(writes_for(1, 4_096).await, 1);
    assert_eq!(writes_for(10, 4_096).await, 1);
    let octets = 100 * 4_098;
    assert_eq!(writes_for(100, 4_096).await, octets / OUTPUT_OCTETS + 1);
}

#[tokio::test(start_paused = true)]
async fn long_part_is_written_at_once() {
    // Each with the output before it; the last `>` is written alone.
    assert_eq!(writes_for(3, COPIED_OCTETS_MAX + 1).await, 4);
}

#[tokio::test]
async fn idle_connection_has_no_buffer() {
    let (_client, server) = duplex(64);
    let metrics = ConnectionMetrics::unregistered(ReplyFormat::Pop3);
    let mut connection = Connection::new(Stream::Plain(server), None, metrics);
    let mut input = BytesMut::new();
    // A duplex stream is always readable, as a socket is after a spurious wake-up.
    let read = timeout(Duration::ZERO, connection.read(&mut input, None)).await;
    assert!(read.is_err());
    assert_eq!(input.capacity(), 0);
}

/// Holds a lease that expires a minute after its last renewal.
struct ExpiringSession {
    renewal: Option<Instant>,
    renewals: Arc<AtomicUsize>,
    /// Renewals after which the lease is lost.
    lost_after: usize,
}

impl Session for ExpiringSession {
    type Machine = OctetMachine;

    async fn handle(&mut self, _event: u8, _machine: &mut OctetMachine) {}

    async fn produce(&mut self, _machine: &mut OctetMachine) -> Produced {
        Produced::Nothing
    }

    fn tls_established(&mut self, _encryption: Encryption, _now: Instant, _machine: &mut OctetMachine) {}

    fn renewal(&self) -> Option<Instant> {
        self.renewal
    }

    async fn renew(&mut self, now: Instant, machine: &mut OctetMachine) {
        if self.renewals.fetch_add(1, Ordering::Relaxed) + 1 == self.lost_after {
            self.renewal = None;
            machine.closed = true;
        } else {
            self.renewal = Some(now + Duration::from_secs(60));
        }
    }

    fn shutdown(&self, _machine: &mut OctetMachine) {}
}

fn driven_with_lease(
    window: usize,
    out: &[u8],
    lost_after: usize,
) -> (DuplexStream, Arc<AtomicUsize>, JoinHandle<io::Result<()>>) {
    let (client, server) = duplex(window);
    let renewals = Arc::new(AtomicUsize::new(0));
    let renewal = Some(TokioTimer.now() + Duration::from_secs(60));
    let session = ExpiringSession { renewal, renewals: Arc::clone(&renewals), lost_after };
    let machine = OctetMachine { out: out.to_owned(), closed: false };
    let driven = tokio::spawn(async move {
        let (_stop, shutdown) = watch::channel(false);
        let metrics = ConnectionMetrics::unregistered(ReplyFormat::Pop3);
        let connection = Connection::new(Stream::Plain(server), None, Arc::clone(&metrics));
        drive(connection, TokioTimer, machine, session, metrics, shutdown).await
    });
    (client, renewals, driven)
}

#[tokio::test(start_paused = true)]
async fn lease_of_an_idle_session_is_renewed_each_time_it_is_due() {
    let (client, renewals, driven) = driven_with_lease(64, b"", usize::MAX);
    sleep(Duration::from_secs(5 * 60 + 1)).await;
    assert_eq!(renewals.load(Ordering::Relaxed), 5);
    drop(client);
    driven.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn lease_is_renewed_while_a_slow_peer_reads() {
    let (_client, renewals, driven) = driven_with_lease(64, &[b'x'; 100], usize::MAX);
    // The write times out after 300 seconds.
    driven.await.unwrap().unwrap_err();
    assert_eq!(renewals.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn session_ends_when_its_lease_is_lost() {
    let (mut client, renewals, driven) = driven_with_lease(64, b"", 3);
    let start = TokioInstant::now();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!((start.elapsed().as_secs(), renewals.load(Ordering::Relaxed)), (180, 3));
    drop(client);
    driven.await.unwrap().unwrap();
}
