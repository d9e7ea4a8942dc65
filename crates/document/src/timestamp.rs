//! Timestamps as YAML spells them and as sops seals them: RFC 3339 in Go's reading and printing of it.

use std::fmt;

/// A point in time with its own offset, kept field by field so that it prints as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Nanoseconds, below 1,000,000,000.
    pub nanos: u32,
    /// Minutes east of Greenwich.
    pub offset: i16,
}

impl Timestamp {
    /// Reads `YYYY-MM-DDTHH:MM:SS[.fraction](Z|+HH:MM|-HH:MM)` strictly: capital letters, two digits
    /// everywhere, a day that exists, no leap second. Digits of the fraction beyond nanoseconds are dropped.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        Reader {
            rest: text.as_bytes(),
            lenient: false,
        }
        .timestamp()
    }

    /// As [`Self::parse_rfc3339`], with the three liberties that Go's `time.Parse` takes and that a
    /// `lastmodified` therefore may take: one digit for the hour, a comma before the fraction, offsets up to
    /// 24 hours and 60 minutes.
    pub fn parse_rfc3339_leniently(text: &str) -> Option<Self> {
        Reader {
            rest: text.as_bytes(),
            lenient: true,
        }
        .timestamp()
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339: trailing zeros of the fraction are cut, an offset of zero is `Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            nanos,
            offset,
        } = *self;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if nanos > 0 {
            let (mut fraction, mut width) = (nanos, 9);
            while fraction % 10 == 0 {
                (fraction, width) = (fraction / 10, width - 1);
            }
            write!(f, ".{fraction:0width$}")?;
        }
        if offset == 0 {
            return f.write_str("Z");
        }
        let (sign, east) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
        write!(f, "{sign}{:02}:{:02}", east / 60, east % 60)
    }
}

/// How many days `month` has.
fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is left to read of a text.
struct Reader<'a> {
    rest: &'a [u8],
    lenient: bool,
}

impl Reader<'_> {
    fn timestamp(mut self) -> Option<Timestamp> {
        let year = u16::from(self.two()?) * 100 + u16::from(self.two()?);
        self.sign(b'-')?;
        let month = self.two().filter(|month| (1..=12).contains(month))?;
        self.sign(b'-')?;
        let day = self
            .two()
            .filter(|day| (1..=days_in(year, month)).contains(day))?;
        self.sign(b'T')?;
        let hour = self.hour().filter(|hour| *hour < 24)?;
        self.sign(b':')?;
        let minute = self.two().filter(|minute| *minute < 60)?;
        self.sign(b':')?;
        let second = self.two().filter(|second| *second < 60)?;
        let nanos = self.fraction();
        let offset = self.offset()?;
        let read = Timestamp {
            year,
            month,
            day,
            hour,
            minute,
            second,
            nanos,
            offset,
        };
        self.rest.is_empty().then_some(read)
    }

    fn sign(&mut self, sign: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[sign])?;
        Some(())
    }

    fn digit(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        first.is_ascii_digit().then(|| {
            self.rest = rest;
            first - b'0'
        })
    }

    fn two(&mut self) -> Option<u8> {
        Some(self.digit()? * 10 + self.digit()?)
    }

    fn hour(&mut self) -> Option<u8> {
        if self.lenient && self.rest.get(1) == Some(&b':') {
            self.digit()
        } else {
            self.two()
        }
    }

    /// Nanoseconds; 0 and nothing read where no fraction follows.
    fn fraction(&mut self) -> u32 {
        let marked = match self.rest.first() {
            Some(b'.') => true,
            Some(b',') => self.lenient,
            _ => false,
        };
        if !marked || !self.rest.get(1).is_some_and(u8::is_ascii_digit) {
            return 0;
        }
        self.rest = &self.rest[1..];
        let (mut nanos, mut unit) = (0, 100_000_000);
        while let Some(digit) = self.digit() {
            nanos += u32::from(digit) * unit;
            unit /= 10;
        }
        nanos
    }

    fn offset(&mut self) -> Option<i16> {
        if self.sign(b'Z').is_some() {
            return Some(0);
        }
        let east = self.sign(b'+').is_some();
        if !east {
            self.sign(b'-')?;
        }
        let (most_hours, most_minutes) = if self.lenient { (24, 60) } else { (23, 59) };
        let hours = self.two().filter(|hours| *hours <= most_hours)?;
        self.sign(b':')?;
        let minutes = self.two().filter(|minutes| *minutes <= most_minutes)?;
        let offset = i16::from(hours) * 60 + i16::from(minutes);
        Some(if east { offset } else { -offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the text prints as after strict and after lenient reading.
    fn printed(text: &str) -> [Option<String>; 2] {
        [
            Timestamp::parse_rfc3339(text),
            Timestamp::parse_rfc3339_leniently(text),
        ]
        .map(|read| read.map(|read| read.to_string()))
    }

    #[test]
    fn what_both_read_prints_as_go_prints_it() {
        for (text, wanted) in [
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05.120Z", "2024-01-02T03:04:05.12Z"),
            (
                "2024-01-02T03:04:05.000000001+00:00",
                "2024-01-02T03:04:05.000000001Z",
            ),
            (
                "2024-01-02T03:04:05.0000000019-00:00",
                "2024-01-02T03:04:05.000000001Z",
            ),
            ("0000-02-29T23:59:59-00:30", "0000-02-29T23:59:59-00:30"),
            ("9999-12-31T00:00:00.05+23:59", "9999-12-31T00:00:00.05+23:59"),
        ] {
            assert_eq!(
                printed(text),
                [Some(wanted.to_owned()), Some(wanted.to_owned())],
                "{text}"
            );
        }
    }

    #[test]
    fn liberties_are_taken_only_when_asked_for() {
        for (text, wanted) in [
            ("2024-01-02T3:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05,5Z", "2024-01-02T03:04:05.5Z"),
            ("2024-01-02T03:04:05+24:60", "2024-01-02T03:04:05+25:00"),
            ("2024-01-02T03:04:05-24:60", "2024-01-02T03:04:05-25:00"),
        ] {
            assert_eq!(printed(text), [None, Some(wanted.to_owned())], "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "x",
            "2024-01-02",
            "2024-01-02T03:04:05",
            "2024-01-02T03:04Z",
            "99999-01-01T00:00:00Z",
            "2024-00-02T03:04:05Z",
            "2024-13-02T03:04:05Z",
            "2024-01-00T03:04:05Z",
            "2023-02-29T03:04:05Z",
            "1900-02-29T03:04:05Z",
            "2024-04-31T03:04:05Z",
            "2024-01-02T24:00:00Z",
            "2024-01-02T03:60:00Z",
            "2024-01-02T03:04:60Z",
            "2024-01-02t03:04:05z",
            "2024-01-02 03:04:05Z",
            " 2024-01-02T03:04:05Z",
            "2024-01-02T03:04:05Z ",
            "2024-01-02T03:04:05.Z",
            "2024-01-02T03:04:05+0200",
            "2024-01-02T03:04:05+2",
            "2024-01-02T03:04:05+25:00",
            "2024-01-02T03:04:05+00:61",
            "-024-01-02T03:04:05Z",
            "2024-1-02T03:04:05Z",
            "2024-01-02T03:04:05Z\n",
            "２024-01-02T03:04:05Z",
        ] {
            assert_eq!(printed(text), [None, None], "{text}");
        }
        let endless = format!("2024-01-02T03:04:05.{}Z", "9".repeat(100_000));
        assert_eq!(
            printed(&endless)[0].as_deref(),
            Some("2024-01-02T03:04:05.999999999Z")
        );
    }
}
