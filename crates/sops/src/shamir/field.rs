//! GF(2^8) with the polynomial of AES, x^8 + x^4 + x^3 + x + 1. No table, no branch.

/// `a * b`
pub(super) fn mul(mut a: u8, b: u8) -> u8 {
    let mut product = 0;
    for bit in 0..8 {
        product ^= a & ((b >> bit) & 1).wrapping_neg();
        a = (a << 1) ^ (0x1b & (a >> 7).wrapping_neg());
    }
    product
}

/// `1 / a`, that is `a` to the power of 254; 0 for 0.
pub(super) fn inverse(a: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128
    let (mut square, mut product) = (a, 1);
    for _ in 0..7 {
        square = mul(square, square);
        product = mul(product, square);
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Schoolbook: multiply as polynomials, then take the remainder of the long division by 0x11b.
    fn long_division(a: u8, b: u8) -> u8 {
        let mut wide = (0..8)
            .filter(|bit| b >> bit & 1 == 1)
            .fold(0_u32, |sum, bit| sum ^ u32::from(a) << bit);
        for bit in (8..16).rev() {
            if wide >> bit & 1 == 1 {
                wide ^= 0x11b << (bit - 8);
            }
        }
        u8::try_from(wide).expect("a remainder has 8 bits")
    }

    #[test]
    fn every_product_is_that_of_long_division() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(mul(a, b), long_division(a, b), "{a} * {b}");
            }
        }
        assert_eq!(mul(0x57, 0x83), 0xc1, "the example of FIPS 197, 4.2");
    }

    #[test]
    fn every_inverse_is_one() {
        for a in 1..=255 {
            assert_eq!(mul(a, inverse(a)), 1, "1 / {a}");
        }
        assert_eq!(inverse(0), 0);
    }
}
