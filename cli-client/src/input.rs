//! Where a person's lines come from: a terminal with line editing, or a pipe. Prompts are written in both cases, so
//! that the transcript of a piped session reads like the dialogue.

use std::borrow::Cow;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use mail_core::secret::Secret;
use rustyline::completion::Completer;
use rustyline::config::Configurer as _;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Cmd, ColorMode, Config, Editor, Helper, KeyEvent};

use crate::error::Error;

/// Standard input as a sequence of lines.
pub(crate) enum Input {
    Terminal(Box<Editor<Mask, MemHistory>>),
    Plain,
}

impl Input {
    /// The terminal with line editing where both ends are one that can, else plain lines.
    ///
    /// # Errors
    /// The terminal cannot be set up.
    pub(crate) fn new() -> Result<Self, Error> {
        let edits = !matches!(std::env::var("TERM").as_deref(), Ok("dumb" | "cons25" | "emacs"));
        if !(edits && io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Ok(Self::Plain);
        }
        // A paste of several lines is several lines, and a tab in it is a tab.
        let config = Config::builder().bracketed_paste(false).auto_add_history(false).build();
        let mut editor = Editor::with_history(config, MemHistory::new()).map_err(broken)?;
        editor.bind_sequence(KeyEvent::from('\t'), Cmd::Insert(1, "\t".to_owned()));
        editor.set_helper(Some(Mask { on: false }));
        Ok(Self::Terminal(Box::new(editor)))
    }

    /// Whether a person types here, and prompts are answered one by one.
    pub(crate) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// Asks for a line, without white space around it.
    ///
    /// # Errors
    /// [`Error::InputEnded`], [`Error::Interrupted`], or the input cannot be read.
    pub(crate) fn ask(&mut self, prompt: &str) -> Result<String, Error> {
        let line = self.line(prompt)?;
        if let Self::Terminal(editor) = self {
            editor.add_history_entry(line.trim()).map_err(broken)?;
        }
        Ok(line.trim().to_owned())
    }

    /// The next line as it is, without its end. It is not kept in the history.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub(crate) fn line(&mut self, prompt: &str) -> Result<String, Error> {
        match self {
            Self::Terminal(editor) => editor.readline(prompt).map_err(broken),
            Self::Plain => {
                let mut stdout = io::stdout();
                write!(stdout, "{prompt}").and_then(|()| stdout.flush()).map_err(Error::Output)?;
                let line = plain_line();
                // The line end that a person would have typed; without it the answers stood behind the prompts.
                if !prompt.is_empty() && !io::stdin().is_terminal() {
                    writeln!(stdout).map_err(Error::Output)?;
                }
                line
            }
        }
    }

    /// Asks for a password: nothing of it is shown on a terminal. In a pipe it is a line like any other.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub(crate) fn secret(&mut self, prompt: &str) -> Result<Secret<String>, Error> {
        match self {
            Self::Terminal(editor) => {
                mask(editor, true);
                let line = editor.readline(prompt);
                mask(editor, false);
                line.map_err(broken)
            }
            Self::Plain if io::stdin().is_terminal() => rpassword::prompt_password(prompt).map_err(ended),
            Self::Plain => self.line(prompt),
        }
        .map(Secret::new)
    }
}

/// A line of standard input, without its end. What is not UTF-8 is replaced.
///
/// # Errors
/// [`Error::InputEnded`], or it cannot be read.
pub(crate) fn plain_line() -> Result<String, Error> {
    let mut line = Vec::new();
    if io::stdin().lock().read_until(b'\n', &mut line).map_err(Error::Input)? == 0 {
        return Err(Error::InputEnded);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// All that is left of standard input.
///
/// # Errors
/// It cannot be read.
pub(crate) fn rest() -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(Error::Input)?;
    Ok(bytes)
}

fn broken(error: ReadlineError) -> Error {
    match error {
        ReadlineError::Eof => Error::InputEnded,
        ReadlineError::Interrupted => Error::Interrupted,
        ReadlineError::Io(error) => ended(error),
        other => Error::Input(io::Error::other(other)),
    }
}

fn ended(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { Error::InputEnded } else { Error::Input(error) }
}

/// Shows blanks for what is typed while it is on. The editor goes into raw mode before it prompts, so that not even
/// the first character of a fast typist is echoed.
#[derive(Debug)]
pub(crate) struct Mask {
    on: bool,
}

fn mask(editor: &mut Editor<Mask, MemHistory>, on: bool) {
    if let Some(mask) = editor.helper_mut() {
        mask.on = on;
    }
    // Without colours the editor would not ask how to show a line.
    editor.set_color_mode(if on { ColorMode::Forced } else { ColorMode::Enabled });
}

impl Highlighter for Mask {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        if self.on { Cow::Owned(" ".repeat(line.chars().count())) } else { Cow::Borrowed(line) }
    }

    fn highlight_char(&self, _line: &str, _pos: usize, kind: CmdKind) -> bool {
        self.on && kind != CmdKind::MoveCursor
    }
}

impl Helper for Mask {}
impl Completer for Mask {
    type Candidate = String;
}
impl Hinter for Mask {
    type Hint = String;
}
impl Validator for Mask {}
