//! decrypt(encrypt(x)) is x, byte for byte; what cannot be kept is refused with its line, and nothing is written.
//!
//! A whole tree is sealed by one process and opened by another. What sops takes is a list made with sops itself
//! (`testdata/suites`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use support::{corpus, generate, suites, tier};

use crate::scene::{EVERYTHING, Result, Scene, ended, verdict};

/// Cases that sops takes and that are refused here, each on purpose.
const STRICTER: [(&str, &str); 4] = [
    ("y_object_duplicated_key.json", "a key stands twice"),
    ("y_object_duplicated_key_and_value.json", "a key stands twice"),
    ("wrapped/y_object_duplicated_key.json", "a key stands twice"),
    (
        "wrapped/y_object_duplicated_key_and_value.json",
        "a key stands twice",
    ),
];

/// Seals and opens a tree of files (name, text); returns what is wrong and how many were sealed.
fn round_trip(policy: &str, files: &[(String, Vec<u8>)]) -> Result<(Vec<String>, usize)> {
    let scene = Scene::new(policy)?;
    for (name, text) in files {
        scene.write(&format!("tree/{name}"), text)?;
    }
    let walk = scene.seal(&["tree"])?;
    let (mut wrong, mut sealed) = (Vec::new(), BTreeSet::new());
    for (name, text) in files {
        let path = format!("tree/{name}");
        if scene.read(&path)? != *text {
            sealed.insert(name);
            continue;
        }
        // Left as it was. Only a file with nothing in it to seal may be; ask for it by name, which says why.
        let named = scene.seal(&["encrypt", &path])?;
        if !(named.code == Some(23) && named.err().contains("nothing in this file is selected")) {
            wrong.push(format!(
                "{name}: not sealed by the walk; by name: {}",
                ended(&named)
            ));
        }
    }
    if !walk.success() && wrong.is_empty() {
        wrong.push(format!(
            "the walk failed, and no file shows why: {}",
            ended(&walk)
        ));
    }
    let walk = scene.seal(&["decrypt", "-i", "tree"])?;
    for (name, text) in files {
        let path = format!("tree/{name}");
        let found = scene.read(&path)?;
        if found == *text {
            continue;
        }
        let found = if walk.success() {
            found
        } else {
            scene.seal(&["decrypt", &path])?.stdout
        };
        if found != *text {
            wrong.push(format!("{name}: {}", difference(text, &found)));
        }
    }
    if !walk.success() {
        wrong.push(format!("opening the tree failed: {}", ended(&walk)));
    }
    Ok((wrong, sealed.len()))
}

fn difference(expected: &[u8], found: &[u8]) -> String {
    if found.windows(4).any(|bytes| bytes == b"ENC[") {
        return "it was not opened".to_owned();
    }
    let at = expected
        .iter()
        .zip(found)
        .position(|(a, b)| a != b)
        .unwrap_or(expected.len().min(found.len()));
    let around = |bytes: &[u8]| {
        let part = &bytes[at.saturating_sub(30).min(bytes.len())..(at + 30).min(bytes.len())];
        String::from_utf8_lossy(part).into_owned()
    };
    format!("byte {at}: {:?} became {:?}", around(expected), around(found))
}

fn all_manifests() -> Result<Vec<(String, Vec<u8>)>> {
    let manifests = corpus::all()?
        .into_iter()
        .filter(|manifest| !manifest.list_at_root);
    Ok(manifests
        .map(|manifest| (format!("{}.yaml", manifest.name), manifest.text.into_bytes()))
        .collect())
}

fn manifests_under(rule: &str) -> Result {
    let files = all_manifests()?;
    let (wrong, sealed) = round_trip(&format!("{EVERYTHING}    {rule}\n"), &files)?;
    verdict(&wrong, sealed, files.len() * 2 / 3)
}

#[test]
fn manifests_come_back() -> Result {
    manifests_under("unencrypted_suffix: _unencrypted")
}

#[test]
fn manifests_under_a_pattern_come_back() -> Result {
    manifests_under("encrypted_regex: '^(data|stringData|.*[eE].*)$'\n    mac_only_encrypted: true")
}

#[test]
fn manifests_with_clear_parts_come_back() -> Result {
    manifests_under("unencrypted_regex: '^(apiVersion|metadata|kind|type|name|image)$'")
}

