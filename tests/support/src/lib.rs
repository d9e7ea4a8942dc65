//! Real peers and harnesses for the tests.
//!
//! Tests talk to the programs that users run: released and newest SOPS, age, strace, Node libraries, Helm, Redis. [`peers`]
//! finds or installs each of them once per machine, pinned by version and hash. Around them stand the harnesses that more
//! than one test crate needs: programs with a clean environment ([`run`]), injected system call faults ([`strace`]), inputs
//! ([`corpus`], [`generate`], [`suites`]), keys ([`keys`]), the search for leaked secrets ([`canary`]), also through time
//! ([`timing`]), and the switch between small and full counts ([`tier`]).
//!
//! All inputs are functions of a seed: a failure names its seed, and the seed repeats it.
//!
//! # What this does not do
//! Nothing here skips. A peer that is missing is an error, [`peers::Missing`], whose text is the line that installs it;
//! a test passes it on and fails.

pub mod azure_stub;
pub mod canary;
pub mod cloud;
pub mod corpus;
pub mod gcp_stub;
pub mod generate;
pub mod keys;
pub mod moto;
pub mod openbao;
pub mod peers;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod run;
pub mod sealed_items;
pub mod strace;
pub mod suites;
pub mod tier;
pub mod timing;
pub mod tls_faults;
