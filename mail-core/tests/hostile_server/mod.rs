//! Servers that violate the protocol, for the tests of the client machines.

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step};
use mail_core::time::Instant;

use crate::transcript::Fixture;
use crate::transcript::random::Random;

/// Feeds `replies` one after the other, whatever the client sends. Returns the step that ended the session (or
/// `NeedInput`) and what the client sent.
pub(crate) fn feed<M: Machine>(
    mut client: M,
    now: Instant,
    replies: &[&[u8]],
) -> (Result<Step<M::Event>, ProtocolError>, BytesMut) {
    let (mut input, mut sent) = (BytesMut::new(), BytesMut::new());
    for reply in replies {
        input.extend_from_slice(reply);
        loop {
            match client.receive(now, &mut input) {
                Ok(Step::Event(_)) => {}
                Ok(Step::NeedInput) => break,
                last => {
                    assert!(matches!(client.receive(now, &mut input), Ok(Step::Closed)));
                    assert_eq!(client.poll_timeout(), None);
                    return (last, sent);
                }
            }
        }
        client.poll_transmit(&mut sent);
    }
    (Ok(Step::NeedInput), sent)
}

/// Starts with a random part of the valid replies `opening` and continues with random `replies`, for 3,000 seeds. The
/// client must not panic, must consume its input in bounded steps, and must stay closed once it is closed. `react` is
/// the user; it is called with `None` before the greeting.
pub(crate) fn send_random_replies<F: Fixture>(
    options: &[&str],
    opening: &[&str],
    replies: &[&str],
    react: impl Fn(&mut F::Machine, Option<<F::Machine as Machine>::Event>),
) {
    let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
    for seed in 0..3_000 {
        let (now, mut random) = (Instant::now(), Random::new(seed));
        let valid = random.below(opening.len() + 1);
        let (mut fixture, mut client) = F::new(&options, now);
        let (mut input, mut sent) = (BytesMut::new(), BytesMut::new());
        react(&mut client, None);
        for turn in 0..30 {
            client.poll_transmit(&mut sent);
            match opening[..valid].get(turn) {
                Some(reply) => input.extend_from_slice(reply.as_bytes()),
                None => (0..=random.below(3)).for_each(|_| {
                    input.extend_from_slice(replies[random.below(replies.len())].as_bytes());
                }),
            }
            let steps_max = 2 * input.len() + 10;
            let mut steps = 0;
            loop {
                steps += 1;
                assert!(steps < steps_max, "seed {seed}: the client does not stop");
                match client.receive(now, &mut input) {
                    Ok(Step::Event(event)) => react(&mut client, Some(event)),
                    Ok(Step::NeedInput | Step::Paused) => break,
                    Ok(Step::UpgradeTls) => fixture.perform(&mut client, now, "tls", ""),
                    Ok(Step::Closed) | Err(_) => {
                        assert!(matches!(client.receive(now, &mut input), Ok(Step::Closed)), "seed {seed}");
                        sent.clear();
                        client.poll_transmit(&mut sent);
                        assert!(sent.is_empty() && client.poll_timeout().is_none(), "seed {seed}");
                        break;
                    }
                }
            }
        }
    }
}
