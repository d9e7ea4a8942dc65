//! The program `seal` as its users run it: what it gives back, what it refuses, and what it never prints.

mod agent;
mod children;
mod errors;
mod exact;
mod examples;
mod explain;
mod init;
mod kube;
mod leaks;
mod memory;
mod publish;
mod scene;
mod tampering;
mod terminal;
mod trees;
mod variants;
