//! Ctrl-C, and requests to end: exit 85, nothing left behind.
//!
//! One sleeping thread waits for SIGINT, SIGTERM and SIGHUP from the moment on when there is something to undo; before,
//! and in commands that only print, a signal ends the program as it ends any other. What must not outlive the program (temporary
//! files and folders, a terminal without echo, an editor) is registered while it exists; the thread undoes it
//! and exits. A file is made and registered in one step under the registry's lock, which the thread takes and
//! never gives back, so nothing can appear behind its back.
//!
//! After a stop (Ctrl-Z) and SIGCONT a terminal without echo loses it again: shells put theirs back meanwhile.
//!
//! A SIGHUP that was ignored when the program started (nohup) stays ignored. While a program runs in the
//! foreground for the user ([`forward_to`]) requests to end are passed on to it and its exit code decides. A service
//! ([`on_request`]) is told to end and given the time it needs; the second request is not waited for.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::AtFlags;
use rustix::process::{Pid, Signal};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Code, Error};

/// Something that must be undone if the program is told to end.
pub(crate) enum Undo {
    /// A file to be removed.
    File {
        /// The folder it was made in.
        folder: Arc<OwnedFd>,
        /// Its name there.
        name: OsString,
    },
    /// A folder to be removed with all that is in it.
    Folder(PathBuf),
    /// The modes of a terminal that does not echo now, to be put back.
    Terminal(Box<Termios>),
}

/// Keeps an [`Undo`] registered until dropped. Dropping it undoes nothing.
#[must_use]
pub(crate) struct Pending(u64);

impl Pending {
    /// Undoes it now, in one step that no signal can split.
    pub(crate) fn undo(self) {
        let mut registry = registry();
        let found = registry.pending.iter().position(|(id, _)| *id == self.0);
        if let Some(at) = found {
            run(registry.pending.remove(at).1);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        registry().pending.retain(|(id, _)| *id != self.0);
    }
}

/// Passes requests to end on to a program until dropped.
#[must_use]
pub(crate) struct Forwarding(());

impl Drop for Forwarding {
    fn drop(&mut self) {
        registry().foreground = None;
    }
}

/// Keeps [`on_request`] registered until dropped; then what is still pending is undone, for a thread that waits for
/// somebody to type will not do it.
#[must_use]
pub(crate) struct Stopping(());

impl Drop for Stopping {
    fn drop(&mut self) {
        let mut registry = registry();
        registry.stop = None;
        for (_, undo) in registry.pending.drain(..).rev() {
            run(undo);
        }
    }
}

#[derive(Default)]
struct Registry {
    watching: bool,
    next: u64,
    pending: Vec<(u64, Undo)>,
    foreground: Option<Foreground>,
    /// What the first request to end does, instead of ending the program.
    stop: Option<Box<dyn FnOnce() + Send>>,
}

/// A program that the user sees instead of this one.
#[derive(Clone, Copy)]
struct Foreground {
    pid: Pid,
    /// A request to end is passed on and ends this program too.
    ends_us: bool,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    watching: false,
    next: 0,
    pending: Vec::new(),
    foreground: None,
    stop: None,
});

