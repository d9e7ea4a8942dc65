//! Whether the time of an operation depends on its input: the method of dudect (Reparaz, Balasch, Verbauwhede 2017).
//!
//! Inputs come in two classes, one fixed and one random, in random order. If Welch's t of the two sets of times is far
//! from 0, the classes can be told apart by a clock, and what the operation does depends on what it is given.
//!
//! Times have a long tail: interrupts, other programs. A tail that has nothing to do with the class only hides a
//! difference, so t is also taken over the times below several cuts, fixed by the first measurements of both classes.
//!
//! # What this does not do
//! It proves leaks, not their absence: a leak may be smaller than so many measurements show, or need another fixed
//! class. It says something about the build it runs in, so the full counts ask for an optimised one.

use crate::random::Random;
use std::fmt;
use std::hint::black_box;
use std::time::Instant;

/// Above this the two classes differ: by chance this happens in one of 100,000 measurements.
pub const THRESHOLD: f64 = 4.5;

/// How many inputs are made before they are measured.
const BATCH: usize = 2_000;
/// The shares of all times below the cuts, in percent; the last cuts nothing.
const CUTS: [usize; 5] = [50, 75, 90, 99, 100];

/// The two kinds of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The same secret every time.
    Fixed,
    /// Another secret every time.
    Random,
}

/// The result of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How many times were taken.
    pub samples: usize,
    /// Welch's t for each cut, the last over all times.
    pub t: [f64; CUTS.len()],
}

impl Report {
    /// The largest |t|.
    pub fn worst(&self) -> f64 {
        self.t.iter().fold(0.0, |worst: f64, t| worst.max(t.abs()))
    }

    /// Whether this and another measurement, of other inputs, found the same difference: twice above the threshold,
    /// at the same cut, in the same direction.
    pub fn confirms(&self, other: &Self) -> bool {
        let pairs = self.t.iter().zip(&other.t);
        pairs
            .map(|(one, two)| (one.min(*two), one.max(*two)))
            .any(|(low, high)| low >= THRESHOLD || high <= -THRESHOLD)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples, |t| {:.2} (", self.samples, self.worst())?;
        for (cut, t) in CUTS.iter().zip(&self.t) {
            write!(
                f,
                "{}{t:+.2} below {cut} %",
                if *cut == CUTS[0] { "" } else { ", " }
            )?;
        }
        f.write_str(")")
    }
}

/// Measures `operation` on `samples` inputs that `make` makes.
pub fn measure<I, R>(
    samples: usize,
    seed: u64,
    make: impl Fn(Class, &mut Random) -> I,
    operation: impl Fn(&I) -> R,
) -> Report {
    let mut random = Random::new(seed);
    let mut batch = || -> Vec<(Class, u64)> {
        let inputs: Vec<(Class, I)> = (0..BATCH)
            .map(|_| {
                let class = if random.one_in(2) {
                    Class::Fixed
                } else {
                    Class::Random
                };
                (class, make(class, &mut random))
            })
            .collect();
        let one = |(class, input): &(Class, I)| {
            let start = Instant::now();
            black_box(operation(black_box(input)));
            (*class, start.elapsed().as_nanos() as u64)
        };
        inputs.iter().map(one).collect()
    };
    // The first batch warms up, the second fixes the cuts.
    batch();
    let cuts = cuts(&batch());
    let mut tallies = [[Tally::default(); 2]; CUTS.len()];
    let mut done = 0;
    while done < samples {
        for (class, time) in batch() {
            for (cut, tally) in cuts.iter().zip(&mut tallies) {
                if time <= *cut {
                    tally[class as usize].add(time as f64);
                }
            }
        }
        done += BATCH;
    }
    Report {
        samples: done,
        t: tallies.map(|[fixed, random]| fixed.welch(&random)),
    }
}

fn cuts(times: &[(Class, u64)]) -> [u64; CUTS.len()] {
    let mut sorted: Vec<u64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_unstable();
    CUTS.map(|percent| match percent {
        100 => u64::MAX,
        _ => sorted[sorted.len() * percent / 100],
    })
}

/// Mean and variance of a stream of numbers (Welford).
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Tally {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let distance = value - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (value - self.mean);
    }

    /// Welch's t of the two means; 0 where there is too little to say.
    fn welch(&self, other: &Self) -> f64 {
        let spread = |tally: &Self| tally.squares / (tally.count - 1.0) / tally.count;
        let t = (self.mean - other.mean) / (spread(self) + spread(other)).sqrt();
        if t.is_nan() { 0.0 } else { t }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(values: &[f64]) -> Tally {
        let mut tally = Tally::default();
        values.iter().for_each(|value| tally.add(*value));
        tally
    }

    #[test]
    fn welchs_t_is_that_of_the_textbook() {
        // Variances 2.5 and 5/3, means 3 and 6.5: -3.5 / sqrt(2.5 / 5 + 5 / 3 / 4).
        let t = tally(&[1.0, 2.0, 3.0, 4.0, 5.0]).welch(&tally(&[5.0, 6.0, 7.0, 8.0]));
        assert!((t + 3.5 / (0.5_f64 + 5.0 / 12.0).sqrt()).abs() < 1e-12, "{t}");
        assert_eq!(tally(&[]).welch(&tally(&[1.0])), 0.0);
    }

    #[test]
    fn a_difference_is_confirmed_only_in_the_same_place_and_direction() {
        let report = |t| Report { samples: 1, t };
        let one = report([0.0, 5.0, -6.0, 0.0, 0.0]);
        assert!(one.confirms(&report([0.0, 4.6, 6.0, 0.0, 0.0])));
        assert!(one.confirms(&report([9.0, 0.0, -4.5, 0.0, 0.0])));
        assert!(!one.confirms(&report([9.0, 4.4, 7.0, 9.0, 9.0])));
        assert_eq!(one.worst(), 6.0);
    }

    #[test]
    fn a_branch_on_the_input_is_seen_and_the_same_work_is_not() {
        let make = |class, random: &mut Random| match class {
            Class::Fixed => 0,
            Class::Random => random.number() | 1,
        };
        let work = |rounds: u64| (0..rounds).fold(1_u64, |sum, round| black_box(sum.wrapping_mul(round | 1)));
        let branching = |number: &u64| work(if *number == 0 { 20 } else { 200 });
        let leak = measure(20_000, 1, make, branching);
        assert!(leak.worst() > THRESHOLD, "{leak}");
        let same = |number: &u64| work(200) ^ number;
        let (one, two) = (measure(20_000, 2, make, same), measure(20_000, 3, make, same));
        assert!(!one.confirms(&two), "{one}; {two}");
    }
}
