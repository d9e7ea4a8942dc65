//! Whether a text without quotes would still be a text to sops' YAML library: YAML 1.2 with leftovers of 1.1.

/// Whether `text`, spelled plain, is written without quotes by sops' library: it resolves to a string there
/// and did so in YAML 1.1.
pub(super) fn is_text(text: &str) -> bool {
    match text.as_bytes() {
        [] => false,
        [b'0'..=b'9' | b'+' | b'-' | b'.', ..] => {
            !(is_special_float(text) || is_number(text) || is_time(text.as_bytes()) || is_base_60(text))
        }
        _ => !is_word(text),
    }
}

fn is_word(text: &str) -> bool {
    match text {
        "~" | "<<" => true,
        "null" | "Null" | "NULL" | "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => true,
        // Booleans of YAML 1.1: texts today, quoted for the sake of old readers.
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true,
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => true,
        _ => false,
    }
}

fn is_special_float(text: &str) -> bool {
    let signless = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(signless, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// Whether it is a whole number of at most 64 bits in any base, or a float that does not overflow. `_` may
/// stand anywhere; behind a leading point only between digits.
fn is_number(text: &str) -> bool {
    let plain = text.replace('_', "");
    if text.starts_with('.') {
        let digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        return is_float(&plain)
            && text
                .match_indices('_')
                .all(|(at, _)| digit(at - 1) && digit(at + 1));
    }
    is_integer(&plain) || is_float(&plain)
}

fn is_integer(text: &str) -> bool {
    let (signed, rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (radix, digits) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &rest[2..]),
        [b'0', b'b' | b'B', ..] => (2, &rest[2..]),
        [b'0', b'o' | b'O', ..] => (8, &rest[2..]),
        [b'0', _, ..] => (8, &rest[1..]),
        _ => (10, rest),
    };
    if digits.starts_with(['+', '-']) {
        return false;
    }
    // A sign makes it a number of 63 bits and one value more below zero.
    let limit = match (signed, text.starts_with('-')) {
        (false, _) => u64::MAX,
        (true, false) => i64::MAX as u64,
        (true, true) => 1 << 63,
    };
    u64::from_str_radix(digits, radix).is_ok_and(|value| value <= limit)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?` within the range of a double.
fn is_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)),
        ),
        None => (rest, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`: hours or minutes in YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (places, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let Some((first, rest)) = places.split_once(':') else {
        return false;
    };
    first.starts_with(|sign: char| sign.is_ascii_digit())
        && first
            .bytes()
            .chain(fraction.bytes())
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
        && rest
            .split(':')
            .all(|place| matches!(place.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
}

/// `2006-1-2`, `2006-1-2 15:4:5[.f]`, or `2006-1-2T15:4:5[.f]` with `Z` or `±hh:mm`; `t` will do for `T`.
fn is_time(text: &[u8]) -> bool {
    fn number(text: &mut &[u8], most: usize, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let count = text
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = text.split_at(count);
        *text = rest;
        let value = digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        (count > 0 && range.contains(&value)).then_some(value)
    }
    fn sign(text: &mut &[u8], any: &[u8]) -> Option<u8> {
        let (first, rest) = text.split_first()?;
        *text = rest;
        any.contains(first).then_some(*first)
    }
    let time = |mut rest: &[u8]| {
        let year = number(&mut rest, 4, 0..=9999)?;
        sign(&mut rest, b"-")?;
        let month = number(&mut rest, 2, 1..=12)?;
        sign(&mut rest, b"-")?;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        number(&mut rest, 2, 1..=days)?;
        if rest.is_empty() {
            return Some(());
        }
        let zoned = sign(&mut rest, b"Tt ")? != b' ';
        number(&mut rest, 2, 0..=23)?;
        sign(&mut rest, b":")?;
        number(&mut rest, 2, 0..=59)?;
        sign(&mut rest, b":")?;
        number(&mut rest, 2, 0..=59)?;
        if let [b'.' | b',', digit, ..] = rest
            && digit.is_ascii_digit()
        {
            rest = &rest[1..];
            rest = &rest[rest.iter().take_while(|byte| byte.is_ascii_digit()).count()..];
        }
        if zoned && sign(&mut rest, b"Z+-")? != b'Z' {
            let [b'0'..=b'2', b'0'..=b'9', b':', b'0'..=b'6', b'0'..=b'9'] = *rest else {
                return None;
            };
            let (hours, minutes) = (
                (rest[0] - b'0') * 10 + rest[1] - b'0',
                (rest[3] - b'0') * 10 + rest[4] - b'0',
            );
            rest = &rest[5..];
            (hours <= 24 && minutes <= 60).then_some(())?;
        }
        rest.is_empty().then_some(())
    };
    // Exactly four digits before the first sign.
    text.len() >= 8 && text[4] == b'-' && text[..4].iter().all(u8::is_ascii_digit) && time(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::is_text;

    /// Measured with sops 3.11.0.
    #[test]
    fn what_reads_as_something_else_is_no_plain_text() {
        for text in [
            "",
            "~",
            "null",
            "True",
            "yes",
            "N",
            "<<",
            "0",
            "-1",
            "+1",
            "017",
            "0o17",
            "0x1F",
            "0b11",
            "1_000",
            "1.",
            ".5",
            "1e3",
            "08",
            "1e-400",
            ".inf",
            "-.INF",
            ".nan",
            "12:30:45",
            "1:20",
            "190:20:30.15",
            "2024-01-02",
            ".5_0",
            "2024-1-2",
            "2024-01-02T03:04:05Z",
            "2024-01-02t3:4:5+01:00",
            "2024-01-02 03:04:05.5",
            "18446744073709551615",
            "12345678901234567890123",
        ] {
            assert!(!is_text(text), "{text}");
        }
        for text in [
            "nan",
            "yEs",
            "=",
            "-",
            "+",
            ".",
            "..",
            "0x",
            "1e400",
            "1e",
            "0b12e",
            "1.2.3",
            "1-2",
            "2024-13-45",
            "2024-02-30",
            "2024-01-02T03:04:05",
            "2024-01-02 03:04:05Z",
            "12:60",
            "1:2x",
            "-.nan",
            "._5",
            ".5_",
            ".5__0",
            "e3",
            "--1",
            "0x-1",
        ] {
            assert!(is_text(text), "{text}");
        }
    }
}