/// Starts watching.
fn watch() -> io::Result<()> {
    let wanted = [SIGINT, SIGTERM, SIGHUP, SIGCONT]
        .into_iter()
        .filter(|signal| *signal != SIGHUP || !hangup_ignored());
    let mut signals = Signals::new(wanted)?;
    let wait = move || {
        for signal in signals.forever() {
            received(signal);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(())
}

/// Makes something and registers how to undo it, in one step that no signal can split.
///
/// # Errors
/// That of `make`, and when the system refuses a signal handler or a thread; then nothing is registered.
pub(crate) fn guard<T>(undo: Undo, make: impl FnOnce() -> io::Result<T>) -> io::Result<(Pending, T)> {
    let mut registry = registry();
    registry.watch()?;
    let made = make()?;
    let id = registry.next;
    registry.next += 1;
    registry.pending.push((id, undo));
    Ok((Pending(id), made))
}

/// Lets the program `pid` decide when to end: until the result is dropped, SIGTERM and SIGHUP are passed on
/// to it, and SIGINT, which the terminal sends to both, is left to it.
///
/// # Errors
/// When the system refuses a signal handler or a thread.
pub(crate) fn forward_to(pid: Pid) -> io::Result<Forwarding> {
    foreground(Foreground { pid, ends_us: false })
}

/// As [`forward_to`], but SIGTERM and SIGHUP end this program as well: an editor may ask before it ends.
///
/// # Errors
/// As [`forward_to`].
pub(crate) fn leave_to(pid: Pid) -> io::Result<Forwarding> {
    foreground(Foreground { pid, ends_us: true })
}

/// Lets the first request to end call `stop` and nothing else, until the result is dropped.
///
/// # Errors
/// When the system refuses a signal handler or a thread.
pub(crate) fn on_request(stop: impl FnOnce() + Send + 'static) -> io::Result<Stopping> {
    let mut registry = registry();
    registry.watch()?;
    registry.stop = Some(Box::new(stop));
    Ok(Stopping(()))
}

fn foreground(foreground: Foreground) -> io::Result<Forwarding> {
    let mut registry = registry();
    registry.watch()?;
    registry.foreground = Some(foreground);
    Ok(Forwarding(()))
}

impl Registry {
    /// Starts watching, if that was not done before.
    fn watch(&mut self) -> io::Result<()> {
        if !self.watching {
            watch()?;
            self.watching = true;
        }
        Ok(())
    }
}

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn received(signal: i32) {
    let mut registry = registry();
    if signal == SIGCONT {
        return registry.pending.iter().for_each(|(_, undo)| hide_again(undo));
    }
    if let Some(stop) = registry.stop.take() {
        return stop();
    }
    if let Some(Foreground { pid, ends_us }) = registry.foreground {
        let passed_on = match signal {
            SIGTERM => Some(Signal::TERM),
            SIGHUP => Some(Signal::HUP),
            _ => None,
        };
        if let Some(signal) = passed_on {
            let _ = rustix::process::kill_process(pid, signal);
        }
        if !ends_us || passed_on.is_none() {
            return;
        }
    }
    for (_, undo) in registry.pending.drain(..).rev() {
        run(undo);
    }
    Error::new(Code::Interrupted, "interrupted").print(false);
    // The registry stays locked: nothing more can be made.
    std::process::exit(Code::Interrupted.number().into());
}

fn run(undo: Undo) {
    match undo {
        Undo::File { folder, name } => {
            let _ = rustix::fs::unlinkat(&folder, &name, AtFlags::empty());
        }
        Undo::Folder(path) => drop(fs::remove_dir_all(path)),
        Undo::Terminal(modes) => set_terminal(&modes),
    }
}

/// The echo that somebody put back while the program was stopped.
fn hide_again(undo: &Undo) {
    if let Undo::Terminal(modes) = undo {
        set_terminal(&hidden(modes));
    }
}

/// The same terminal, showing nothing that is typed and giving out each key as it is pressed, Ctrl-C too.
pub(crate) fn hidden(modes: &Termios) -> Termios {
    let mut hidden = modes.clone();
    let seen = LocalModes::ECHO | LocalModes::ECHONL;
    hidden
        .local_modes
        .remove(seen | LocalModes::ICANON | LocalModes::ISIG);
    hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
    hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
    hidden
}

fn set_terminal(modes: &Termios) {
    if let Ok(terminal) = fs::File::open("/dev/tty") {
        let _ = rustix::termios::tcsetattr(&terminal, OptionalActions::Now, modes);
    }
}

/// Whether SIGHUP is ignored, as Linux shows it; elsewhere no.
fn hangup_ignored() -> bool {
    // The kernel hands it out whole to the first read that is large enough.
    let mut status = [0; 4096];
    let len = fs::File::open("/proc/self/status").and_then(|mut file| file.read(&mut status));
    let status = String::from_utf8_lossy(&status[..len.unwrap_or(0)]);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    mask >> (SIGHUP - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(id: u64) -> bool {
        registry().pending.iter().any(|(other, _)| *other == id)
    }

    #[test]
    fn what_is_made_is_registered_until_dropped() {
        let made = guard(Undo::Folder("/nonexistent/a".into()), || Ok(7));
        let (pending, value) = made.expect("made");
        assert_eq!(value, 7);
        let id = pending.0;
        assert!(held(id));
        drop(pending);
        assert!(!held(id));
    }

    #[test]
    fn what_could_not_be_made_is_not_registered() {
        assert!(
            guard(Undo::Folder("/nonexistent/b".into()), || Err::<(), _>(
                io::ErrorKind::Other.into()
            ))
            .is_err()
        );
        let is_b = |undo: &Undo| matches!(undo, Undo::Folder(path) if path.ends_with("b"));
        assert!(!registry().pending.iter().any(|(_, undo)| is_b(undo)));
    }

    #[test]
    fn what_is_undone_is_not_registered_any_more() {
        let dir = tempfile::tempdir().expect("a folder");
        let inner = dir.path().join("d");
        let made = guard(Undo::Folder(inner.clone()), || fs::create_dir(&inner));
        let (pending, ()) = made.expect("made");
        let id = pending.0;
        pending.undo();
        assert!(!inner.exists() && !held(id));
    }

    #[test]
    fn undoing_removes_files_and_folders() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("f");
        fs::write(&file, "x").expect("written");
        let folder = Arc::new(OwnedFd::from(fs::File::open(dir.path()).expect("opened")));
        run(Undo::File {
            folder,
            name: "f".into(),
        });
        assert!(!file.exists());
        let inner = dir.path().join("d");
        fs::create_dir_all(inner.join("e")).expect("made");
        run(Undo::Folder(inner.clone()));
        assert!(!inner.exists());
    }
}
