//! Plays transcripts to a client's machine: whole, byte by byte and at random cuts.
//!
//! | a line begins with | and means |
//! |---|---|
//! | `S: ` | the server says this line; lines that follow each other arrive together |
//! | `C: ` | this is the next line that the client has sent |
//! | `! ` | the user does this; `! options` comes first and makes the client |
//! | `= ` | this is the next event that the client has told, or `closed`, `tls`, or `error` and what it says |
//! | `# ` | nothing |
//!
//! Before each `S: ` and at the end, all that the client sent and told must have been named. `\r`, `\n` and `\\` stand
//! for themselves in actions.

#[path = "../random/mod.rs"]
pub(crate) mod random;

use std::collections::VecDeque;

use bytes::BytesMut;
use mail_core::machine::{Machine, Step};
use mail_core::time::{Duration, Instant};

use random::Random;

/// A client that a transcript can lead.
pub(crate) trait Client: Machine<Event: PartialEq + std::fmt::Debug> + Sized {
    fn with_options(options: &str, now: Instant) -> Self;
    fn perform(&mut self, action: &str, argument: &str);
    /// Events whose words begin with `Body ` are joined, as they may be cut anywhere.
    fn describe(event: &Self::Event) -> String;
}

/// How the server's bytes are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cuts {
    Whole,
    Bytes,
    Random(u64),
}

pub(crate) fn play<C: Client>(name: &str, transcript: &str) {
    play_once::<C>(name, transcript, Cuts::Whole);
    play_once::<C>(name, transcript, Cuts::Bytes);
    for seed in 1..=20_u64 {
        play_once::<C>(name, transcript, Cuts::Random(seed));
    }
}

pub(crate) fn play_once<C: Client>(name: &str, transcript: &str, cuts: Cuts) {
    let mut lines = transcript.lines().enumerate().peekable();
    let mut player: Option<Player<C>> = None;
    while let Some((number, line)) = lines.next() {
        let place = format!("{name}, line {}, {cuts:?}: {line}", number + 1);
        let (kind, rest) = line.split_at(line.len().min(2));
        if let Some(options) = line.strip_prefix("! options") {
            if let Some(last) = player.replace(Player::new(options, cuts)) {
                last.assert_all_named(&place);
            }
            continue;
        }
        if line.is_empty() || kind.starts_with('#') {
            continue;
        }
        let player = player.as_mut().unwrap_or_else(|| panic!("{place}: ! options comes first"));
        match kind {
            "! " => player.perform(rest),
            "= " => assert_eq!(player.next_event(), rest, "{place}"),
            "C:" => assert_eq!(player.next_line(), rest.trim_start(), "{place}"),
            "S:" => {
                player.assert_all_named(&place);
                let mut text = format!("{}\r\n", rest.trim_start());
                while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("S: ")) {
                    text.push_str(&line[3..]);
                    text.push_str("\r\n");
                }
                player.hear(text.as_bytes());
            }
            _ => panic!("{place}: no line of a transcript begins like this"),
        }
    }
    player
        .expect("a transcript begins with ! options")
        .assert_all_named(&format!("{name}, at its end, {cuts:?}"));
}

