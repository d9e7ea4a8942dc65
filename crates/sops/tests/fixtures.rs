//! Files that real sops wrote, opened value by value: the AAD, the types, the MAC, the metadata block and the
//! shares are read exactly as its two generations write them.

use document::Value;
use serde_json::Value as Json;
use sops::value::{Cipher, Sealed, plaintext, scalar};
use sops::{DataKey, GroupForm, Mac, Metadata, flatten, open_mac, shamir, unflatten};

#[allow(clippy::disallowed_methods, reason = "a test reads its fixtures")]
fn read(name: &str) -> String {
    let path = format!("{}/../../testdata/sops/values/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the fixture is there")
}

/// The unwrapped `enc` fields of a fixture.
fn unwrapped(name: &str) -> Vec<Vec<u8>> {
    let unhex = |line: &str| {
        let byte = |at| u8::from_str_radix(&line[at..at + 2], 16).expect("hexadecimal");
        (0..line.len()).step_by(2).map(byte).collect()
    };
    read(&format!("{name}.keys")).lines().map(unhex).collect()
}

fn data_key(name: &str) -> DataKey {
    DataKey::from_slice(&unwrapped(name)[0]).expect("32 bytes")
}

fn json(name: &str) -> Json {
    serde_json::from_str(&read(name)).expect("JSON")
}

/// A JSON block as the document layer hands it over.
fn block(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Int(number.as_i64().expect("whole numbers only")),
        Json::String(text) => Value::Str(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(block).collect()),
        Json::Object(entries) => Value::Map(
            entries
                .iter()
                .map(|(name, value)| (name.clone(), block(value)))
                .collect(),
        ),
    }
}

/// Opens everything under `node`, compares it with sops' own plaintext, and feeds the MAC.
struct Walk {
    cipher: Cipher,
    mac: Mac,
    only_encrypted: bool,
    opened: usize,
}

impl Walk {
    fn node(&mut self, sealed: &Json, plain: &Json, aad: &str) {
        match (sealed, plain) {
            (Json::Object(sealed), Json::Object(plain)) => {
                for (key, value) in sealed.iter().filter(|(key, _)| *key != "sops") {
                    self.node(value, &plain[key], &format!("{aad}{key}:"));
                }
            }
            (Json::Array(sealed), Json::Array(plain)) => {
                assert_eq!(sealed.len(), plain.len());
                sealed
                    .iter()
                    .zip(plain)
                    .for_each(|(sealed, plain)| self.node(sealed, plain, aad));
            }
            (Json::String(text), plain) if text.starts_with("ENC[") => self.sealed(text, plain, aad),
            (clear, plain) => {
                // 3.11 takes every JSON number for a float and prints it as one.
                assert!(
                    clear == plain || (clear.is_number() && clear.as_f64() == plain.as_f64()),
                    "{aad}"
                );
                if !self.only_encrypted {
                    self.clear(clear);
                }
            }
        }
    }

    fn sealed(&mut self, text: &str, plain: &Json, aad: &str) {
        let sealed = Sealed::parse(text.as_bytes())
            .expect("well-formed")
            .expect("sealed");
        let mut out = Vec::new();
        self.cipher
            .open_into(&sealed, aad.as_bytes(), &mut out)
            .unwrap_or_else(|error| panic!("{aad} {error}"));
        let value = scalar(sealed.ty, &out).expect("reads as its type");
        let (ty, again) = plaintext(&value).expect("no null is sealed");
        assert_eq!((ty, again.as_ref()), (sealed.ty, out.as_slice()), "{aad}");
        let shown = match &value {
            document::Scalar::Bool(value) => Json::from(*value),
            document::Scalar::Int(value) => Json::from(*value),
            // Whole floats print without a point, so that they may read as integers.
            document::Scalar::Float(value) => {
                assert_eq!(plain.as_f64(), Some(*value), "{aad}");
                plain.clone()
            }
            document::Scalar::Time(time) => Json::from(time.to_string()),
            document::Scalar::Str(text) => Json::from(String::from_utf8_lossy(text)),
            document::Scalar::Null => Json::Null,
        };
        assert_eq!(&shown, plain, "{aad}");
        let iv = self.cipher.iv(&sealed).expect("sops writes 32 bytes");
        let mut resealed = Vec::new();
        self.cipher
            .seal_into(sealed.ty, &out, aad.as_bytes(), &iv, &mut resealed);
        assert_eq!(
            String::from_utf8(resealed).as_deref(),
            Ok(text),
            "the same bytes again"
        );
        self.mac.leaf(&out);
        self.opened += 1;
    }

