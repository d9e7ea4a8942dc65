//! Kustomize generates resources from sealed files, with a function as KSOPS is one: a program that reads a ResourceList
//! whose `functionConfig` names files, and writes a ResourceList whose `items` are what is in them.
//!
//! KSOPS itself cannot be had by package name, and it calls the library of sops. The function here is a script that calls
//! the program.

use serde_yaml::Value;
use support::canary::Canary;
use support::peers;
use support::run::Output;

use super::{PAIRS, Sops, Stage};
use crate::scene::{Result, ended};

const POLICY: &str = "creation_rules:
  - path_regex: \\.env$
    age: PERSON0
  - path_regex: .
    encrypted_regex: ^(data|stringData)$
    age: PERSON0
";

/// The sealed manifests, as they are in clear.
const MANIFESTS: [(&str, &str); 2] = [
    (
        "database.yaml",
        "apiVersion: v1
kind: Secret
metadata:
    # who may read it
    name: database
stringData:
    password: CANARY
    code: \"0123\"
    config: |
        [client]
        port = 5432
",
    ),
    (
        "token.json",
        "{
\t\"apiVersion\": \"v1\",
\t\"kind\": \"Secret\",
\t\"metadata\": {\"name\": \"token\"},
\t\"type\": \"Opaque\",
\t\"data\": {\"token\": \"aHVudGVyMg==\"}
}
",
    ),
];

/// What becomes a Secret of its own, and that Secret.
const ENV: &str = "USER=shop\nPASSWORD=CANARY\n";
const FROM_ENV: &str = "apiVersion: v1
kind: Secret
metadata:
    name: from-env
stringData:
    USER: shop
    PASSWORD: CANARY
";

const GENERATOR: &str = "apiVersion: example.org/v1
kind: Opened
metadata:
  name: opened
  annotations:
    config.kubernetes.io/function: |
      exec:
        path: ./generate
files:
  - ./database.yaml
  - ./token.json
  - ./shop.env
";

/// JSON is YAML, and what sops prints as JSON can stand inside other JSON as it is.
const GENERATE: &str = r#"#!/bin/sh
set -eu
files=$(sed -n '/^functionConfig:/,$ s/^  - //p')
printf '{"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": ['
comma=
for file in $files; do
    printf '%s' "$comma"
    comma=,
    case $file in
    *.env)
        printf '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "from-env"}, "stringData": '
        sops -d --output-type json "$file"
        printf '}'
        ;;
    *) sops -d --output-type json "$file" ;;
    esac
done
printf ']}'
"#;

fn build(stage: &Stage, folder: &str, sops: Sops) -> Result<Output> {
    let kustomize = stage.tool(peers::kustomize()?, sops)?;
    Ok(kustomize.run(["build", "--enable-alpha-plugins", "--enable-exec", folder])?)
}

/// The resources that were built, which must succeed.
fn built(stage: &Stage, folder: &str, sops: Sops) -> Result<Vec<Value>> {
    let output = build(stage, folder, sops)?;
    if !output.success() {
        return Err(format!("{folder}: {sops:?}: {}", ended(&output)).into());
    }
    let documents = output.out();
    documents
        .split("---\n")
        .map(|document| Ok(serde_yaml::from_str(document)?))
        .collect()
}

#[test]
fn kustomize_builds_what_is_sealed_as_it_builds_what_is_clear() -> Result {
    let stage = Stage::new(POLICY)?;
    let canary = Canary::new(304);
    let put = |name: &str, text: &str| stage.scene.write(name, text.replace("CANARY", canary.text()));
    put(
        "clear/kustomization.yaml",
        "resources: [database.yaml, token.json, from-env.yaml]\n",
    )?;
    put("clear/from-env.yaml", FROM_ENV)?;
    put("sealed/kustomization.yaml", "generators: [generator.yaml]\n")?;
    put("sealed/generator.yaml", GENERATOR)?;
    stage.script("sealed/generate", GENERATE)?;
    for (name, text) in MANIFESTS {
        put(&format!("clear/{name}"), text)?;
    }
    let expected = built(&stage, "clear", Sops::Real)?;
    assert_eq!(expected.len(), 3);

    for (sealer, opener) in PAIRS {
        for (name, text) in MANIFESTS.into_iter().chain([("shop.env", ENV)]) {
            let name = format!("sealed/{name}");
            put(&name, text)?;
            let sealed = stage.tool("sops", sealer)?.run(["-e", "-i", &name])?;
            assert!(sealed.success(), "{sealer:?}: {}", ended(&sealed));
            assert_eq!(canary.find(&stage.scene.read(&name)?), None, "{sealer:?}: {name}");
        }
        assert_eq!(
            built(&stage, "sealed", opener)?,
            expected,
            "{sealer:?} {opener:?}"
        );

        stage.tamper("sealed/token.json")?;
        let output = build(&stage, "sealed", opener)?;
        assert!(!output.success() && output.stdout.is_empty(), "{output:?}");
    }
    Ok(())
}
