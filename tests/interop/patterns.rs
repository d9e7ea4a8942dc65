//! A pattern selects the same keys here and in sops.

use std::path::Path;

use serde_json::{Map, Value};
use support::run::Output;
use support::{peers, tier};

use crate::scene::{Result, Scene, ended, people, verdict};

/// Keys with something for most patterns: cases, digits, blanks, line breaks, marks, other scripts.
const KEYS: [&str; 40] = [
    "a",
    "b",
    "ab",
    "abc",
    "A",
    "data",
    "stringData",
    "password",
    "db_password",
    "Password",
    "PASSWORD",
    "token",
    "api-key",
    "api_key",
    "apiKey",
    "x1",
    "x12",
    "123",
    "2024-05-03",
    "foo",
    "foobar",
    "barfoo",
    "foo bar",
    " lead",
    "trail ",
    "tab\there",
    "line\nbreak",
    "dot.ted",
    "a/b",
    "k[0]",
    "(x)",
    "{y}",
    "^caret",
    "do$lar",
    "back\\slash",
    "é",
    "ß",
    "日本",
    "😀",
    "_unencrypted",
];

#[test]
fn a_pattern_selects_what_sops_selects() -> Result {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/sops/patterns.txt");
    let text = std::fs::read_to_string(file)?;
    let all: Vec<&str> = text.lines().collect();
    let step = if tier::is_campaign() { 1 } else { 8 };
    let scene = Scene::new("{}\n")?;
    let values = KEYS.iter().map(|key| ((*key).to_owned(), Value::from("value")));
    let plain = Value::Object(values.collect::<Map<_, _>>());
    scene.write("keys.json", plain.to_string())?;
    let sops = scene.tool(peers::sops_3_11()?, &[0])?;
    let recipient = people()?[0].recipient.as_str();
    let (mut wrong, mut done) = (Vec::new(), 0);
    for pattern in all.iter().step_by(step) {
        // With a policy in the folder a rule would have to match; sops and seal are both given none.
        std::fs::remove_file(scene.path(".sops.yaml")).ok();
        let arguments = [
            "encrypt",
            "--age",
            recipient,
            "--encrypted-regex",
            pattern,
            "keys.json",
        ];
        let expected = selected(&sops.run(arguments)?)?;
        let found = scene.seal(&arguments)?;
        // Natively it is an error to select nothing; sops writes the metadata.
        let nothing = found.code == Some(23) && found.err().contains("nothing");
        let found = if nothing { Vec::new() } else { selected(&found)? };
        if expected != found {
            wrong.push(format!("{pattern:?}: sops {expected:?}, seal {found:?}"));
        }
        done += 1;
    }
    verdict(&wrong, done, tier::count(35, 290))
}

/// The keys whose values are sealed.
fn selected(output: &Output) -> Result<Vec<String>> {
    if !output.success() {
        return Err(ended(output).into());
    }
    let value: Value = serde_json::from_slice(&output.stdout)?;
    let sealed = value.as_object().into_iter().flatten().filter(|(_, value)| {
        value
            .as_str()
            .is_some_and(|text| text.starts_with("ENC[AES256_GCM,"))
    });
    Ok(sealed.map(|(key, _)| key.clone()).collect())
}
