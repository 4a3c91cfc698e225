//! Plays transcript files against a protocol state machine, server or client.
//!
//! A transcript is a list of lines with a two-character prefix:
//!
//! | line | meaning |
//! |---|---|
//! | `# text` | comment |
//! | `= option` | configures the fixture; must precede the dialogue |
//! | `C: text` | the client sends this line, CRLF is added |
//! | `C~ text` | the client sends exactly this text: `\r \n \t \0 \\ \xHH` are escapes |
//! | `C* count text` | the client sends this line `count` times |
//! | `S: text`, `S~ text`, `S* count text` | the same for the server |
//! | `! action` | `wait SECONDS`, `eof` (the peer closes), or an action of the [`Fixture`] |
//! | `E: text` | event that the machine reports, as written by [`Fixture::handle_event`] |
//! | `X: text` | the session ends: `closed`, or the text of the protocol error |
//! | `---` | a new session starts in the same file |
//!
//! Every transcript is played with the peer's bytes whole, one by one, and split at seeded random positions.
//!
//! A step is a group of actions and peer input. After each step, the machine's output, its events and its end must equal
//! the lines of that step. For a client, a step ends before the next action or server line. For a server, only actions
//! separate steps: all client lines of a step are sent at once, so every transcript also tests pipelining.
//! A server session without `E:` lines does not compare events.

#![allow(dead_code, reason = "each test binary uses a part of this module")]

mod parse;
#[path = "../random/mod.rs"]
pub(crate) mod random;

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step as MachineStep};
use mail_core::time::{Duration, Instant};

use parse::{Input, Session, Step};
use random::Random;

/// Side of the connection that the machine implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// The policy or user of a machine.
pub(crate) trait Fixture: Sized {
    type Machine: Machine;

    const ROLE: Role;

    /// Creates the fixture and its machine from the `=` lines.
    fn new(options: &[String], now: Instant) -> (Self, Self::Machine);

    /// Performs the action of a `!` line.
    fn perform(&mut self, machine: &mut Self::Machine, now: Instant, action: &str, argument: &str);

    /// Answers an event and logs it. `out` already contains the machine's earlier output, so the fixture can append a
    /// message body to it.
    fn handle_event(
        &mut self,
        machine: &mut Self::Machine,
        event: <Self::Machine as Machine>::Event,
        log: &mut Vec<String>,
        out: &mut BytesMut,
    );
}

/// Defines one test for each named file in `transcripts/<folder>`, and one that fails if a file is not named. The files
/// are compiled in because WebAssembly has no file system.
macro_rules! transcripts {
    ($folder:literal, $fixture:ty; $($name:ident)*) => {
        $(#[test]
        fn $name() {
            let text = include_str!(concat!("transcripts/", $folder, "/", stringify!($name), ".txt"));
            transcript::play::<$fixture>(text);
        })*

        #[cfg(not(target_arch = "wasm32"))]
        #[test]
        fn every_transcript_has_a_test() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts/", $folder);
            let mut files: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            let mut named = vec![$(concat!(stringify!($name), ".txt")),*];
            named.sort_unstable();
            assert_eq!(files, named);
        }
    };
}

/// Plays every session of a transcript with every way to split the input.
pub(crate) fn play<F: Fixture>(transcript: &str) {
    for session in parse::sessions(transcript, F::ROLE) {
        play_session::<F>(&session, Split::Whole);
        play_session::<F>(&session, Split::Bytes);
        for seed in 1..=20 {
            play_session::<F>(&session, Split::Random(seed));
        }
    }
}

/// The machine's pending output.
pub(crate) fn transmitted<M: Machine>(machine: &mut M) -> String {
    let mut out = BytesMut::new();
    machine.poll_transmit(&mut out);
    String::from_utf8(out.to_vec()).expect("the output is UTF-8")
}

/// The way to split the peer's bytes.
#[derive(Debug, Clone, Copy)]
enum Split {
    Whole,
    Bytes,
    Random(u64),
}

