//! `seal`: seals secrets in files before they are committed.

mod args;
mod audit;
mod child;
mod commands;
mod editor;
mod error;
mod escape;
mod files;
mod git;
mod hardening;
mod home;
mod interrupt;
mod keyring;
mod kube;
mod kubeseal_cli;
mod ledger;
mod log;
mod policy;
mod private;
mod publication;
mod rekey;
mod sockets;
mod sops_cli;
mod ui;
mod users;
mod walk;
mod workbench;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// Memory that is freed is wiped first: parsers and libraries keep copies of what they read.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    hardening::no_core_dumps();
    hardening::silent_panics();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = as_another(&arguments) {
        return code;
    }
    let (global, command) = commands::parse();
    let ui = ui::Ui::new(global.manner());
    match commands::run(global, command) {
        Ok(code) => code,
        Err(error) => {
            ui.error(&error);
            error.code().into()
        }
    }
}

/// Runs the command line of another program, if `seal` is called by its name, or with it as the first word.
fn as_another(arguments: &[OsString]) -> Option<ExitCode> {
    let run = |name: &OsStr| -> Option<fn(&[OsString]) -> ExitCode> {
        match name.to_str()? {
            "sops" => Some(sops_cli::run),
            "kubeseal" => Some(kubeseal_cli::run),
            _ => None,
        }
    };
    let (program, rest) = arguments.split_first()?;
    if let Some(run) = Path::new(program).file_name().and_then(run) {
        return Some(run(rest));
    }
    let (name, rest) = rest.split_first()?;
    run(name).map(|run| run(rest))
}
