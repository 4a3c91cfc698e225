//! What a peer can make the driver wait for, on paused time.

use mail_core::machine::ProtocolError;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant as TokioInstant;

use super::*;
use crate::meters::Dialect;

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
        let (_stop, stopping) = watch::channel(false);
        let data = tempfile::tempdir().expect("a temporary directory");
        let certificate = tls::Certificate::open(&config::Tls::SelfSigned, data.path(), "localhost");
        let tls = certificate.expect("made").map(|certificate| certificate.server_config(&[]));
        let start = TokioInstant::now();
        let traffic = Arc::new(Traffic::new(Dialect::Smtp));
        drive(Stream::Plain(server), machine, session, tls, traffic, stopping).await.map(|()| start.elapsed())
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