fn play_session<F: Fixture>(session: &Session, split: Split) {
    let mut player = Player::<F>::new(&session.options, split);
    let compares_events = F::ROLE == Role::Client || session.steps.iter().any(|step| !step.events.is_empty());
    let mut end = &None;
    for step in &session.steps {
        player.play(step);
        let place = format!("line {}, split {split:?}", step.line);
        let output = String::from_utf8(player.output.split().to_vec()).expect("the output is UTF-8");
        assert_eq!(output, step.output, "output, {place}");
        let events = std::mem::take(&mut player.events);
        if compares_events {
            assert_eq!(events, step.events, "events, {place}");
        }
        if step.end.is_some() {
            end = &step.end;
        }
        assert_eq!(&player.end, end, "end of the session, {place}");
    }
}

struct Player<F: Fixture> {
    fixture: F,
    machine: F::Machine,
    now: Instant,
    split: Split,
    random: Random,
    input: BytesMut,
    output: BytesMut,
    events: Vec<String>,
    end: Option<String>,
}

impl<F: Fixture> Player<F> {
    fn new(options: &[String], split: Split) -> Self {
        let now = Instant::now();
        let (fixture, machine) = F::new(options, now);
        let random = Random::new(if let Split::Random(seed) = split { seed } else { 0 });
        let (input, output) = (BytesMut::new(), BytesMut::new());
        let mut player =
            Self { fixture, machine, now, split, random, input, output, events: Vec::new(), end: None };
        player.machine.poll_transmit(&mut player.output);
        player
    }

    fn play(&mut self, step: &Step) {
        for input in &step.inputs {
            match input {
                Input::Action(action) => self.perform(action),
                Input::Bytes(bytes) => self.feed(bytes),
            }
        }
    }

    fn perform(&mut self, action: &str) {
        let (verb, argument) = action.split_once(' ').unwrap_or((action, ""));
        match verb {
            "wait" => self.wait(Duration::from_secs(argument.parse().expect("a number of seconds"))),
            "eof" => {
                let step = self.machine.receive_eof(self.now);
                self.handle(step);
                self.run();
            }
            _ => {
                self.fixture.perform(&mut self.machine, self.now, verb, argument);
                self.run();
            }
        }
    }

    /// Advances the time. A timeout that is due ends the session; one that is not has no effect.
    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        let was_open = self.end.is_none();
        let due = self.machine.poll_timeout().is_some_and(|deadline| deadline <= self.now);
        self.machine.handle_timeout(self.now);
        self.run();
        assert_eq!(was_open && self.end.is_some(), due, "poll_timeout and handle_timeout disagree");
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let length = match self.split {
                Split::Whole => bytes.len(),
                Split::Bytes => 1,
                Split::Random(_) => {
                    let length_max = [4, 400, bytes.len()][self.random.below(3)].min(bytes.len());
                    1 + self.random.below(length_max)
                }
            };
            let (piece, rest) = bytes.split_at(length);
            self.input.extend_from_slice(piece);
            bytes = rest;
            self.run();
        }
    }

    /// Calls `receive` until the machine waits.
    fn run(&mut self) {
        loop {
            let step = self.machine.receive(self.now, &mut self.input);
            if self.end.is_some() {
                assert_eq!(
                    step.map(|step| matches!(step, MachineStep::Closed)),
                    Ok(true),
                    "receive after the end"
                );
                self.machine.poll_transmit(&mut self.output);
                return;
            }
            if !self.handle(step) {
                return;
            }
        }
    }

    /// Returns whether `receive` has to be called again.
    fn handle(&mut self, step: Result<MachineStep<<F::Machine as Machine>::Event>, ProtocolError>) -> bool {
        self.machine.poll_transmit(&mut self.output);
        match step {
            Ok(MachineStep::Event(event)) => {
                self.fixture.handle_event(&mut self.machine, event, &mut self.events, &mut self.output);
                self.machine.poll_transmit(&mut self.output);
                return true;
            }
            Ok(MachineStep::NeedInput | MachineStep::Paused) => {}
            Ok(MachineStep::UpgradeTls) => {
                assert!(self.input.is_empty(), "an action follows the request for TLS");
                self.events.push("UpgradeTls".to_owned());
            }
            Ok(MachineStep::Closed) => self.end = Some("closed".to_owned()),
            Err(error) => self.end = Some(error.to_string()),
        }
        false
    }
}
