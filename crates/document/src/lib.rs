//! Documents that keep their bytes.
//!
//! [`Document::parse`] reads YAML, JSON, dotenv, INI or a binary blob and keeps the source; the tree only
//! points into it. Edits are recorded as [`Edits`] and applied by [`Document::render`]: every byte outside
//! an edit is kept, so a document that is parsed and rendered is the same file.
//!
//! # What this does not do
//! It knows nothing of encryption, reads no file, clock, environment or network, and never reformats.

#![forbid(unsafe_code)]

mod conflict;
mod document;
mod edit;
mod edited;
mod error;
mod flat;
mod path;
#[cfg(test)]
mod roundtrip;
mod scalar;
mod timestamp;
mod tree;
mod value;
mod walk;

pub mod binary;
pub mod decimal;
pub mod dotenv;
pub mod emit;
pub mod ini;
pub mod json;
pub mod yaml;

pub use document::{Document, Form, Frame, Limits};
pub use edit::Edits;
pub use error::{Error, Position};
pub use path::{Path, Step};
pub use scalar::{Format, Scalar};
pub use timestamp::Timestamp;
pub use tree::{Child, Comment, Node, NodeId, Span, Style, Text, Tree, TreeBuilder};
pub use value::Value;
pub use walk::{Event, Walk};
