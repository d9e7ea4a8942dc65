//! The table: what was measured beside what was aimed at.

use super::measure::Runs;
use std::time::Duration;

pub(super) enum Goal {
    /// At least so many times as fast as the peer.
    Ratio(f64),
    /// In less than this time.
    Below(Duration),
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Memory {
    /// Not measured.
    Ignored,
    /// Told, without a goal.
    Told,
    /// At most this part of theirs.
    AtMost(f64),
}

pub(super) struct Row<'a> {
    work: &'a str,
    goal: Goal,
    ours: &'a Runs,
    theirs: Option<&'a Runs>,
    memory: Memory,
}

pub(super) fn print_header(peer: &str) {
    println!("\n| work | ours: median (min-max) | {peer} | ratio | at least | | peak memory |");
    println!("|---|---|---|---|---|---|---|");
}

impl<'a> Row<'a> {
    pub(super) fn new(work: &'a str, goal: Goal, ours: &'a Runs, theirs: Option<&'a Runs>) -> Self {
        Self {
            work,
            goal,
            ours,
            theirs,
            memory: Memory::Ignored,
        }
    }

    pub(super) fn memory(self, memory: Memory) -> Self {
        Self { memory, ..self }
    }

    pub(super) fn print(&self) {
        println!("{}", self.text());
    }

    fn text(&self) -> String {
        let ours = self.ours.median().as_secs_f64().max(1e-9);
        let ratio = self.theirs.map(|theirs| theirs.median().as_secs_f64() / ours);
        let (goal, met) = match self.goal {
            Goal::Ratio(least) => (format!("{least}x"), ratio.map(|ratio| ratio >= least)),
            Goal::Below(limit) => (format!("under {limit:?}"), Some(self.ours.median() < limit)),
        };
        format!(
            "| {} | {} | {} | {} | {goal} | {} | {} |",
            self.work,
            self.ours.text(),
            self.theirs.map_or_else(|| "-".to_owned(), Runs::text),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1}x")),
            met.map_or("", verdict),
            self.memory_text()
        )
    }

    fn memory_text(&self) -> String {
        if self.memory == Memory::Ignored {
            return String::new();
        }
        let theirs = self.theirs.and_then(Runs::memory);
        let (ours, theirs) = match (self.ours.memory(), theirs) {
            (None, _) => return "not measured".to_owned(),
            (Some(ours), None) => return format!("{} MiB", ours / 1024),
            (Some(ours), Some(theirs)) => (ours, theirs.max(1)),
        };
        let part = ours as f64 / theirs as f64;
        let told = format!("{} of {} MiB: {part:.2}", ours / 1024, theirs / 1024);
        match self.memory {
            Memory::AtMost(most) => format!("{told} (at most {most:.2}: {})", verdict(part <= most)),
            Memory::Told | Memory::Ignored => told,
        }
    }
}

/// In a word.
pub(super) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Run;

    fn runs(milliseconds: u64, mebibytes: u64) -> Runs {
        Runs::from(vec![Run {
            time: Duration::from_millis(milliseconds),
            memory: Some(mebibytes * 1024),
        }])
    }

    #[test]
    fn a_row_tells_whether_each_goal_was_met() {
        let (ours, theirs) = (runs(10, 50), runs(100, 100));
        let text = |goal, theirs, memory| Row::new("work", goal, &ours, theirs).memory(memory).text();
        assert_eq!(
            text(Goal::Ratio(10.0), Some(&theirs), Memory::AtMost(0.25)),
            "| work | 10.0ms (once) | 100.0ms (once) | 10.0x | 10x | met | 50 of 100 MiB: 0.50 (at most 0.25: MISSED) |"
        );
        assert_eq!(
            text(Goal::Ratio(10.5), Some(&theirs), Memory::Told),
            "| work | 10.0ms (once) | 100.0ms (once) | 10.0x | 10.5x | MISSED | 50 of 100 MiB: 0.50 |"
        );
        assert_eq!(
            text(Goal::Below(Duration::from_secs(2)), None, Memory::Ignored),
            "| work | 10.0ms (once) | - | - | under 2s | met |  |"
        );
        assert_eq!(
            text(Goal::Ratio(2.0), None, Memory::Told),
            "| work | 10.0ms (once) | - | - | 2x |  | 50 MiB |"
        );
    }
}