    fn clear(&mut self, clear: &Json) {
        match clear {
            Json::Null | Json::Object(_) | Json::Array(_) => {}
            Json::String(text) => self.mac.leaf(text.as_bytes()),
            Json::Bool(value) => self.mac.leaf(if *value { b"True" } else { b"False" }),
            Json::Number(number) => {
                let number = number.as_f64().expect("a number");
                self.mac.leaf(number.to_string().as_bytes());
            }
        }
    }
}

/// Opens a JSON fixture under `key`; says how many values were sealed.
fn open_json(name: &str, plain: &Json, key: &DataKey) -> usize {
    let sealed = json(name);
    let metadata = Metadata::from_value(&block(&sealed["sops"])).expect("sops' own block");
    let mut walk = Walk {
        cipher: Cipher::new(key),
        mac: Mac::new(metadata.mac_only_encrypted),
        only_encrypted: metadata.mac_only_encrypted,
        opened: 0,
    };
    walk.node(&sealed, plain, "");
    let mac = metadata.mac.expect("a mac");
    let mac = open_mac(&walk.cipher, &mac, &metadata.lastmodified).expect("the mac opens");
    assert!(walk.mac.verify(mac.expose()), "{name}: the MAC differs");
    walk.opened
}

#[test]
fn every_type_opens_and_the_mac_agrees() {
    for version in ["3.11", "3.13"] {
        let name = format!("types-{version}.json");
        let opened = open_json(
            &name,
            &json(&format!("types-{version}.plain.json")),
            &data_key(&name),
        );
        assert_eq!(opened, 20, "{version}");
    }
}

#[test]
fn only_sealed_values_are_hashed_where_the_file_says_so() {
    for version in ["3.11", "3.13"] {
        let name = format!("only-encrypted-{version}.json");
        let opened = open_json(
            &name,
            &json(&format!("only-encrypted-{version}.plain.json")),
            &data_key(&name),
        );
        assert_eq!(opened, 8, "{version}");
    }
}

#[test]
fn a_binary_file_opens() {
    for version in ["3.11", "3.13"] {
        let name = format!("binary-{version}.json");
        let sealed = json(&name);
        let text = sealed["data"].as_str().expect("a string");
        let sealed = Sealed::parse(text.as_bytes())
            .expect("well-formed")
            .expect("sealed");
        let mut out = Vec::new();
        Cipher::new(&data_key(&name))
            .open_into(&sealed, b"data:", &mut out)
            .expect("opens");
        assert_eq!(out, b"bin\0\xffary");
    }
}

/// The shares of a fixture, each with its group.
fn shares(name: &str) -> Vec<(usize, secret::SecretBytes)> {
    unwrapped(name)
        .into_iter()
        .map(secret::SecretBytes::new)
        .enumerate()
        .collect()
}

