//! Doubles as decimal text, digit for digit as Go prints them: the MAC of a sops file is taken over this text.
//!
//! Both Go and Rust print the fewest digits that read back as the same double. Where two such texts lie
//! equally near to the double, they differ: 870117540639358.25 ends in 2 in Go and in 3 in Rust.

/// A finite number in scientific notation with the fewest digits: `1.5e-7`, `1e21`.
pub fn scientific(value: f64) -> String {
    let text = format!("{value:e}");
    let digits = text
        .split('e')
        .next()
        .unwrap_or_default()
        .bytes()
        .filter(u8::is_ascii_digit)
        .count();
    // With the number of digits given, the nearest text is taken, and of two equally near ones the even one. At a
    // power of two the nearest text may belong to the neighbour; then the first one stays.
    let nearest = format!("{value:.*e}", digits.saturating_sub(1));
    if nearest
        .parse::<f64>()
        .is_ok_and(|read| read.to_bits() == value.to_bits())
    {
        nearest
    } else {
        text
    }
}

/// A finite number with the fewest digits and never an exponent: `0.00000015`, `1000000000000000000000`.
pub fn plain(value: f64) -> String {
    let text = scientific(value);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let digits = digits.replace('.', "");
    let exponent: isize = exponent.parse().unwrap_or(0);
    let whole = exponent + 1;
    match usize::try_from(whole) {
        Ok(whole) if whole >= digits.len() => format!("{sign}{digits:0<whole$}"),
        Ok(whole) if whole > 0 => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
        _ => format!("{sign}0.{}{digits}", "0".repeat(whole.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_are_those_of_go() {
        for (value, short, long) in [
            (0.0, "0e0", "0"),
            (-0.0, "-0e0", "-0"),
            (1.0, "1e0", "1"),
            (870_117_540_639_358.2, "8.701175406393582e14", "870117540639358.2"),
            (0.1 + 0.2, "3.0000000000000004e-1", "0.30000000000000004"),
            (
                7.120_236_347_223_045e-307,
                "7.120236347223045e-307",
                &format!("0.{}7120236347223045", "0".repeat(306)),
            ),
            (-1.5e-7, "-1.5e-7", "-0.00000015"),
            (1e21, "1e21", "1000000000000000000000"),
            (123_456.5, "1.234565e5", "123456.5"),
            (5e-324, "5e-324", &format!("0.{}5", "0".repeat(323))),
        ] {
            assert_eq!((scientific(value).as_str(), plain(value).as_str()), (short, long));
        }
    }

    proptest! {
        #[test]
        fn the_text_reads_back(value in any::<f64>()) {
            if value.is_finite() {
                for text in [scientific(value), plain(value)] {
                    prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{}", text);
                }
                prop_assert!(!plain(value).contains('e'));
            }
        }
    }
}