/// A server that begins as it should and from some moment on says anything, with `words` for what it likes to say: the
/// client never panics, always comes to rest, and is closed for good once it is closed. `react` is the user.
pub(crate) fn babble<C: Client>(
    options: &str,
    opening: &[&str],
    words: &[&str],
    react: impl Fn(&mut C, Option<&C::Event>),
) {
    for seed in 0..3_000 {
        let (now, mut random) = (Instant::now(), Random::new(seed));
        let sensible = random.below(opening.len() + 1);
        let mut client = C::with_options(options, now);
        let (mut input, mut sent) = (BytesMut::new(), BytesMut::new());
        react(&mut client, None);
        for turn in 0..30 {
            client.poll_transmit(&mut sent);
            match opening[..sensible].get(turn) {
                Some(said) => input.extend_from_slice(said.as_bytes()),
                None => (0..=random.below(3)).for_each(|_| {
                    input.extend_from_slice(words[random.below(words.len())].as_bytes());
                }),
            }
            let steps_max = 2 * input.len() + 10;
            let mut steps = 0;
            loop {
                steps += 1;
                assert!(steps < steps_max, "seed {seed}: the client does not come to rest");
                match client.receive(now, &mut input) {
                    Ok(Step::Event(event)) => react(&mut client, Some(&event)),
                    Ok(Step::NeedInput | Step::Paused) => break,
                    Ok(Step::UpgradeTls) => client.perform("tls", ""),
                    Ok(Step::Closed) | Err(_) => {
                        assert_eq!(client.receive(now, &mut input).ok(), Some(Step::Closed), "seed {seed}");
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

struct Player<C: Client> {
    client: C,
    now: Instant,
    cuts: Cuts,
    random: Random,
    input: BytesMut,
    sent: BytesMut,
    told: VecDeque<String>,
    closed: bool,
}

impl<C: Client> Player<C> {
    fn new(options: &str, cuts: Cuts) -> Self {
        let now = Instant::now();
        Self {
            client: C::with_options(options.trim(), now),
            now,
            cuts,
            random: Random::new(if let Cuts::Random(seed) = cuts { seed } else { 0 }),
            input: BytesMut::new(),
            sent: BytesMut::new(),
            told: VecDeque::new(),
            closed: false,
        }
    }

    fn perform(&mut self, line: &str) {
        let (action, argument) = line.split_once(' ').unwrap_or((line, ""));
        match action {
            "wait" => {
                self.now += Duration::from_secs(argument.parse().unwrap());
                self.client.handle_timeout(self.now);
            }
            "eof" => {
                let step = self.client.receive_eof(self.now);
                self.note(step);
            }
            _ => {
                let argument = argument.replace("\\r", "\r").replace("\\n", "\n").replace("\\\\", "\\");
                self.client.perform(action, &argument);
            }
        }
        self.crank();
    }

    fn hear(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            let length = match self.cuts {
                Cuts::Whole => text.len(),
                Cuts::Bytes => 1,
                Cuts::Random(_) => 1 + self.random.below(text.len()),
            };
            self.input.extend_from_slice(&text[..length]);
            text = &text[length..];
            self.crank();
        }
    }

    fn crank(&mut self) {
        loop {
            let step = self.client.receive(self.now, &mut self.input);
            if !self.note(step) {
                break;
            }
        }
        self.client.poll_transmit(&mut self.sent);
    }

    /// Whether there may be more.
    fn note(&mut self, step: Result<Step<C::Event>, mail_core::machine::ProtocolError>) -> bool {
        let words = match step {
            Ok(Step::Event(event)) => C::describe(&event),
            Ok(Step::NeedInput | Step::Paused) => return false,
            Ok(Step::UpgradeTls) => "tls".to_owned(),
            Ok(Step::Closed) if self.closed => return false,
            Ok(Step::Closed) => {
                self.closed = true;
                "closed".to_owned()
            }
            Err(error) => format!("error {error}"),
        };
        match (self.told.back_mut(), words.strip_prefix("Body ")) {
            (Some(last), Some(more)) if last.starts_with("Body ") => last.push_str(more),
            _ => self.told.push_back(words),
        }
        true
    }

    fn next_event(&mut self) -> String {
        self.told.pop_front().unwrap_or_else(|| "nothing".to_owned())
    }

    fn next_line(&mut self) -> String {
        let end = self.sent.windows(2).position(|pair| pair == b"\r\n").map_or(self.sent.len(), |at| at + 2);
        let line = self.sent.split_to(end);
        String::from_utf8_lossy(line.strip_suffix(b"\r\n").unwrap_or(b"(no whole line)")).into_owned()
    }

    fn assert_all_named(&self, place: &str) {
        assert_eq!(self.sent.escape_ascii().to_string(), "", "{place}: the client has sent this too");
        assert!(self.told.is_empty(), "{place}: the client has told this too: {:?}", self.told);
    }
}
