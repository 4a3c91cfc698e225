//! What SMTP and POP3 clients share: a machine, its policy, and a connection.

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Pump, pump};
use net::driver::Read;

use crate::network::Socket;
use crate::world::World;

/// A policy's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    /// Drop the connection without QUIT.
    Disconnect,
}

/// Runs a client to its end. The policy is called with each event, and with `None` before each read or write.
pub(crate) async fn run<M: Machine>(
    world: &World,
    mut socket: Socket,
    mut machine: M,
    mut policy: impl FnMut(&mut M, Option<M::Event>) -> Next,
) -> Result<(), ProtocolError> {
    let (mut input, mut output, mut eof) = (BytesMut::new(), BytesMut::new(), false);
    loop {
        let action = pump(&mut machine, world.instant(), &mut input, eof, &mut output)?;
        let next = match action {
            Pump::Event(event) => policy(&mut machine, Some(event)),
            Pump::Write => {
                socket.write(&output);
                output.clear();
                policy(&mut machine, None)
            }
            Pump::Read { .. } => {
                let next = policy(&mut machine, None);
                // The policy may have queued output.
                machine.poll_transmit(&mut output);
                if output.is_empty() && next == Next::Continue {
                    let deadline = machine.poll_timeout().map(|when| world.since_start(when));
                    match socket.read(&mut input, deadline).await {
                        Read::Octets => {}
                        Read::Eof => eof = true,
                        Read::TimedOut => machine.handle_timeout(world.instant()),
                    }
                }
                next
            }
            Pump::Closed => {
                socket.write(&output);
                return Ok(());
            }
            Pump::Paused | Pump::UpgradeTls => {
                world.fail("a client waits for an answer or a handshake");
                return Ok(());
            }
        };
        if next == Next::Disconnect {
            return Ok(());
        }
    }
}
