//! Programs that run for the user: their environment, their user, and their end.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus};

use key_providers::KEY_VARIABLES;
use rustix::process::Pid;

use crate::error::{Code, Error, Result};
use crate::interrupt;
use crate::users::User;

/// How a command line of the user is run.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ChildArgs {
    /// Start with an empty environment
    #[arg(long)]
    pub(crate) pristine: bool,

    /// Run it as this user, which takes root
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// Hands on every variable, as sops does.
    #[arg(skip)]
    keeps_private: bool,
}

impl ChildArgs {
    /// What flags of sops come to.
    pub(crate) fn of_sops(pristine: bool, user: Option<String>) -> Self {
        Self {
            pristine,
            user,
            keeps_private: true,
        }
    }

    /// `line`, to be run by the shell.
    ///
    /// # Errors
    /// Code 1 if there is no such user.
    pub(crate) fn shell(&self, line: &OsStr) -> Result<Command> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line);
        if self.pristine {
            command.env_clear();
        }
        for name in KEY_VARIABLES.iter().filter(|_| !self.keeps_private) {
            command.env_remove(name);
        }
        if let Some(name) = &self.user {
            let user = User::named(name).ok_or_else(|| {
                let text = format!("there is no user {}", crate::escape::escape(name));
                Error::new(Code::Generic, text)
            })?;
            command.uid(user.uid).gid(user.gid);
        }
        Ok(command)
    }
}

/// Runs `command` to its end. While it runs, requests to end go to it, and nothing that it was given is kept here.
///
/// # Errors
/// Code 1 if it cannot be started.
pub(crate) fn run(mut command: Command) -> Result<ExitCode> {
    let not_started =
        |cause: std::io::Error| Error::new(Code::Generic, "the command cannot be started").cause(&cause);
    let mut child = command.spawn().map_err(not_started)?;
    // It holds the values that the command was given, and may wait for it for long.
    drop(command);
    secret::wipe_stack();
    let foreground = interrupt::forward_to(Pid::from_child(&child)).map_err(not_started)?;
    let status = child
        .wait()
        .map_err(|cause| Error::new(Code::Generic, "the command cannot be waited for").cause(&cause))?;
    drop(foreground);
    Ok(ExitCode::from(code(status)))
}

/// Runs an editor to its end. Ctrl-C is left to it; a request to end ends it and this program.
///
/// # Errors
/// Code 201 if it cannot be started or fails, 85 if Ctrl-C ended it.
pub(crate) fn edit(mut command: Command) -> Result<()> {
    let not_started =
        |cause: std::io::Error| Error::new(Code::Editor, "the editor cannot be started").cause(&cause);
    let mut child = command.spawn().map_err(not_started)?;
    secret::wipe_stack();
    let foreground = interrupt::leave_to(Pid::from_child(&child)).map_err(not_started)?;
    let status = child
        .wait()
        .map_err(|cause| Error::new(Code::Editor, "the editor cannot be waited for").cause(&cause))?;
    drop(foreground);
    if status.success() {
        return Ok(());
    }
    if status.signal() == Some(rustix::process::Signal::INT.as_raw()) {
        return Err(Error::new(Code::Interrupted, "interrupted"));
    }
    let text = format!(
        "the editor failed with exit code {}: nothing was changed",
        code(status)
    );
    Err(Error::new(Code::Editor, text))
}

/// Puts the command in the place of this program. Returns only if that fails.
pub(crate) fn become_it(mut command: Command) -> Error {
    let cause = command.exec();
    Error::new(Code::Generic, "the command cannot be started").cause(&cause)
}

/// As a shell tells it: 128 and the number of the signal for a child that one ended.
fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    u8::try_from(code.unwrap_or(1)).unwrap_or(1)
}

/// `name=value` can be a variable only if the name has no `=` and neither holds a zero byte.
pub(crate) fn variable(name: &[u8], value: &[u8]) -> Option<(OsString, OsString)> {
    use std::os::unix::ffi::OsStringExt as _;
    let fine = !name.is_empty() && !name.contains(&b'=') && !name.contains(&0) && !value.contains(&0);
    fine.then(|| {
        (
            OsString::from_vec(name.to_vec()),
            OsString::from_vec(value.to_vec()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_pass_through() {
        for (line, expected) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
            let command = ChildArgs::default().shell(OsStr::new(line)).expect("a shell");
            let mut command = command;
            let status = command.status().expect("it runs");
            assert_eq!(code(status), expected, "{line}");
        }
    }

    #[test]
    fn private_keys_are_not_handed_on() {
        let command = ChildArgs::default().shell(OsStr::new("true")).expect("a shell");
        for name in KEY_VARIABLES {
            let removed = command
                .get_envs()
                .any(|(key, value)| key == name && value.is_none());
            assert!(removed, "{name}");
        }
    }

    #[test]
    fn a_user_that_is_not_there_is_refused() {
        let as_user = |name: &str| ChildArgs::of_sops(false, Some(name.to_owned())).shell(OsStr::new("true"));
        assert!(as_user("root").is_ok());
        let error = as_user("nobody-of-this-name").expect_err("refused");
        assert!(error.to_string().contains("nobody-of-this-name"), "{error}");
    }

    #[test]
    fn only_what_can_be_a_variable_is_one() {
        assert!(variable(b"A", b"x=y").is_some());
        for (name, value) in [
            (&b""[..], &b"x"[..]),
            (b"A=B", b"x"),
            (b"A\0", b"x"),
            (b"A", b"\0"),
        ] {
            assert!(variable(name, value).is_none(), "{name:?} {value:?}");
        }
    }
}
