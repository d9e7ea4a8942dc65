//! Generated tampering: whatever is done to a sealed file without its key, it never opens to other data.

use serde_json::Value;
use support::random::Random;
use support::{generate, tier};

use crate::scene::{EVERYTHING, Result, Scene, ended, verdict};

/// One change to a sealed JSON file.
#[derive(Clone, Copy, Debug)]
enum Change {
    Swap,
    Copy,
    Delete,
    Retype,
    Rename,
    Wrap,
    Append,
    Flip,
    Clear,
    Metadata,
}

const CHANGES: [Change; 10] = [
    Change::Swap,
    Change::Copy,
    Change::Delete,
    Change::Retype,
    Change::Rename,
    Change::Wrap,
    Change::Append,
    Change::Flip,
    Change::Clear,
    Change::Metadata,
];

#[test]
fn a_tampered_file_never_opens_to_other_data() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    let count = tier::count(100, 1_000);
    let (mut wrong, mut done) = (Vec::new(), 0);
    for seed in 0..count as u64 * 2 {
        if done == count {
            break;
        }
        let change = CHANGES[seed as usize % CHANGES.len()];
        let mut random = Random::new(seed);
        let text = generate::json(seed);
        let plain: Value = serde_json::from_str(&text)?;
        scene.write("file.json", &text)?;
        let sealed = scene.seal(&["encrypt", "file.json"])?;
        if sealed.code == Some(23) {
            // Nothing in it to seal.
            continue;
        }
        let mut file: Value = serde_json::from_slice(&sealed.expect_success()?)?;
        let before = ordered(&file);
        if !apply(change, &mut file, &mut random) || ordered(&file) == before {
            continue;
        }
        done += 1;
        scene.write("file.json", file.to_string())?;
        let output = scene.seal(&["decrypt", "file.json"])?;
        match output.code {
            Some(0) => {
                let same = serde_json::from_slice::<Value>(&output.stdout)
                    .is_ok_and(|found| ordered(&found) == ordered(&plain));
                if !same {
                    wrong.push(format!("{change:?}, seed {seed}: opened to other data"));
                }
            }
            Some(25 | 51 | 2 | 111 | 128) if output.stdout.is_empty() => {}
            _ => wrong.push(format!("{change:?}, seed {seed}: {}", ended(&output))),
        }
    }
    verdict(&wrong, done, count * 3 / 4)
}

/// As text, for then the order of keys counts.
fn ordered(value: &Value) -> String {
    value.to_string()
}

/// The pointers of all leaves outside the metadata, and whether each is sealed.
fn leaves(value: &Value, at: String, found: &mut Vec<(String, bool)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if !(at.is_empty() && key == "sops") {
                    leaves(
                        value,
                        format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                        found,
                    );
                }
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                leaves(value, format!("{at}/{index}"), found);
            }
        }
        value => found.push((at, value.as_str().is_some_and(|text| text.starts_with("ENC[")))),
    }
}

/// Makes the change; `false` if there is nothing to make it to.
fn apply(change: Change, file: &mut Value, random: &mut Random) -> bool {
    let mut all = Vec::new();
    leaves(file, String::new(), &mut all);
    let sealed: Vec<&str> = all
        .iter()
        .filter(|(_, sealed)| *sealed)
        .map(|(at, _)| at.as_str())
        .collect();
    if sealed.len() < 2 {
        return false;
    }
    let (one, two) = (
        sealed[random.below(sealed.len())],
        sealed[random.below(sealed.len())],
    );
    let value = |file: &Value, at: &str| file.pointer(at).cloned().unwrap_or_default();
    let text = value(file, one).as_str().unwrap_or_default().to_owned();
    let (first, second) = (value(file, one), value(file, two));
    let put = |file: &mut Value, at: &str, new: Value| file.pointer_mut(at).map(|old| *old = new).is_some();
    match change {
        Change::Swap => put(file, one, second) && put(file, two, first),
        Change::Copy => put(file, one, second),
        Change::Delete => remove(file, one).is_some(),
        Change::Retype => {
            let new = [
                "type:str",
                "type:int",
                "type:float",
                "type:bool",
                "type:bytes",
                "type:comment",
            ];
            let old = new
                .into_iter()
                .find(|kind| text.contains(*kind))
                .unwrap_or("type:");
            put(file, one, text.replace(old, random.pick(&new)).into())
        }
        Change::Rename => match remove(file, one) {
            Some((parent, value)) => match file.pointer_mut(&parent) {
                Some(Value::Object(map)) => map.insert("renamed".to_owned(), value).is_none(),
                Some(Value::Array(list)) => {
                    list.push(value);
                    true
                }
                _ => false,
            },
            None => false,
        },
        Change::Wrap => put(file, one, Value::Array(vec![first])),
        Change::Append => put(
            file,
            one,
            format!("{text}{}", random.pick(&[" ", "\n", "]", "x", "\0"])).into(),
        ),
        Change::Flip => {
            let mut bytes = text.into_bytes();
            let at = random.between(17, bytes.len().saturating_sub(1));
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            put(file, one, String::from_utf8_lossy(&bytes).into_owned().into())
        }
        Change::Clear => put(file, one, "clear".into()),
        Change::Metadata => metadata(file, random),
    }
}

/// Takes a leaf out; returns the pointer of what held it, and the leaf.
fn remove(file: &mut Value, at: &str) -> Option<(String, Value)> {
    let (parent, last) = at.rsplit_once('/')?;
    let value = match file.pointer_mut(parent)? {
        Value::Object(map) => map.shift_remove(&last.replace("~1", "/").replace("~0", "~"))?,
        Value::Array(list) => list.remove(last.parse().ok()?),
        _ => return None,
    };
    Some((parent.to_owned(), value))
}

fn metadata(file: &mut Value, random: &mut Random) -> bool {
    let Some(sops) = file["sops"].as_object_mut() else {
        return false;
    };
    match random.below(5) {
        0 => sops.shift_remove("mac").is_some(),
        1 => sops
            .insert("lastmodified".to_owned(), "2001-01-01T00:00:00Z".into())
            .is_some(),
        2 => sops.insert("unencrypted_suffix".to_owned(), "e".into()).is_some(),
        3 => sops
            .insert("mac_only_encrypted".to_owned(), true.into())
            .is_none(),
        _ => sops
            .insert("mac".to_owned(), sops["lastmodified"].clone())
            .is_some(),
    }
}
