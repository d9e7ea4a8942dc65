//! Timestamps in the spellings that sops' YAML library takes for one.
//!
//! `2006-1-2`, `2006-1-2 15:4:5[.frac]` without a zone, `2006-1-2T15:4:5[.frac](Z|±hh:mm)` with `T` or `t`.

use crate::timestamp::Timestamp;

/// The timestamp that `text` spells, if it is one.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text.as_bytes());
    if text.len() < 8 || text.as_bytes()[4] != b'-' {
        return None;
    }
    let year = rest.digits(4, 4)?;
    rest.sign(b"-")?;
    let month = rest.digits(1, 2)?;
    rest.sign(b"-")?;
    let day = rest.digits(1, 2)?;
    let mut time = Timestamp {
        year: year as u16,
        month: month as u8,
        day: day as u8,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        offset: 0,
    };
    if !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    if rest.0.is_empty() {
        return Some(time);
    }
    let zoned = rest.sign(b"Tt ")? != b' ';
    time.hour = rest.digits(1, 2).filter(|hour| *hour < 24)? as u8;
    rest.sign(b":")?;
    time.minute = rest.digits(1, 2).filter(|minute| *minute < 60)? as u8;
    rest.sign(b":")?;
    time.second = rest.digits(1, 2).filter(|second| *second < 60)? as u8;
    time.nanos = rest.fraction();
    if zoned {
        time.offset = rest.zone()?;
    }
    rest.0.is_empty().then_some(time)
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn digits(&mut self, least: usize, most: usize) -> Option<u32> {
        let count = self
            .0
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.0.split_at_checked(count.max(least))?;
        self.0 = rest;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn sign(&mut self, any: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        any.contains(first).then_some(*first)
    }

    /// A fraction of a second behind a point or comma; digits beyond the ninth are dropped.
    fn fraction(&mut self) -> u32 {
        let [b'.' | b',', digits @ ..] = self.0 else {
            return 0;
        };
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return 0;
        }
        self.0 = &digits[count..];
        let padded = digits[..count]
            .iter()
            .copied()
            .chain(std::iter::repeat(b'0'))
            .take(9);
        padded.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
    }

    /// `Z` or `±hh:mm`, in minutes.
    fn zone(&mut self) -> Option<i16> {
        let east = match self.sign(b"Z+-")? {
            b'Z' => return Some(0),
            sign => {
                if sign == b'+' {
                    1
                } else {
                    -1
                }
            }
        };
        let hours = self.digits(2, 2).filter(|hours| *hours <= 24)?;
        self.sign(b":")?;
        let minutes = self.digits(2, 2).filter(|minutes| *minutes < 60)?;
        Some(east * (hours * 60 + minutes) as i16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_date() {
        for text in [
            "2024-01-02",
            "2024-1-2",
            "2024-01-02T03:04:05Z",
            "2024-01-02t3:4:5.25+01:00",
            "2024-01-02 03:04:05,5",
        ] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in [
            "2024-13-01",
            "2023-02-29",
            "2024-01-02T03:04:05",
            "2024-01-02 03:04:05Z",
            "24-01-02",
            "2024-01-02T24:00:00Z",
            "2024-01-02 ",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