#[test]
fn generated_documents_come_back() -> Result {
    let mut files = Vec::new();
    for seed in 0..tier::count(150, 5_000) as u64 {
        for (ending, text) in [
            ("yaml", generate::yaml(seed)),
            ("json", generate::json(seed)),
            ("env", generate::dotenv(seed)),
            ("ini", generate::ini(seed)),
        ] {
            files.push((format!("{seed}.{ending}"), text.into_bytes()));
        }
    }
    let (wrong, sealed) = round_trip(EVERYTHING, &files)?;
    verdict(&wrong, sealed, files.len() * 9 / 10)
}

/// What sops says of each case of `suite`: taken or not.
fn taken_by_sops(suite: &str) -> Result<BTreeMap<String, bool>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/suites/sops-3.11.0.tsv");
    let text = std::fs::read_to_string(file)?;
    let mut taken = BTreeMap::new();
    for line in text.lines() {
        let [kind, name, verdict] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("not three columns: {line:?}").into());
        };
        if kind == suite {
            taken.insert(name.to_owned(), verdict == "taken");
        }
    }
    Ok(taken)
}

/// Each file must be refused with its line, and nothing printed.
fn refused(files: &[(String, Vec<u8>)]) -> Result<Vec<String>> {
    let scene = Scene::new(EVERYTHING)?;
    let mut wrong = Vec::new();
    for (name, text) in files {
        scene.write(name, text)?;
        let output = scene.seal(&["encrypt", name])?;
        let placed = output
            .err()
            .split_once(&format!("error: {name}:"))
            .is_some_and(|(_, rest)| {
                let mut parts = rest.splitn(3, ':');
                let mut number = || parts.next().is_some_and(|part| part.parse::<u32>().is_ok());
                number() && number()
            });
        let empty = text.iter().all(u8::is_ascii_whitespace) || output.code == Some(92);
        if output.success() || output.signal.is_some() || output.code == Some(101) {
            wrong.push(format!("{name}: not refused: {}", ended(&output)));
        } else if !output.stdout.is_empty() {
            wrong.push(format!("{name}: something was printed: {}", ended(&output)));
        } else if !placed && !empty {
            wrong.push(format!("{name}: no line and column: {}", ended(&output)));
        }
    }
    Ok(wrong)
}

#[test]
fn yaml_suite() -> Result {
    let taken = taken_by_sops("yaml")?;
    let (mut kept, mut rest) = (Vec::new(), Vec::new());
    for case in suites::yaml()? {
        let sops = taken
            .get(&case.name)
            .ok_or_else(|| format!("{} is not in the list", case.name))?;
        // What sops takes although it is no YAML may be taken or refused.
        if case.invalid && *sops {
            continue;
        }
        let stricter = STRICTER
            .iter()
            .any(|(stricter, _)| case.name.starts_with(stricter));
        let file = (format!("{}.yaml", case.name), case.yaml.into_bytes());
        if *sops && !stricter {
            kept.push(file)
        } else {
            rest.push(file)
        }
    }
    let (mut wrong, _) = round_trip(EVERYTHING, &kept)?;
    wrong.extend(refused(&rest)?);
    verdict(&wrong, kept.len() + rest.len(), 108 + 286)
}

#[test]
fn json_suite() -> Result {
    let taken = taken_by_sops("json")?;
    let (mut kept, mut rest) = (Vec::new(), Vec::new());
    for case in suites::json()? {
        let wrapped = (
            format!("wrapped/{}", case.name),
            format!("{{\"wrapped\": {}}}\n", case.json),
        );
        for (name, text) in [(case.name, case.json), wrapped] {
            let Some(&sops) = taken.get(&name) else { continue };
            let file = (name.clone(), text.into_bytes());
            if STRICTER.iter().any(|(stricter, _)| *stricter == name) {
                rest.push(file);
            } else if sops && case.accepted == Some(true) {
                kept.push(file);
            } else if case.accepted == Some(false) || !(sops || name.starts_with("wrapped/")) {
                // What is no JSON, and roots that are no object.
                rest.push(file);
            }
        }
    }
    let (mut wrong, _) = round_trip(EVERYTHING, &kept)?;
    wrong.extend(refused(&rest)?);
    verdict(&wrong, kept.len() + rest.len(), 390)
}
