//! Parses transcripts into sessions and steps.

use super::Role;

#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) options: Vec<String>,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Default)]
pub(super) struct Step {
    /// Line number of the first line.
    pub(super) line: usize,
    pub(super) inputs: Vec<Input>,
    pub(super) output: String,
    pub(super) events: Vec<String>,
    pub(super) end: Option<String>,
}

#[derive(Debug)]
pub(super) enum Input {
    Action(String),
    Bytes(Vec<u8>),
}

/// Parses a transcript for a machine of this role.
pub(super) fn sessions(transcript: &str, role: Role) -> Vec<Session> {
    let mut sessions = vec![Session::default()];
    for (index, line) in transcript.lines().enumerate() {
        if line == "---" {
            sessions.push(Session::default());
        } else if !line.is_empty() && !line.starts_with('#') {
            let session = sessions.last_mut().expect("the list starts with one session");
            session.add_line(index + 1, line, role);
        }
    }
    assert!(sessions.iter().all(|session| !session.steps.is_empty()), "a session has no dialogue");
    sessions
}

impl Session {
    fn add_line(&mut self, number: usize, line: &str, role: Role) {
        let (prefix, text) = line.split_at_checked(2).unwrap_or((line, ""));
        let text = text.strip_prefix(' ').unwrap_or(text);
        match prefix {
            "= " => {
                assert!(self.steps.is_empty(), "line {number}: options precede the dialogue");
                self.options.push(text.to_owned());
            }
            "! " => self.step_for_action(number, role).inputs.push(Input::Action(unescape_text(text))),
            "E:" => self.last_step(number).events.push(text.to_owned()),
            "X:" => self.last_step(number).end = Some(text.to_owned()),
            _ => {
                let bytes = content(prefix, text).unwrap_or_else(|| panic!("line {number}: unknown prefix"));
                if prefix.starts_with('C') == (role == Role::Server) {
                    self.step_for_input(number, role).add_bytes(&bytes);
                } else {
                    let text = String::from_utf8(bytes).expect("expected output is UTF-8");
                    self.last_step(number).output.push_str(&text);
                }
            }
        }
    }

    /// The last step; the first one starts with the machine's initial output.
    fn last_step(&mut self, line: usize) -> &mut Step {
        if self.steps.is_empty() {
            self.steps.push(Step { line, ..Step::default() });
        }
        self.steps.last_mut().expect("a step was just added")
    }

    fn step_for_action(&mut self, line: usize, role: Role) -> &mut Step {
        let extends_last = role == Role::Client
            && self.steps.last().is_some_and(|step| {
                !step.has_expectations() && !matches!(step.inputs.last(), Some(Input::Bytes(_)))
            });
        self.step(line, extends_last)
    }

    fn step_for_input(&mut self, line: usize, role: Role) -> &mut Step {
        let extends_last = role == Role::Server
            || self.steps.last().is_some_and(|step| {
                !step.has_expectations() && matches!(step.inputs.last(), Some(Input::Bytes(_)))
            });
        self.step(line, extends_last)
    }

    fn step(&mut self, line: usize, extends_last: bool) -> &mut Step {
        if !extends_last {
            self.steps.push(Step { line, ..Step::default() });
        }
        self.last_step(line)
    }
}

impl Step {
    fn has_expectations(&self) -> bool {
        !self.output.is_empty() || !self.events.is_empty() || self.end.is_some()
    }

    fn add_bytes(&mut self, more: &[u8]) {
        match self.inputs.last_mut() {
            Some(Input::Bytes(bytes)) => bytes.extend_from_slice(more),
            _ => self.inputs.push(Input::Bytes(more.to_vec())),
        }
    }
}

/// The octets of a `C` or `S` line.
fn content(prefix: &str, text: &str) -> Option<Vec<u8>> {
    match prefix {
        "C:" | "S:" => Some(format!("{text}\r\n").into_bytes()),
        "C~" | "S~" => Some(unescape(text)),
        "C*" | "S*" => {
            let (count, line) = text.split_once(' ').unwrap_or((text, ""));
            Some(format!("{line}\r\n").repeat(count.parse().expect("a count")).into_bytes())
        }
        _ => None,
    }
}

fn unescape_text(text: &str) -> String {
    String::from_utf8(unescape(text)).expect("an action is UTF-8")
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
                u8::from_str_radix(&digits, 16).expect("two hexadecimal digits after \\x")
            }
            other => panic!("unknown escape \\{other:?}"),
        });
    }
    bytes
}
