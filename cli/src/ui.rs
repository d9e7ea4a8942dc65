//! What a person sees and is asked: reports, warnings, progress, prompts and questions.
//!
//! Reports go to stdout, one line a file, or with `--json` one JSON object a line; warnings and progress go
//! to stderr. Nothing here waits for an answer that cannot come: without a terminal a question is refused.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anstyle::AnsiColor;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::OptionalActions;
use secret::SecretBytes;

use crate::error::{self, Code, Error, Result};
use crate::escape;
use crate::interrupt::{self, Undo};
use crate::log;

/// Work shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_millis(500);

/// How the user wants to be spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
    /// No reports and no progress; warnings and errors stay.
    pub(crate) quiet: bool,
    /// Every question is answered with yes.
    pub(crate) yes: bool,
    /// How much more is told: 0, 1 or more.
    pub(crate) verbose: u8,
    /// The lines that sops logs with its `--verbose`.
    pub(crate) log: bool,
}

/// The terminal, or what stands in for it.
pub(crate) struct Ui {
    manner: Manner,
    bar: RefCell<Option<ProgressBar>>,
}

impl Ui {
    /// A way to speak to the user.
    pub(crate) fn new(manner: Manner) -> Self {
        Self {
            manner,
            bar: RefCell::new(None),
        }
    }

    /// How the user wants to be spoken to.
    pub(crate) fn manner(&self) -> Manner {
        self.manner
    }

