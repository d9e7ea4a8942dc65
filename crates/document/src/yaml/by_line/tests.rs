//! Whatever is read by lines, the events read the same: with and without comments, in both forms, under any limit.

mod documents;

use super::{Read, read};
use crate::document::{Form, Limits};
use crate::yaml::{comments, parse, strict};
use support::random::Random;
use support::{corpus, generate, suites, tier};

/// Whether the text is read by lines in one of the forms. Panics where the events differ.
fn agrees(text: &str) -> bool {
    let (usual, shallow) = (
        Limits::default(),
        Limits {
            depth: 3,
            ..Limits::default()
        },
    );
    let ways = [
        (Form::Plain, &usual),
        (Form::Sealed, &usual),
        (Form::Sealed, &shallow),
    ];
    ways.into_iter().fold(false, |taken, (form, limits)| {
        let found = strict::text(text.as_bytes(), form)
            .ok()
            .and_then(|text| read(text, form, limits));
        if let Some(found) = &found {
            compare(text, form, limits, found);
        }
        taken | found.is_some()
    })
}

fn compare(text: &str, form: Form, limits: &Limits, found: &Read) {
    let (tree, containers) = parse::read(text, form, limits)
        .unwrap_or_else(|error| panic!("taken as {form:?}, but: {error}\n{text:?}\n{text}"));
    let differs = found
        .tree
        .differs(&tree)
        .or((found.containers != containers).then_some("containers"));
    if let Some(what) = differs {
        panic!(
            "as {form:?} these differ: {what}\n{:#?}\n{tree:#?}\n{text:?}\n{text}",
            found.tree
        );
    }
    let attached = comments::attach(text).expect("is YAML");
    assert_eq!(found.has_comments, !attached.is_empty(), "comments in {text:?}");
}

#[test]
fn manifests_and_their_mutations() -> std::io::Result<()> {
    let taken: Vec<String> = corpus::all()?
        .into_iter()
        .filter(|manifest| agrees(&manifest.text))
        .map(|manifest| manifest.name)
        .collect();
    assert!(taken.len() >= 70, "{}: {taken:?}", taken.len());
    Ok(())
}

#[test]
fn the_yaml_suite() -> Result<(), support::peers::Missing> {
    let taken = suites::yaml()?.iter().filter(|case| agrees(&case.yaml)).count();
    assert!(taken >= 20, "{taken}");
    Ok(())
}

#[test]
fn generated_documents() {
    let count = tier::count(300, 20_000);
    let taken = (0..count as u64)
        .filter(|seed| agrees(&generate::plain_yaml(*seed)) | agrees(&generate::yaml(*seed)))
        .count();
    assert!(taken > count / 20, "{taken}");
}

/// Small documents of all that is read, each with up to four changes that may make anything of it.
#[test]
fn small_documents_with_changes() {
    let count = tier::count(3_000, 3_000_000);
    let taken = (0..count as u64)
        .filter(|seed| agrees(&documents::changed(*seed)))
        .count();
    assert!(taken > count / 3, "{taken}");
    assert!(taken < count * 9 / 10, "{taken}");
}

/// Without changes nearly all of them are read.
#[test]
fn small_documents() {
    let taken = (0..300)
        .filter(|seed| agrees(&documents::document(&mut Random::new(*seed))))
        .count();
    assert!(taken > 260, "{taken}");
}

#[test]
fn files_of_every_day_are_read() {
    for text in [DEPLOYMENT, HELM_VALUES, COMPOSE, SEALED] {
        for form in [Form::Plain, Form::Sealed] {
            assert!(read(text, form, &Limits::default()).is_some(), "{form:?}\n{text}");
        }
        assert!(agrees(text));
    }
}

const DEPLOYMENT: &str = r#"# The shop's front
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {}
  annotations:
    prometheus.io/scrape: "true"
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: web
          image: registry.example.test/shop/web:1.4.2
          args:
            - --listen=:8080
            - "--greeting=hello: world"
          env:
            - name: DATABASE_PASSWORD
              value: 's3cr3t # really'   # rotate me
          resources:
            limits:
              cpu: 500m
      volumes: []
"#;

const HELM_VALUES: &str = r#"
image:
  repository: web
  tag:    1.2.3
  pullPolicy:
ingress:
  hosts:
  - host: example.test
    paths:
    - path: /
  - host: www.example.test
config: |
  key: value
  # not a comment

    - indented
script: |-
  #!/bin/sh
  echo "hello"
description: >
  a text of several
  lines

  and two parts

note: >-
  one
  line
# the end
"#;

const COMPOSE: &str = r#"version: '3.8'
services:
  db:
    image: "postgres:16"
    environment:
      POSTGRES_PASSWORD: geheim
      POSTGRES_USER: größe
    ports:
    - 5432:5432
    - "127.0.0.1:80:80"
volumes:
  data:
"#;

const SEALED: &str = r#"db:
    #ENC[AES256_GCM,data:AAA=,iv:BBB=,tag:CCC=,type:comment]
    password: ENC[AES256_GCM,data:rBQ1Ow==,iv:z9Jq9ZHVCy2MwSxyHiwTTZmoNx4nz6/Lbzn2Ki2yHhU=,tag:wLFB4nUY1ko7vDrWNwRQPQ==,type:str]
    hosts:
        - ENC[AES256_GCM,data:rBQ1Ow==,iv:z9Jq9ZHVCy2MwSxyHiwTTZmoNx4nz6/Lbzn2Ki2yHhU=,tag:wLFB4nUY1ko7vDrWNwRQPQ==,type:str]
sops:
    kms: []
    age:
        - recipient: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
          enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBvY2tnMXFIVXRyWXlEVWRl
            -----END AGE ENCRYPTED FILE-----
    lastmodified: "2026-01-02T03:04:05Z"
    mac: ENC[AES256_GCM,data:AAA=,iv:BBB=,tag:CCC=,type:str]
    unencrypted_suffix: _unencrypted
    version: 3.11.0
"#;