/// CR-06 and T10 on shares that sops made.
#[test]
fn the_shares_of_three_groups_give_the_key_even_if_one_is_bad() {
    for version in ["3.11", "3.13"] {
        let name = format!("groups-{version}.json");
        let file = json(&name);
        let metadata = Metadata::from_value(&block(&file["sops"])).expect("sops' own block");
        assert_eq!(
            (metadata.form, metadata.groups.len(), metadata.threshold()),
            (GroupForm::Groups, 3, Ok(2))
        );
        let mac = metadata.mac.clone().expect("a mac");
        let mut check = |key: &DataKey| open_mac(&Cipher::new(key), &mac, &metadata.lastmodified).is_ok();
        let whole = shamir::quorum(&shares(&name), 2, &mut check).expect("all shares are good");
        assert_eq!(whole.bad, [0_usize; 0]);
        assert_eq!(
            open_json(&name, &json(&format!("groups-{version}.plain.json")), &whole.key),
            20
        );
        for bad in 0..3 {
            let mut shares = shares(&name);
            assert_eq!(
                shares[bad].1.expose()[32] as usize,
                bad + 1,
                "group i has the number i + 1"
            );
            shares[bad].1.expose_mut()[7] ^= 0x10;
            let found = shamir::quorum(&shares, 2, &mut check).expect("two good shares");
            assert_eq!((found.bad, found.key.expose()), (vec![bad], whole.key.expose()));
            shares.remove((bad + 1) % 3);
            assert!(shamir::quorum(&shares, 2, &mut check).is_err());
        }
        let two = shamir::combine(&[&shares(&name)[2].1, &shares(&name)[0].1]).expect("well-formed");
        assert!(two.ct_eq(&secret::SecretBytes::copy_from(whole.key.expose())));
    }
}

/// The fields of a dotenv file's block, and its other lines.
fn dotenv(name: &str) -> (Vec<(String, String)>, Vec<String>) {
    let (mut fields, mut rest) = (Vec::new(), Vec::new());
    for line in read(name).lines() {
        match line.strip_prefix("sops_").and_then(|field| field.split_once('=')) {
            Some((field, value)) => fields.push((field.to_owned(), value.replace("\\n", "\n"))),
            None => rest.push(line.to_owned()),
        }
    }
    (fields, rest)
}

#[test]
fn a_dotenv_file_opens_and_its_block_comes_back() {
    for version in ["3.11", "3.13"] {
        let name = format!("dotenv-{version}.env");
        let (fields, lines) = dotenv(&name);
        let metadata =
            Metadata::from_value(&unflatten(&fields).expect("flat names")).expect("sops' own block");
        let cipher = Cipher::new(&data_key(&name));
        let (mut mac, mut opened) = (Mac::new(false), Vec::new());
        for line in &lines {
            let (aad, text) = match line.strip_prefix('#') {
                Some(comment) => (":".to_owned(), comment),
                None => line
                    .split_once('=')
                    .map(|(key, value)| (format!("{key}:"), value))
                    .expect("a pair"),
            };
            let mut out = text.as_bytes().to_vec();
            if let Some(sealed) = Sealed::parse(text.as_bytes()).expect("well-formed") {
                out.clear();
                cipher
                    .open_into(&sealed, aad.as_bytes(), &mut out)
                    .expect("opens");
            }
            if !line.starts_with('#') {
                mac.leaf(&out);
            }
            opened.push(String::from_utf8(out).expect("text"));
        }
        assert_eq!(opened, ["value", "spaced", "", "one\ntwo", " a comment", "clear"]);
        let sealed = metadata.mac.clone().expect("a mac");
        let expected = open_mac(&cipher, &sealed, &metadata.lastmodified).expect("the mac opens");
        assert!(mac.verify(expected.expose()), "{version}");
        let mut sorted = fields;
        sorted.sort();
        assert_eq!(flatten(&metadata.to_value()), sorted, "{version}");
    }
}

#[test]
fn blocks_come_back_as_they_were() {
    for (name, same_order) in [
        ("types-3.11.json", false),
        ("types-3.13.json", true),
        ("only-encrypted-3.11.json", false),
        ("only-encrypted-3.13.json", true),
        ("groups-3.11.json", false),
        ("groups-3.13.json", true),
        ("binary-3.13.json", true),
    ] {
        let block = block(&json(name)["sops"]);
        let written = Metadata::from_value(&block).expect("sops' own block").to_value();
        assert_eq!(flatten(&written), flatten(&block), "{name}");
        assert!(!same_order || written == block, "{name}: {written:?}");
    }
    for name in ["groups-3.11.env", "groups-3.13.env"] {
        let (mut fields, _) = dotenv(name);
        let metadata =
            Metadata::from_value(&unflatten(&fields).expect("flat names")).expect("sops' own block");
        assert_eq!((metadata.shamir_threshold, metadata.groups.len()), (Some(2), 3));
        fields.sort();
        assert_eq!(flatten(&metadata.to_value()), fields);
    }
}