    /// One line for one file: `verb file`, with a detail in brackets. Not printed when quiet.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn report(&self, verb: &str, file: &Path, detail: Option<&str>) -> Result<()> {
        if self.manner.quiet {
            return Ok(());
        }
        if self.manner.json {
            let file = file.to_string_lossy();
            return self.record(&serde_json::json!({ "action": verb, "file": file, "detail": detail }));
        }
        let line = match detail {
            Some(detail) => format!("{verb} {} ({})", escape::path(file), escape::escape(detail)),
            None => format!("{verb} {}", escape::path(file)),
        };
        self.to_stdout(&line)
    }

    /// One line of text on stdout, escaped. Not printed when quiet or in JSON.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn say(&self, text: &str) -> Result<()> {
        if self.manner.quiet || self.manner.json {
            return Ok(());
        }
        self.to_stdout(&escape::escape(text))
    }

    /// One JSON object as one line on stdout, quiet or not: it is what the caller asked for.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn record(&self, record: &serde_json::Value) -> Result<()> {
        self.to_stdout(&escape::json(record))
    }

    /// A warning on stderr, about a file if one is named.
    pub(crate) fn warn(&self, file: Option<&Path>, text: &str) {
        if self.manner.json {
            let file = file.map(Path::to_string_lossy);
            let record = serde_json::json!({ "warning": { "file": file, "message": text } });
            return self.to_stderr(|out| writeln!(out, "{}", escape::json(&record)));
        }
        let place = file
            .map(|file| format!("{}: ", escape::path(file)))
            .unwrap_or_default();
        self.to_stderr(|out| error::line(out, AnsiColor::Yellow, "warning", &format!("{place}{text}")));
    }

    /// A hint on stderr. Not printed when quiet or in JSON.
    pub(crate) fn hint(&self, text: &str) {
        if !self.manner.quiet && !self.manner.json {
            self.to_stderr(|out| error::line(out, AnsiColor::Cyan, "hint", text));
        }
    }

    /// Tells who sits at a terminal that the program waits for them to type its input.
    pub(crate) fn awaits_stdin(&self) {
        if io::stdin().is_terminal() {
            self.hint("reading the standard input, up to Ctrl-D; a file can be named instead");
        }
    }

    /// A detail on stderr, from this level of `--verbose` on.
    pub(crate) fn detail(&self, level: u8, text: &str) {
        if self.manner.verbose >= level {
            self.to_stderr(|out| writeln!(out, "{}", escape::escape(text)));
        }
    }

    /// A line as sops logs it, where such lines are wanted.
    pub(crate) fn log(&self, who: &str, level: log::Level, what: &str, fields: &[(&str, String)]) {
        if self.manner.log {
            let line = log::line(&crate::workbench::now(), who, level, what, fields);
            self.to_stderr(|out| writeln!(out, "{line}"));
        }
    }

    /// Prints an error in the form that was asked for.
    pub(crate) fn error(&self, error: &Error) {
        self.around_bar(|| error.print(self.manner.json));
    }

    /// Shows how many of `total` steps are done, once the work has taken a while, on a terminal only.
    pub(crate) fn progress(&self, total: u64) -> Progress<'_> {
        let wanted = !self.manner.quiet && !self.manner.json && io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        self.bar.replace(wanted.then(|| bar.clone()));
        Progress {
            ui: self,
            bar,
            start: Instant::now(),
            wanted,
            shown: false,
        }
    }

    /// Asks a question that yes or no answers; anything but yes is no.
    ///
    /// # Errors
    /// Code 1 where nobody can answer: no terminal, or JSON asked for, and no `--yes`.
    pub(crate) fn ask(&self, question: &str) -> Result<bool> {
        if self.manner.yes {
            return Ok(true);
        }
        if self.manner.json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let message = format!("{question} This needs an answer, and there is no terminal to ask on");
            return Err(Error::new(Code::Generic, message).hint("--yes answers yes to every question"));
        }
        self.to_stderr(|out| write!(out, "{} [y/N] ", escape::escape(question)));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.map_err(|cause| Error::new(Code::Read, "the answer cannot be read").cause(&cause))?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// The text of a question on stderr, for an answer that is read elsewhere.
    pub(crate) fn question(&self, question: &str) {
        self.to_stderr(|out| write!(out, "{}", escape::escape(question)));
    }

    /// Something a person waits for, on stderr, quiet or not. Not printed in JSON.
    pub(crate) fn notice(&self, text: &str) {
        if !self.manner.json {
            self.to_stderr(|out| writeln!(out, "{}", escape::escape(text)));
        }
    }

    /// Asks for a secret on the terminal, not showing what is typed. `hint` says how else it can be given.
    ///
    /// # Errors
    /// Code 1 where there is no terminal; 85 if the user interrupts.
    pub(crate) fn prompt(&self, question: &str, hint: &'static str) -> Result<SecretBytes> {
        let none = |cause: &io::Error| {
            Error::new(Code::Generic, "there is no terminal to ask for the value on")
                .cause(cause)
                .hint(hint)
        };
        let terminal = File::options().read(true).write(true).open("/dev/tty");
        let terminal = terminal.map_err(|cause| none(&cause))?;
        let modes = rustix::termios::tcgetattr(&terminal).map_err(|errno| none(&errno.into()))?;
        // What is typed ahead must not show either: the echo goes before the question comes.
        let hidden = interrupt::hidden(&modes);
        let hide =
            || rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &hidden).map_err(io::Error::from);
        // A signal in the middle puts the echo back.
        let (hiding, ()) =
            interrupt::guard(Undo::Terminal(Box::new(modes)), hide).map_err(|cause| none(&cause))?;
        let typed = self.around_bar(|| {
            (&terminal).write_all(escape::escape(question).as_bytes())?;
            // The reader is not told that it reads a terminal: it would set modes of its own, after a signal's too.
            let keys = rpassword::ConfigBuilder::new().input_reader(terminal.try_clone()?);
            let typed = rpassword::read_password_with_config(keys.output_discard().build());
            (&terminal).write_all(b"\n")?;
            typed
        });
        // In one step: a SIGCONT between the echo and the end of its guard would take the echo away for good.
        hiding.undo();
        match typed {
            Ok(typed) => Ok(SecretBytes::new(typed.into_bytes())),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {
                Err(Error::new(Code::Interrupted, "interrupted"))
            }
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::new(Code::Generic, "no value was given").hint(hint))
            }
            Err(cause) => Err(none(&cause)),
        }
    }

    fn to_stdout(&self, line: &str) -> Result<()> {
        let write = || {
            let mut out = anstream::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush())
        };
        self.around_bar(write).map_err(|cause| Error::stdout(&cause))
    }

    /// That stderr cannot be written is not an error of its own.
    fn to_stderr(&self, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) {
        self.around_bar(|| {
            let mut out = anstream::stderr().lock();
            let _ = write(&mut out).and_then(|()| out.flush());
        });
    }

    /// Takes the progress bar away while `work` prints.
    fn around_bar<T>(&self, work: impl FnOnce() -> T) -> T {
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(work),
            None => work(),
        }
    }
}

/// Steps of long work. Cleared when dropped.
pub(crate) struct Progress<'ui> {
    ui: &'ui Ui,
    bar: ProgressBar,
    start: Instant,
    wanted: bool,
    shown: bool,
}

impl Progress<'_> {
    /// One more step is done.
    pub(crate) fn step(&mut self) {
        if self.wanted && !self.shown && self.start.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
        self.bar.inc(1);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.ui.bar.replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_answers_and_without_a_terminal_a_question_is_refused() {
        let yes = Ui::new(Manner {
            yes: true,
            ..Manner::default()
        });
        assert!(yes.ask("Go on?").expect("answered"));
        let json = Ui::new(Manner {
            json: true,
            ..Manner::default()
        });
        let error = json.ask("Go on?").expect_err("nobody to ask");
        assert!(error.to_string().starts_with("Go on?") && error.code() == Code::Generic);
    }

    #[test]
    fn progress_counts_and_goes_away() {
        let ui = Ui::new(Manner::default());
        let mut progress = ui.progress(2);
        progress.step();
        progress.step();
        assert_eq!(progress.bar.position(), 2);
        drop(progress);
        assert!(ui.bar.borrow().is_none());
    }
}
