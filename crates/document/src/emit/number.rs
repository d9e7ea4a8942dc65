//! Floats and times as Go prints them, which is how sops prints them.

use std::io::Write;

use crate::decimal;
use crate::timestamp::Timestamp;

/// `value` with the fewest digits that read back, in exponent form below 1e-4 and from 1e6 on, as Go's `%v`
/// has it. `letter` is `e` or `E`.
pub(super) fn general(value: f64, letter: char, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    let scientific = decimal::scientific(value);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let done = if (-4..6).contains(&exponent) {
        write!(out, "{}", decimal::plain(value))
    } else {
        write!(
            out,
            "{digits}{letter}{}{:02}",
            if exponent < 0 { '-' } else { '+' },
            exponent.abs()
        )
    };
    done.expect("writing to memory does not fail");
}

/// `value` as Go's JSON encoder prints it; it must be finite.
pub(super) fn json(value: f64, out: &mut Vec<u8>) {
    let magnitude = value.abs();
    let spelled = if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        decimal::plain(value)
    } else if magnitude < 1.0 {
        decimal::scientific(value)
    } else {
        decimal::scientific(value).replacen('e', "e+", 1)
    };
    out.extend_from_slice(spelled.as_bytes());
}

/// A number in a text store: as [`general`], and always with a point or an exponent.
pub(super) fn text(value: f64, out: &mut Vec<u8>) {
    let start = out.len();
    general(value, 'E', out);
    if value.is_finite() && !out[start..].iter().any(|byte| matches!(byte, b'.' | b'E')) {
        out.extend_from_slice(b".0");
    }
}

/// RFC 3339 in whole seconds.
pub(super) fn seconds(time: &Timestamp, out: &mut Vec<u8>) {
    write!(out, "{}", Timestamp { nanos: 0, ..*time }).expect("writing to memory does not fail");
}

/// Go's own form, `2006-01-02 15:04:05.999999999 -0700 MST`, where a zone without a name shows its offset.
pub(super) fn spoken(time: &Timestamp, out: &mut Vec<u8>) {
    let mut spell = || -> std::io::Result<()> {
        let Timestamp {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = time;
        write!(
            out,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        )?;
        if time.nanos > 0 {
            let fraction = format!("{:09}", time.nanos);
            write!(out, ".{}", fraction.trim_end_matches('0'))?;
        }
        let (sign, offset) = if time.offset < 0 {
            ('-', -time.offset)
        } else {
            ('+', time.offset)
        };
        let zone = format!("{sign}{:02}{:02}", offset / 60, offset % 60);
        write!(out, " {zone} {}", if offset == 0 { "UTC" } else { &zone })
    };
    spell().expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(spell: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        spell(&mut out);
        String::from_utf8(out).expect("digits")
    }

    /// Measured with sops 3.11.0: YAML, dotenv, JSON.
    #[test]
    fn floats_print_as_go_prints_them() {
        for (value, yaml, dotenv, in_json) in [
            (0.0, "0", "0.0", "0"),
            (-0.0, "-0", "-0.0", "-0"),
            (1.0, "1", "1.0", "1"),
            (2.5, "2.5", "2.5", "2.5"),
            (1e30, "1e+30", "1E+30", "1e+30"),
            (1e-7, "1e-07", "1E-07", "1e-7"),
            (1e-5, "1e-05", "1E-05", "0.00001"),
            (0.000123, "0.000123", "0.000123", "0.000123"),
            (1.25e20, "1.25e+20", "1.25E+20", "125000000000000000000"),
            (100_000.0, "100000", "100000.0", "100000"),
            (1e6, "1e+06", "1E+06", "1000000"),
            (
                123_456_789.125,
                "1.23456789125e+08",
                "1.23456789125E+08",
                "123456789.125",
            ),
        ] {
            assert_eq!(spelled(|out| general(value, 'e', out)), yaml);
            assert_eq!(spelled(|out| text(value, out)), dotenv);
            assert_eq!(spelled(|out| json(value, out)), in_json);
        }
        assert_eq!(spelled(|out| text(f64::INFINITY, out)), "+Inf");
        assert_eq!(spelled(|out| text(f64::NAN, out)), "NaN");
    }

    #[test]
    fn times_print_as_go_prints_them() {
        let time = Timestamp {
            year: 2024,
            month: 1,
            day: 2,
            hour: 3,
            minute: 4,
            second: 5,
            nanos: 500_000_000,
            offset: -450,
        };
        assert_eq!(spelled(|out| seconds(&time, out)), "2024-01-02T03:04:05-07:30");
        assert_eq!(
            spelled(|out| spoken(&time, out)),
            "2024-01-02 03:04:05.5 -0730 -0730"
        );
        let utc = Timestamp {
            nanos: 0,
            offset: 0,
            ..time
        };
        assert_eq!(spelled(|out| spoken(&utc, out)), "2024-01-02 03:04:05 +0000 UTC");
    }
}
