//! Two programs that know the format and share no code with kubeseal: the Python package `kubesealpy` seals and opens, the
//! npm package `@linode/kubeseal-encrypt` seals single texts for a namespace.

use serde_json::{Value, json};
use support::peers;
use support::run::Tool;

use super::{Bench, Secret, key_file, objects, sealed_by_hand, yaml};
use crate::scene::Result;

/// Seals the values on its input in all scopes and opens the items on it, with one key.
const PYTHON: &str = "
import base64, json, sys
from kubesealpy import Sealer, SealingScope, Unsealer
asked = json.load(sys.stdin)
sealer = Sealer.from_certificate_file(asked['certificate'])
unsealer = Unsealer.from_private_key_file(asked['key'])
decode = lambda text: base64.b64decode(text, validate=True)
encode = lambda value: base64.b64encode(value).decode()
sealed = {scope: {key: encode(sealer.seal_value(decode(value), 'prod', 'values-' + scope, SealingScope(scope)))
                  for key, value in asked['values'].items()} for scope in asked['items']}
opened = {scope: {key: encode(unsealer.unseal_value(decode(item), 'prod', 'values-' + scope, SealingScope(scope)))
                  for key, item in items.items()} for scope, items in asked['items'].items()}
json.dump({'sealed': sealed, 'opened': opened}, sys.stdout)
";

const SCOPES: [&str; 3] = ["strict", "namespace-wide", "cluster-wide"];

/// Python seals what `seal` opens, and opens what `seal` seals, in all scopes.
#[test]
fn kubesealpy_and_seal_open_each_others_items() -> Result {
    let bench = Bench::new()?;
    let all = &super::all_secrets()[..3];
    bench.scene.write("s.yaml", yaml(all)?)?;
    let sealed = bench.seal("s.yaml", "rsa-2048.crt", &["--output-type", "json"])?;
    let mut items = serde_json::Map::new();
    for (scope, sealed) in SCOPES.iter().zip(objects(&sealed)?) {
        items.insert((*scope).to_owned(), sealed["spec"]["encryptedData"].clone());
    }
    let values = all[0].values.iter();
    let values: serde_json::Map<String, Value> = values
        .map(|(key, value)| {
            (
                key.clone(),
                base64::Engine::encode(&super::STANDARD, value).into(),
            )
        })
        .collect();
    let asked = json!({
        "certificate": key_file("rsa-2048.crt"), "key": key_file("rsa-2048.key"), "values": values, "items": items,
    });
    let python = Tool::new(peers::kubesealpy()?)?;
    let answer = python.run_with_input(["-c", PYTHON], asked.to_string().as_bytes())?;
    let answer: Value = serde_json::from_slice(&answer.expect_success()?)?;
    for scope in SCOPES {
        assert_eq!(
            answer["opened"][scope],
            Value::Object(values.clone()),
            "{scope}: kubesealpy opens"
        );
        let sealed = answer["sealed"][scope].as_object().into_iter().flatten();
        let sealed: Vec<(String, String)> = sealed
            .map(|(key, item)| (key.clone(), item.as_str().unwrap_or_default().to_owned()))
            .collect();
        let name = format!("values-{scope}");
        bench
            .scene
            .write("theirs.json", sealed_by_hand(&name, scope, &sealed).to_string())?;
        let opened = bench.unseal("theirs.json", &["rsa-2048.key"])?;
        assert_eq!(opened[0].values, all[0].values, "{scope}: seal opens");
    }
    Ok(())
}

const NODE: &str = "
import { encryptSecretItem } from '@linode/kubeseal-encrypt';
import { readFileSync } from 'node:fs';
const { key, values } = JSON.parse(readFileSync(0, 'utf8'));
const sealed = {};
for (const [name, value] of Object.entries(values)) sealed[name] = await encryptSecretItem(key, 'prod', value);
console.log(JSON.stringify(sealed));";

/// JavaScript seals texts for a namespace: they open in it under any name, and not as anything else.
#[test]
fn seal_opens_what_kubeseal_encrypt_sealed() -> Result {
    let bench = Bench::new()?;
    let values = [
        ("password", "hunter2"),
        ("unicode", "pässwörd 🔑"),
        ("empty", ""),
        ("nul", "a\0b"),
    ];
    let key = std::fs::read_to_string(key_file("rsa-2048.pub"))?;
    let asked =
        json!({"key": key, "values": values.into_iter().collect::<std::collections::BTreeMap<_, _>>()});
    let node = Tool::new("node")?.dir(peers::kubeseal_encrypt()?);
    let sealed = node.run_with_input(
        ["--input-type=module", "--eval", NODE],
        asked.to_string().as_bytes(),
    )?;
    let sealed: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(&sealed.expect_success()?)?;
    let items: Vec<(String, String)> = sealed.into_iter().collect();
    let expected = values.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    for name in ["one", "other"] {
        let manifest = sealed_by_hand(name, "namespace-wide", &items);
        bench.scene.write("theirs.json", manifest.to_string())?;
        let opened: Vec<Secret> = bench.unseal("theirs.json", &["rsa-2048.key"])?;
        assert_eq!(opened[0].values, expected.clone().into());
    }
    for scope in ["strict", "cluster-wide"] {
        bench
            .scene
            .write("theirs.json", sealed_by_hand("one", scope, &items).to_string())?;
        let key = format!("--key={}", key_file("rsa-2048.key"));
        let refused = bench.scene.seal(&["kube", "unseal", &key, "theirs.json"])?;
        assert_eq!((refused.code, refused.stdout.len()), (Some(128), 0), "{scope}");
    }
    Ok(())
}
