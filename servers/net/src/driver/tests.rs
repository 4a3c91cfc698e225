//! What a peer can make the driver wait for, on paused time; and in how few writes it is answered.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use mail_core::machine::ProtocolError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant as TokioInstant;

use super::*;
use crate::metrics::ReplyFormat;
use mail_core::session::Encryption;

/// Says something once, and then wants the same step for ever.
struct Puppet {
    words: Vec<u8>,
    step: Step<()>,
}

impl Machine for Puppet {
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
        out.extend_from_slice(&std::mem::take(&mut self.words));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _now: Instant) {}
}

struct Leaseholder {
    _lease: Arc<()>,
}

impl Session for Leaseholder {
    type Machine = Puppet;

    async fn handle(&mut self, _event: (), _machine: &mut Puppet) {}

    async fn produce(&mut self, _machine: &mut Puppet) -> Produced {
        Produced::Nothing
    }

    fn tls_established(&mut self, _encryption: Encryption, _now: Instant, _machine: &mut Puppet) {}

    fn shutdown(&self, _machine: &mut Puppet) {}
}

/// A connection whose client has `window` octets of room, its end, and the session's lease.
fn driven(
    words: &[u8],
    step: Step<()>,
    window: usize,
) -> (DuplexStream, Arc<()>, JoinHandle<io::Result<Duration>>) {
    let (client, server) = duplex(window);
    let (machine, lease) = (Puppet { words: words.to_owned(), step }, Arc::new(()));
    let session = Leaseholder { _lease: Arc::clone(&lease) };
    let driven = tokio::spawn(async move {
        let (_stop, shutdown) = watch::channel(false);
        let data = tempfile::tempdir().expect("a temporary directory");
        let certificate = tls::Certificate::open(&config::Tls::SelfSigned, data.path(), "localhost");
        let tls = certificate.expect("made").map(|certificate| certificate.server_config(&[]));
        let start = TokioInstant::now();
        let metrics = ConnectionMetrics::unregistered(ReplyFormat::Smtp);
        drive(Stream::Plain(server), machine, session, tls, metrics, shutdown).await.map(|()| start.elapsed())
    });
    (client, lease, driven)
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_given_back_before_the_last_words() {
    let (mut client, lease, driven) = driven(b"bye", Step::Closed, 64);
    let mut words = [0; 3];
    client.read_exact(&mut words).await.unwrap();
    // The connection is still open, as the client has not closed its side.
    assert!((&words, Arc::strong_count(&lease)) == (b"bye", 1));
    drop(client);
    driven.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_gone_after_five_minutes() {
    let (_client, lease, driven) = driven(&[b'x'; 100], Step::NeedInput, 64);
    let start = TokioInstant::now();
    let error = driven.await.unwrap().expect_err("nobody reads");
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 300));
    assert_eq!(Arc::strong_count(&lease), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_too_little_is_gone_too() {
    let (mut client, _lease, driven) = driven(&[b'x'; 100_000], Step::NeedInput, 64);
    let start = TokioInstant::now();
    // 299 octets in 299 seconds.
    while start.elapsed().as_secs() < 299 {
        sleep(Duration::from_secs(1)).await;
        client.read_exact(&mut [0; 1]).await.unwrap();
    }
    let error = driven.await.unwrap().expect_err("nobody reads enough");
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 300));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_merely_slow_is_not_gone() {
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
async fn a_peer_that_does_not_close_its_side_is_waited_for_two_seconds() {
    let (_client, _lease, driven) = driven(b"bye", Step::Closed, 64);
    assert_eq!(driven.await.unwrap().unwrap().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_is_waited_for_half_a_minute() {
    let (mut client, lease, driven) = driven(b"go ahead", Step::UpgradeTls, 64);
    client.read_exact(&mut [0; 8]).await.unwrap();
    let start = TokioInstant::now();
    client.write_all(&[0x16, 3, 1]).await.unwrap();
    let error = driven.await.unwrap().expect_err("nobody shakes hands");
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
    assert_eq!(Arc::strong_count(&lease), 1);
}

#[tokio::test(start_paused = true)]
async fn one_timer_serves_later_and_earlier_deadlines() {
    let start = Deadline::now();
    let mut timer = pin!(sleep(Duration::from_secs(300)));
    // Seconds from the start: each deadline, and when something else ends the waiting, as octets that come would.
    for (deadline, until) in
        [(400, 350), (410, 380), (500, 490), (495, 600), (100, 600), (700, 650), (601, 602)]
    {
        let until = start + Duration::from_secs(until);
        let deadline = start + Duration::from_secs(deadline);
        let begun = Deadline::now();
        let alarm = poll_fn(|cx| poll_alarm(timer.as_mut(), deadline, cx));
        let rang = tokio::time::timeout_at(until, alarm).await.is_ok();
        assert_eq!((rang, Deadline::now()), (deadline <= until, deadline.min(until).max(begun)));
    }
}

/// Asks for a body with each octet of input.
#[derive(Default)]
struct Asker {
    out: Vec<u8>,
    closed: bool,
}

impl Machine for Asker {
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

/// Gives a body of so many octets, in a frame.
#[derive(Default)]
struct Giver {
    octets: usize,
    asked: Option<u8>,
    ending: bool,
}

impl Session for Giver {
    type Machine = Asker;

    async fn handle(&mut self, event: u8, machine: &mut Asker) {
        machine.out.push(b'<');
        self.asked = Some(event);
    }

    async fn produce(&mut self, machine: &mut Asker) -> Produced {
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

    fn tls_established(&mut self, _encryption: Encryption, _now: Instant, _machine: &mut Asker) {}

    fn shutdown(&self, machine: &mut Asker) {
        machine.closed = true;
    }
}

/// Counts the writes.
struct Tapped(DuplexStream, Arc<AtomicUsize>);

impl Transport for Tapped {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tapped {
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

/// How many writes answer a flight of `asked` commands, each with so many octets.
async fn writes_for(asked: usize, octets: usize) -> usize {
    let (mut client, server) = duplex(1 << 20);
    let questions: Vec<u8> = (b'a'..=b'z').cycle().take(asked).collect();
    client.write_all(&questions).await.unwrap();
    let writes = Arc::new(AtomicUsize::new(0));
    let stream = Stream::Plain(Tapped(server, Arc::clone(&writes)));
    let driven = tokio::spawn(async move {
        let (_stop, shutdown) = watch::channel(false);
        let session = Giver { octets, ..Giver::default() };
        let metrics = ConnectionMetrics::unregistered(ReplyFormat::Pop3);
        drive(stream, Asker::default(), session, None, metrics, shutdown).await
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
async fn a_short_answer_is_one_write_and_so_are_those_of_a_flight_that_fit() {
    assert_eq!(writes_for(1, 0).await, 1);
    assert_eq!(writes_for(1, 4_096).await, 1);
    assert_eq!(writes_for(10, 4_096).await, 1);
    let octets = 100 * 4_098;
    assert_eq!(writes_for(100, 4_096).await, octets / OUTPUT_OCTETS + 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_stretch_does_not_wait_for_more() {
    // Each with what was queued before it; the last frame's end goes alone.
    assert_eq!(writes_for(3, COPIED_OCTETS_MAX + 1).await, 4);
}

#[tokio::test]
async fn who_says_nothing_has_no_buffer() {
    let (_client, server) = duplex(64);
    let metrics = ConnectionMetrics::unregistered(ReplyFormat::Pop3);
    let mut connection = Connection::new(Stream::Plain(server), metrics);
    // Such a stream always says that it can be read, as a socket does that was read without asking.
    let alarm = pin!(sleep(Duration::ZERO));
    let waited = timeout(Duration::ZERO, connection.read(None, alarm)).await;
    assert!(waited.is_err());
    assert_eq!(connection.input.capacity(), 0);
}
