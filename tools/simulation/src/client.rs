//! What SMTP and POP3 clients have in common: a machine, its policy, and a connection.

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step};

use crate::network::{Read, Socket};
use crate::world::World;

/// What a policy wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    /// The client disappears without a word.
    Vanish,
}

/// Runs a client to its end. The policy is told each event, and `None` when nothing more happens by itself.
pub(crate) async fn talk<M: Machine>(
    world: &World,
    mut socket: Socket,
    mut machine: M,
    mut policy: impl FnMut(&mut M, Option<M::Event>) -> Next,
) -> Result<(), ProtocolError> {
    let mut input = BytesMut::new();
    loop {
        let next = match machine.receive(world.instant(), &mut input)? {
            Step::Event(event) => policy(&mut machine, Some(event)),
            Step::NeedInput => {
                let next = policy(&mut machine, None);
                // The machine sets its clock for what was just sent when it is next asked to receive.
                if !transmit(&mut socket, &mut machine) && next == Next::GoOn {
                    let deadline = machine.poll_timeout().map(|when| world.since_start(when));
                    match socket.read(&mut input, deadline).await {
                        Read::Octets => {}
                        Read::End => drop(machine.receive_eof(world.instant())?),
                        Read::TimedOut => machine.handle_timeout(world.instant()),
                    }
                }
                next
            }
            Step::Closed => {
                transmit(&mut socket, &mut machine);
                return Ok(());
            }
            Step::Paused | Step::UpgradeTls => {
                world.fail("a client waits for what nobody promised");
                return Ok(());
            }
        };
        if next == Next::Vanish {
            return Ok(());
        }
    }
}

/// Whether there was something to send.
fn transmit<M: Machine>(socket: &mut Socket, machine: &mut M) -> bool {
    let mut output = BytesMut::new();
    machine.poll_transmit(&mut output);
    if !output.is_empty() {
        socket.write(&output);
    }
    !output.is_empty()
}
