//! The npm package `sops-age`, a reader of its own (its own parsers and ciphers, no line of sops), opens what `seal`
//! sealed, to the same values.
//!
//! It opens YAML of one document, JSON, and dotenv, sealed for age recipients; it checks no MAC. What it cannot open,
//! whoever sealed it:
//! - INI and binary files, further documents of a stream, dotenv assignments with `export`;
//! - key groups, and keys other than age;
//! - timestamps (its list of types lacks `time`), which are left out below;
//! - values below a key of digits only, which it takes for the position in a list and leaves out of the path;
//! - comments that sops writes as items of lists; here they stay comment lines, which it passes over.
//!
//! Clear YAML it reads by YAML 1.2, where `yes` is text: so all is sealed here, for types to come from the sealed form.

use serde_json::{Map, Value};
use support::run::Tool;
use support::{generate, peers, tier};

use crate::scene::{Result, Scene, people, verdict};

const POLICY: &str = "creation_rules:\n  - path_regex: 2$\n    age: PERSON0\n    unencrypted_suffix: _never\n  \
                      - path_regex: .\n    age: 'PERSON1,PERSON0,PERSON2'\n    unencrypted_suffix: _never\n";

/// Opens all files named on its input, as `[type, path]`, and prints what it found, in order.
const SCRIPT: &str = "
    import { decryptSops } from 'sops-age';
    import { readFileSync } from 'node:fs';
    const opened = [];
    for (const [fileType, path] of JSON.parse(readFileSync(0, 'utf8'))) {
        opened.push(await decryptSops({ path, fileType }).then(value => ({ value }), error => ({ error: error.message })));
    }
    console.log(JSON.stringify(opened));";

#[test]
fn an_independent_reader_opens_what_seal_sealed() -> Result {
    let count = tier::count(20, 200);
    let scene = Scene::new(POLICY)?;
    let sops = scene.tool(peers::sops_3_11()?, &[0])?;
    let kinds = [
        ("yaml", generate::plain_yaml as fn(u64) -> String),
        ("json", generate::json),
        ("env", generate::dotenv),
    ];
    let (mut names, mut asked, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, make) in kinds {
        for seed in 0..count as u64 {
            let name = format!("{kind}-{seed}.{kind}");
            scene.write(&name, make(seed))?;
            let sealed = scene.seal(&["encrypt", &name])?;
            if sealed.code == Some(23) && sealed.err().contains("nothing") {
                continue;
            }
            let sealed = sealed.expect_success()?;
            if String::from_utf8_lossy(&sealed).contains(",type:time]") {
                continue;
            }
            scene.write(&name, sealed)?;
            let opened = sops.run(["decrypt", "--output-type", "json", &name])?;
            expected.push(serde_json::from_slice::<Value>(&opened.expect_success()?)?);
            asked.push(Value::from(vec![
                kind.to_owned(),
                scene.path(&name).to_string_lossy().into_owned(),
            ]));
            names.push(name);
        }
    }
    let found = node()?.run_with_input(
        ["--input-type=module", "--eval", SCRIPT],
        Value::from(asked).to_string().as_bytes(),
    )?;
    let found: Vec<Map<String, Value>> = serde_json::from_slice(&found.expect_success()?)?;
    let mut wrong = Vec::new();
    for ((name, expected), found) in names.iter().zip(&expected).zip(&found) {
        match found.get("value") {
            Some(value) if same(value, expected) => {}
            Some(value) => wrong.push(format!("{name}: {expected} became {value}")),
            None => wrong.push(format!("{name}: {:?}", found.get("error"))),
        }
    }
    verdict(&wrong, found.len().min(names.len()), count * 2)
}

/// Node where the package is, with person 0's identity.
fn node() -> Result<Tool> {
    let node = Tool::new("node")?.dir(peers::sops_age()?);
    Ok(node.env("SOPS_AGE_KEY", people()?[0].secret.clone()))
}

/// Equal as JavaScript sees it: it has one type of number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}
