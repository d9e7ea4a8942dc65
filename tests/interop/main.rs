//! Files travel between `seal` and the real sops, both ways, and mean the same on both sides; and real programs that call
//! sops run with `seal` in its place.
//!
//! Small form: about 170 files with sops 3.11.0. Campaign: more than 300 files of all formats and 12,000 placed comments,
//! with sops 3.13.3 too, and 300 patterns.

mod audit;
mod case_lines;
mod clusters;
mod command_line;
mod comments;
mod compare;
mod documents;
mod keys;
mod kubeseal;
mod patterns;
mod programs;
mod publish;
#[path = "../cli/scene.rs"]
#[allow(dead_code, reason = "shared with suites that need other parts of it")]
mod scene;
mod sealed_secrets;
mod sops_age;
mod verbose;
