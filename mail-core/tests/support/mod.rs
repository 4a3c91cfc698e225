//! Plays dialogues written down as text against a machine.
//!
//! A transcript is a text of lines, each with its kind in front:
//!
//! | line | meaning |
//! |---|---|
//! | `# words` | a comment; so is an empty line |
//! | `! words` | a directive: before the first other line it configures the policy, later it makes something happen |
//! | `C: text` | the client sends this line; CRLF is added |
//! | `C~ text` | the client sends exactly this: `\r \n \t \0 \\ \xHH` are escapes, and no line end is added |
//! | `C* count text` | the client sends the line `count` times |
//! | `S: text` | the server answers with this line |
//! | `S* count text` | the server answers with the line `count` times |
//! | `E: text` | the policy saw this, in the words of [`Policy::answer`]; when there are none, what it saw is not compared |
//! | `X: text` | the machine closed the connection, by the error of these words or `closed`; without it, it is open at the end |
//!
//! The player itself knows two directives: `! wait SECONDS` lets that time pass in silence, and `! eof` closes the
//! client's side. All others are the policy's.
//!
//! Directives cut a transcript into stretches. All that the client says in a stretch is sent at once, then again byte by
//! byte, then cut at seeded random places, each time to a fresh machine; all that came back in the stretch must be all
//! that the `S:` lines say. So every transcript is a test of pipelining, too.

use bytes::BytesMut;
use mail_core::machine::{Machine, ProtocolError, Step};
use mail_core::time::{Duration, Instant};

/// The scripted other half of a machine: it makes the machine and answers its events.
pub(crate) trait Policy: Default {
    /// The machine that is played against.
    type Machine: Machine;

    /// A directive in front of the dialogue.
    fn configure(&mut self, words: &str);

    /// The machine, once all is configured.
    fn machine(&self, now: Instant) -> Self::Machine;

    /// A directive amid the dialogue.
    fn act(&mut self, machine: &mut Self::Machine, now: Instant, words: &str);

    /// Answers an event, says in `seen` what is worth a line, and writes what the policy writes itself to `out`, which
    /// holds all that the machine had to transmit before.
    fn answer(
        &mut self,
        machine: &mut Self::Machine,
        event: <Self::Machine as Machine>::Event,
        seen: &mut Vec<String>,
        out: &mut BytesMut,
    );
}

/// Plays the transcript in every way that there is.
pub(crate) fn play<P: Policy>(transcript: &str) {
    let transcript = Transcript::parse(transcript);
    transcript.play::<P>(&mut Cut::Whole);
    transcript.play::<P>(&mut Cut::Bytes);
    for seed in 1..=10 {
        transcript.play::<P>(&mut Cut::Random(seed));
    }
}

/// How the client's bytes are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Whole,
    Bytes,
    Random(u64),
}

impl Cut {
    fn next_length(&mut self, left: usize) -> usize {
        match self {
            Self::Whole => left,
            Self::Bytes => 1,
            Self::Random(state) => {
                // Marsaglia's xorshift.
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                // Short cuts and long ones alike, or a line is hardly ever cut.
                let longest = if state.is_multiple_of(3) { 4 } else { 400 };
                usize::try_from(*state >> 33).expect("31 bits fit") % longest + 1
            }
        }
        .min(left)
    }
}

#[derive(Debug, Default)]
struct Transcript {
    configuration: Vec<String>,
    stretches: Vec<Stretch>,
    seen: Vec<String>,
    end: Option<String>,
}

#[derive(Debug, Default)]
struct Stretch {
    directive: Option<String>,
    client: Vec<u8>,
    server: String,
}

