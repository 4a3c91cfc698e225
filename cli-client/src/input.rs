//! Lines from standard input: a terminal with line editing, or a pipe. Prompts are written in both cases, so that the
//! transcript of a piped session reads like the dialogue.

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

/// Standard input, read by lines.
pub(crate) enum Input {
    Terminal(Box<Editor<PasswordMask, MemHistory>>),
    Plain,
}

impl Input {
    /// Line editing if standard input and output are a capable terminal, else plain lines.
    ///
    /// # Errors
    /// The terminal cannot be set up.
    pub(crate) fn new() -> Result<Self, Error> {
        let can_edit = !matches!(std::env::var("TERM").as_deref(), Ok("dumb" | "cons25" | "emacs"));
        if !(can_edit && io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Ok(Self::Plain);
        }
        // Pasted lines are separate lines, and pasted tabs are text.
        let config = Config::builder().bracketed_paste(false).auto_add_history(false).build();
        let mut editor = Editor::with_history(config, MemHistory::new()).map_err(readline_error)?;
        editor.bind_sequence(KeyEvent::from('\t'), Cmd::Insert(1, "\t".to_owned()));
        editor.set_helper(Some(PasswordMask { enabled: false }));
        Ok(Self::Terminal(Box::new(editor)))
    }

    /// Whether the user types at a terminal with line editing.
    pub(crate) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// Prompts for a line and trims it.
    ///
    /// # Errors
    /// [`Error::InputEnded`], [`Error::Interrupted`], or the input cannot be read.
    pub(crate) fn ask(&mut self, prompt: &str) -> Result<String, Error> {
        let line = self.line(prompt)?;
        if let Self::Terminal(editor) = self {
            editor.add_history_entry(line.trim()).map_err(readline_error)?;
        }
        Ok(line.trim().to_owned())
    }

    /// Prompts for a line and returns it without its line end. It is not added to the history.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub(crate) fn line(&mut self, prompt: &str) -> Result<String, Error> {
        match self {
            Self::Terminal(editor) => editor.readline(prompt).map_err(readline_error),
            Self::Plain => {
                let mut stdout = io::stdout();
                write!(stdout, "{prompt}").and_then(|()| stdout.flush()).map_err(Error::Output)?;
                let line = plain_line();
                // A terminal would echo the line end.
                if !prompt.is_empty() && !io::stdin().is_terminal() {
                    writeln!(stdout).map_err(Error::Output)?;
                }
                line
            }
        }
    }

    /// Prompts for a password without echo. A pipe has no echo: the password is the next line.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub(crate) fn secret(&mut self, prompt: &str) -> Result<Secret<String>, Error> {
        match self {
            Self::Terminal(editor) => {
                mask_input(editor, true);
                let line = editor.readline(prompt);
                mask_input(editor, false);
                line.map_err(readline_error)
            }
            Self::Plain if io::stdin().is_terminal() => {
                rpassword::prompt_password(prompt).map_err(input_error)
            }
            Self::Plain => self.line(prompt),
        }
        .map(Secret::new)
    }
}

/// Reads a line of standard input without its line end. Invalid UTF-8 is replaced.
///
/// # Errors
/// [`Error::InputEnded`], or standard input is unreadable.
pub(crate) fn plain_line() -> Result<String, Error> {
    let mut line = Vec::new();
    if io::stdin().lock().read_until(b'\n', &mut line).map_err(Error::Input)? == 0 {
        return Err(Error::InputEnded);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// Reads the rest of standard input.
///
/// # Errors
/// Standard input is unreadable.
pub(crate) fn read_to_end() -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(Error::Input)?;
    Ok(bytes)
}

fn readline_error(error: ReadlineError) -> Error {
    match error {
        ReadlineError::Eof => Error::InputEnded,
        ReadlineError::Interrupted => Error::Interrupted,
        ReadlineError::Io(error) => input_error(error),
        other => Error::Input(io::Error::other(other)),
    }
}

fn input_error(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { Error::InputEnded } else { Error::Input(error) }
}

/// Displays typed characters as blanks while enabled. The editor enters raw mode before it prompts, so early input is not
/// echoed either.
#[derive(Debug)]
pub(crate) struct PasswordMask {
    enabled: bool,
}

fn mask_input(editor: &mut Editor<PasswordMask, MemHistory>, enabled: bool) {
    if let Some(mask) = editor.helper_mut() {
        mask.enabled = enabled;
    }
    // Without colours the editor does not call the highlighter.
    editor.set_color_mode(if enabled { ColorMode::Forced } else { ColorMode::Enabled });
}

impl Highlighter for PasswordMask {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        if self.enabled { Cow::Owned(" ".repeat(line.chars().count())) } else { Cow::Borrowed(line) }
    }

    fn highlight_char(&self, _line: &str, _pos: usize, kind: CmdKind) -> bool {
        self.enabled && kind != CmdKind::MoveCursor
    }
}

impl Helper for PasswordMask {}
impl Completer for PasswordMask {
    type Candidate = String;
}
impl Hinter for PasswordMask {
    type Hint = String;
}
impl Validator for PasswordMask {}
