//! The driver of the SMTP and POP3 client machines.

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Pump, pump};
use net::driver::Read;

use crate::network::Socket;
use crate::world::World;

/// Whether a client continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Drop the connection without QUIT.
    Disconnect,
}

/// Runs a client machine to its end. `handle` receives each event, and `None` when the machine needs input.
pub(crate) async fn run_client<M: Machine>(
    world: &World,
    mut socket: Socket,
    mut machine: M,
    mut handle: impl FnMut(&mut M, Option<M::Event>) -> Flow,
) -> Result<(), ProtocolError> {
    let (mut input, mut output, mut eof) = (BytesMut::new(), BytesMut::new(), false);
    loop {
        let flow = match pump(&mut machine, world.instant(), &mut input, eof, &mut output)? {
            Pump::Event(event) => handle(&mut machine, Some(event)),
            Pump::Write => {
                socket.flush(&mut output);
                Flow::Continue
            }
            Pump::Read { .. } => {
                let flow = handle(&mut machine, None);
                machine.poll_transmit(&mut output);
                // After a write the machine must be pumped before a read, because its timeout starts then.
                if output.is_empty() && flow == Flow::Continue {
                    let deadline = machine.poll_timeout().map(|when| world.since_start(when));
                    match socket.read(&mut input, deadline).await {
                        Read::Octets => {}
                        Read::Eof => eof = true,
                        Read::TimedOut => machine.handle_timeout(world.instant()),
                    }
                }
                socket.flush(&mut output);
                flow
            }
            Pump::Closed => {
                socket.flush(&mut output);
                return Ok(());
            }
            Pump::Paused | Pump::UpgradeTls => {
                world.violation("a client waits for an answer that never arrives");
                return Ok(());
            }
        };
        if flow == Flow::Disconnect {
            return Ok(());
        }
    }
}
