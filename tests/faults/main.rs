//! Whatever happens while `seal` writes, the file is the old one or the new one, and nobody's write is lost.

mod cases;
mod concurrent;
mod crash;
mod editors;
mod history;
mod locks;
mod modes;
mod names;
mod places;
mod races;
mod reading;
#[path = "../cli/scene.rs"]
#[allow(dead_code, reason = "shared with suites that need other parts of it")]
mod scene;
mod stage;
mod trees;
