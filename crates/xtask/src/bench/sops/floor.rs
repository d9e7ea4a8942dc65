//! The floor: what parsing, sealing, opening and hashing the same bytes take by themselves, in one process.

use crate::Failure;
use crate::release;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use support::run::Tool;

/// How far above the floor a whole process may be.
const AT_MOST: f64 = 2.0;

/// The time of each part.
pub(super) struct Floor(HashMap<String, Duration>);

impl Floor {
    /// What sealing cannot do without: the sealed form is read and opened again before it is written.
    pub(super) const ENCRYPT: [&str; 5] = ["parse-plain", "seal", "parse-sealed", "open", "hash"];
    /// What opening cannot do without.
    pub(super) const DECRYPT: [&str; 3] = ["parse-sealed", "open", "hash"];

    /// Measures the parts on a plain file and its sealed form.
    pub(super) fn measure(plain: &Path, sealed: &Path) -> Result<Self, Failure> {
        let program = release::build("--package sops --example floor", "examples/floor")?;
        let output = Tool::new(program)?.run([plain, sealed])?.expect_success()?;
        let output = String::from_utf8(output)?;
        let parts = output.lines().filter_map(|line| {
            let (part, time) = line.split_once(' ')?;
            Some((part.to_owned(), Duration::from_micros(time.parse().ok()?)))
        });
        Ok(Self(parts.collect()))
    }

    /// How far the best whole run, `ours`, is from the sum of `parts`.
    pub(super) fn row(&self, what: &str, parts: &[&str], ours: Duration) -> String {
        let time = |part: &&str| self.0.get(*part).copied().unwrap_or_default();
        let floor: Duration = parts.iter().map(time).sum();
        let times = parts.iter().map(|part| format!("{part} {:.1?}", time(part)));
        let distance = ours.as_secs_f64() / floor.as_secs_f64().max(1e-9);
        format!(
            "| floor of {what}: {} | best {ours:.1?} | floor {floor:.1?} | {distance:.2}x | at most {AT_MOST}x | {} | |",
            times.collect::<Vec<_>>().join(", "),
            if distance <= AT_MOST { "met" } else { "MISSED" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_the_distance_from_the_sum_of_its_parts() {
        let part = |name: &str, time| (name.to_owned(), Duration::from_millis(time));
        let floor = Floor(HashMap::from([
            part("parse-sealed", 20),
            part("open", 20),
            part("hash", 10),
        ]));
        let row = floor.row("decrypting", &Floor::DECRYPT, Duration::from_millis(110));
        assert!(
            row.contains("| floor 50.0ms | 2.20x | at most 2x | MISSED |"),
            "{row}"
        );
    }
}