impl Transcript {
    fn parse(text: &str) -> Self {
        let mut transcript = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (kind, rest) = line.split_at_checked(2).unwrap_or_else(|| panic!("what kind is {line:?}?"));
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            if kind == "! " {
                transcript.add_directive(rest);
                continue;
            }
            match kind {
                "E:" => transcript.seen.push(rest.to_owned()),
                "X:" => transcript.end = Some(rest.to_owned()),
                _ => transcript.last_stretch().add_line(kind, rest),
            }
        }
        assert!(!transcript.stretches.is_empty(), "the transcript holds a dialogue");
        transcript
    }

    fn add_directive(&mut self, words: &str) {
        if self.stretches.is_empty() {
            self.configuration.push(words.to_owned());
        } else {
            self.stretches.push(Stretch { directive: Some(words.to_owned()), ..Stretch::default() });
        }
    }

    fn last_stretch(&mut self) -> &mut Stretch {
        if self.stretches.is_empty() {
            self.stretches.push(Stretch::default());
        }
        self.stretches.last_mut().expect("one was just put there")
    }

    fn play<P: Policy>(&self, cut: &mut Cut) {
        let how = *cut;
        let mut player = Player::<P>::new(&self.configuration);
        for stretch in &self.stretches {
            player.play(stretch, cut);
            let answered = String::from_utf8(player.output.split().to_vec()).expect("replies are UTF-8");
            assert_eq!(answered, stretch.server, "what the server said, the client's bytes cut as {how:?}");
        }
        if !self.seen.is_empty() {
            assert_eq!(player.seen, self.seen, "what the policy saw, the client's bytes cut as {how:?}");
        }
        assert_eq!(player.end, self.end, "how it ended, the client's bytes cut as {how:?}");
    }
}

impl Stretch {
    fn add_line(&mut self, kind: &str, rest: &str) {
        let repeated = || {
            let (count, line) = rest.split_once(' ').unwrap_or((rest, ""));
            format!("{line}\r\n").repeat(count.parse().expect("a count comes first"))
        };
        match kind {
            "C:" => self.client.extend_from_slice(format!("{rest}\r\n").as_bytes()),
            "C~" => self.client.extend_from_slice(&unescape(rest)),
            "C*" => self.client.extend_from_slice(repeated().as_bytes()),
            "S:" => self.server += &format!("{rest}\r\n"),
            "S*" => self.server += &repeated(),
            _ => panic!("no line begins with {kind:?}"),
        }
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).expect("two hexadecimal digits follow \\x")
            }
            other => panic!("\\{other:?} is no escape"),
        });
    }
    bytes
}

struct Player<P: Policy> {
    policy: P,
    machine: P::Machine,
    now: Instant,
    input: BytesMut,
    output: BytesMut,
    seen: Vec<String>,
    end: Option<String>,
}

impl<P: Policy> Player<P> {
    fn new(configuration: &[String]) -> Self {
        let mut policy = P::default();
        configuration.iter().for_each(|words| policy.configure(words));
        let now = Instant::now();
        let mut machine = policy.machine(now);
        let mut output = BytesMut::new();
        machine.poll_transmit(&mut output);
        Self { policy, machine, now, input: BytesMut::new(), output, seen: Vec::new(), end: None }
    }

    fn play(&mut self, stretch: &Stretch, cut: &mut Cut) {
        if let Some(words) = &stretch.directive {
            self.act(words);
        }
        let mut rest = &stretch.client[..];
        while !rest.is_empty() && self.end.is_none() {
            let (piece, tail) = rest.split_at(cut.next_length(rest.len()));
            self.input.extend_from_slice(piece);
            rest = tail;
            self.run();
        }
    }

    fn act(&mut self, words: &str) {
        if let Some(seconds) = words.strip_prefix("wait ") {
            self.now += Duration::from_secs(seconds.parse().expect("a number of seconds"));
            if self.machine.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                self.machine.handle_timeout(self.now);
            }
        } else if words == "eof" {
            let step = self.machine.receive_eof(self.now);
            self.take(step);
        } else {
            self.policy.act(&mut self.machine, self.now, words);
        }
        self.run();
    }

    /// Turns the crank until the machine waits.
    fn run(&mut self) {
        while self.end.is_none() {
            let step = self.machine.receive(self.now, &mut self.input);
            if !self.take(step) {
                return;
            }
        }
    }

    /// Whether to go on.
    fn take(&mut self, step: Result<Step<<P::Machine as Machine>::Event>, ProtocolError>) -> bool {
        self.machine.poll_transmit(&mut self.output);
        match step {
            Ok(Step::Event(event)) => {
                self.policy.answer(&mut self.machine, event, &mut self.seen, &mut self.output);
                self.machine.poll_transmit(&mut self.output);
                return true;
            }
            Ok(Step::NeedInput | Step::Paused) => {}
            Ok(Step::UpgradeTls) => {
                assert!(self.input.is_empty(), "in a transcript, `! tls` follows STARTTLS")
            }
            Ok(Step::Closed) => self.end = Some("closed".to_owned()),
            Err(error) => self.end = Some(error.to_string()),
        }
        false
    }
}
