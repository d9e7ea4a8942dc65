//! What the process does to keep its memory to itself.

use std::io::Write as _;
use std::panic::PanicHookInfo;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core file and no other process of this user may read the memory. Where the system refuses, the program
/// works all the same.
pub(crate) fn no_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// A panic is a mistake in this program. It tells where in the program, and never what it worked on: its message may quote
/// a value.
pub(crate) fn silent_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(std::io::stderr(), "{}", report(panic));
    }));
}

fn report(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(String::new, |place| {
        format!(" at {}:{}:{}", place.file(), place.line(), place.column())
    });
    format!(
        "error: seal panicked{place}\nhint: this is a mistake in seal, please report it; \
         its message is left out, for it may hold a value"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// LK-13
    #[test]
    fn a_panic_tells_its_place_and_not_its_message() {
        let told = Arc::new(Mutex::new(String::new()));
        let (hook, before) = (told.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            hook.lock().expect("alone").push_str(&report(panic));
        }));
        let value = "hunter\u{e9}2".to_owned();
        let worker = std::thread::spawn(move || value[..7].len());
        let main = std::panic::catch_unwind(|| panic!("{}", "hunter2"));
        assert!(worker.join().is_err() && main.is_err());
        std::panic::set_hook(before);
        let told = told.lock().expect("alone");
        assert_eq!(told.matches("hardening.rs:").count(), 2, "{told}");
        assert!(!told.contains("hunter"), "{told}");
    }
}
