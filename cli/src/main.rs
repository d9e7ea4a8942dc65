//! `seal`: seals secrets in files before they are committed.

mod args;
mod child;
mod commands;
mod editor;
mod error;
mod escape;
mod files;
mod git;
mod hardening;
mod interrupt;
mod policy;
mod private;
mod rekey;
mod ui;
mod walk;
mod workbench;

use std::process::ExitCode;

/// Memory that is freed is wiped first: parsers and libraries keep copies of what they read.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    let (global, command) = commands::parse();
    let ui = ui::Ui::new(global.manner());
    hardening::no_core_dumps();
    match commands::run(global, command) {
        Ok(code) => code,
        Err(error) => {
            ui.error(&error);
            error.code().into()
        }
    }
}
