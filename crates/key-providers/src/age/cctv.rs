//! CR-01: the 143 age vectors of CCTV, each opened with the identities that it names, as our readers have them.

use super::AgeIdentities;
use super::entry::{count_stanzas, unarmored};
use ::age::secrecy::SecretString;
use ::age::{DecryptError, Decryptor, Identity, scrypt};
use secret::SecretBytes;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Read as _;

/// One vector.
struct Vector {
    expect: String,
    payload: Option<String>,
    identities: String,
    passphrases: Vec<String>,
    armored: bool,
    file: Vec<u8>,
}

fn read(bytes: &[u8]) -> Vector {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let mut vector = Vector {
        expect: String::new(),
        payload: None,
        identities: String::new(),
        passphrases: Vec::new(),
        armored: false,
        file: bytes[end + 2..].to_vec(),
    };
    for line in std::str::from_utf8(&bytes[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        match name {
            "expect" => vector.expect = value.to_owned(),
            "payload" => vector.payload = Some(value.to_owned()),
            "identity" => vector.identities += &format!("{value}\n"),
            "passphrase" => vector.passphrases.push(value.to_owned()),
            "armored" => vector.armored = value == "yes",
            "compressed" => {
                let mut plain = Vec::new();
                flate2::read::ZlibDecoder::new(&vector.file[..])
                    .read_to_end(&mut plain)
                    .unwrap();
                vector.file = plain;
            }
            "file key" | "comment" => {}
            other => panic!("unknown field {other}"),
        }
    }
    vector
}

/// What happens, in the words of the vectors, and the hash of what came out of it.
fn outcome(vector: &Vector) -> (&'static str, Option<String>) {
    let mut file = vector.file.clone();
    if vector.armored {
        let text = String::from_utf8_lossy(&vector.file);
        match unarmored(&text) {
            Ok(inside) => file = inside,
            Err(_) => return ("armor failure", None),
        }
    }
    let decryptor = Decryptor::new_buffered(&file[..]);
    let (Some(_), Ok(decryptor)) = (count_stanzas(&file), decryptor) else {
        return ("header failure", None);
    };
    let held = AgeIdentities::parse(&SecretBytes::copy_from(vector.identities.as_bytes()), "vector");
    assert_eq!(held.inventory().faults, []);
    let passphrases: Vec<_> = vector.passphrases.iter().map(|text| passphrase(text)).collect();
    let native = held.native().iter().map(|identity| &**identity as &dyn Identity);
    let all = native.chain(passphrases.iter().map(|identity| identity as &dyn Identity));
    let mut payload = match decryptor.decrypt(all) {
        Ok(payload) => payload,
        // A wrong passphrase is what an identity that does not match is.
        Err(DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed) => return ("no match", None),
        Err(DecryptError::InvalidMac) => return ("HMAC failure", None),
        Err(_) => return ("header failure", None),
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 4096];
    let result = loop {
        match payload.read(&mut buffer) {
            Ok(0) => break "success",
            Ok(count) => hash.update(&buffer[..count]),
            Err(_) => break "payload failure",
        }
    };
    let hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    (result, Some(hash))
}

fn passphrase(text: &str) -> scrypt::Identity {
    let mut identity = scrypt::Identity::new(SecretString::from(text));
    identity.set_max_work_factor(20);
    identity
}

fn vectors() -> BTreeMap<String, Vector> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/age/cctv");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, read(&std::fs::read(path).unwrap()))
        })
        .collect()
}

#[test]
fn every_vector_comes_to_the_end_that_it_names() {
    let vectors = vectors();
    let mut wrong = Vec::new();
    for (name, vector) in &vectors {
        let (found, hash) = outcome(vector);
        let payload = vector.payload.as_ref().filter(|_| hash.is_some());
        if found != vector.expect || payload.is_some() && payload != hash.as_ref() {
            wrong.push(format!("{name}: {found}, not {}", vector.expect));
        }
    }
    assert_eq!((vectors.len(), wrong), (143, Vec::new()));
}
