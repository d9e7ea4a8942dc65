//! Age identities for tests: the same seed gives the same identity on every machine.
//!
//! They protect nothing. The identity is 32 seeded bytes in Bech32; its recipient comes from Debian's `age-keygen -y`, so
//! that no code of ours stands behind both halves.

use crate::peers;
use crate::random::Random;
use crate::run::Tool;
use std::io;
use std::path::PathBuf;

/// A test identity and its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `AGE-SECRET-KEY-1...`
    pub secret: String,
    /// `age1...`
    pub recipient: String,
}

impl Identity {
    /// The identity of `seed`.
    ///
    /// # Errors
    /// If `age-keygen` is missing or refuses the identity.
    pub fn from_seed(seed: u64) -> io::Result<Self> {
        let secret = bech32("age-secret-key-", &Random::new(seed).bytes::<32>()).to_uppercase();
        let keygen = Tool::new(peers::age_keygen().map_err(io::Error::other)?)?;
        let output = keygen
            .run_with_input(["-y"], format!("{secret}\n").as_bytes())?
            .expect_success()?;
        let recipient = String::from_utf8(output)
            .map_err(io::Error::other)?
            .trim()
            .to_owned();
        Ok(Self { secret, recipient })
    }

    /// The text of an identity file.
    pub fn file(&self) -> String {
        format!("# public key: {}\n{}\n", self.recipient, self.secret)
    }

    /// Writes the identity file into the tool's home and returns its path, for `SOPS_AGE_KEY_FILE`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_for(&self, tool: &Tool) -> io::Result<PathBuf> {
        let path = tool.home().join("identity.txt");
        std::fs::write(&path, self.file())?;
        Ok(path)
    }
}

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Bech32 (BIP 173, without its length limit, as age uses it) of `data` under the prefix `hrp`, in lower case.
fn bech32(hrp: &str, data: &[u8]) -> String {
    let mut groups = Vec::with_capacity(data.len() * 8 / 5 + 7);
    let (mut bits, mut held) = (0u32, 0);
    for &byte in data {
        bits = (bits << 8 | u32::from(byte)) & 0xfff;
        held += 8;
        while held >= 5 {
            held -= 5;
            groups.push((bits >> held & 31) as u8);
        }
    }
    if held > 0 {
        groups.push((bits << (5 - held) & 31) as u8);
    }
    let checksum = checksum(hrp, &groups);
    groups.extend((0..6).map(|index| (checksum >> (5 * (5 - index)) & 31) as u8));
    let text = groups
        .iter()
        .map(|&group| char::from(CHARSET[usize::from(group)]));
    hrp.chars().chain(['1']).chain(text).collect()
}

fn checksum(hrp: &str, groups: &[u8]) -> u32 {
    let high = hrp.bytes().map(|byte| byte >> 5);
    let low = hrp.bytes().map(|byte| byte & 31);
    let values = high
        .chain([0])
        .chain(low)
        .chain(groups.iter().copied())
        .chain([0; 6]);
    1 ^ values.fold(1u32, |sum, value| {
        let top = sum >> 25;
        let sum = (sum & 0x01ff_ffff) << 5 ^ u32::from(value);
        const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
        (0..5)
            .filter(|bit| top >> bit & 1 == 1)
            .fold(sum, |sum, bit| sum ^ GENERATOR[bit])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_accepts_our_identities_and_opens_what_it_sealed_for_them() -> io::Result<()> {
        let identity = Identity::from_seed(1)?;
        assert_eq!(identity, Identity::from_seed(1)?);
        assert_ne!(identity, Identity::from_seed(2)?);
        let age = Tool::new(peers::age().map_err(io::Error::other)?)?;
        let sealed = age
            .run_with_input(["-r", &identity.recipient], b"value")?
            .expect_success()?;
        let path = identity.write_for(&age)?;
        let path = path
            .to_str()
            .ok_or_else(|| io::Error::other("home is not UTF-8"))?;
        assert_eq!(
            age.run_with_input(["-d", "-i", path], &sealed)?
                .expect_success()?,
            b"value"
        );
        Ok(())
    }
}
