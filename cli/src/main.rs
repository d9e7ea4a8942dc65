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

use std::ffi::OsString;
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
    match &arguments[..] {
        [program, rest @ ..] if Path::new(program).file_name() == Some("sops".as_ref()) => {
            return sops_cli::run(rest);
        }
        [_, name, rest @ ..] if name == "sops" => return sops_cli::run(rest),
        _ => {}
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
