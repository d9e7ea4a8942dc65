//! Manifests in kubeseal's form.

use document::{Format, Limits};
use sealed_secrets::{Manifests, Metadata, NewSealedSecret, Owner, Secret};
use secret::SecretBytes;

fn text(bytes: &SecretBytes) -> &str {
    std::str::from_utf8(bytes.expose()).expect("UTF-8")
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn sealed() -> NewSealedSecret {
    let metadata = Metadata {
        name: "s".to_owned(),
        namespace: "ns".to_owned(),
        ..Metadata::default()
    };
    NewSealedSecret {
        template: Metadata {
            labels: pairs(&[("z", "1"), ("a", "<2>")]),
            ..metadata.clone()
        },
        metadata,
        kind: Some("Opaque".to_owned()),
        immutable: Some(true),
        items: pairs(&[("b", "AgB2"), ("a", "AgB1")]),
    }
}

#[test]
fn json_is_in_the_order_of_the_types_and_yaml_in_that_of_the_alphabet() {
    assert_eq!(
        text(&sealed().write_as_kubeseal(Format::Json)),
        r#"{
  "kind": "SealedSecret",
  "apiVersion": "bitnami.com/v1alpha1",
  "metadata": {
    "name": "s",
    "namespace": "ns"
  },
  "spec": {
    "template": {
      "metadata": {
        "name": "s",
        "namespace": "ns",
        "labels": {
          "a": "\u003c2\u003e",
          "z": "1"
        }
      },
      "type": "Opaque",
      "immutable": true
    },
    "encryptedData": {
      "a": "AgB1",
      "b": "AgB2"
    }
  }
}
"#
    );
    let yaml = sealed().write_as_kubeseal(Format::Yaml);
    assert!(
        text(&yaml)
            .starts_with("---\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: s\n")
    );
    assert!(
        text(&yaml)
            .contains("  encryptedData:\n    a: AgB1\n    b: AgB2\n  template:\n    immutable: true\n")
    );
}

#[test]
fn a_recovered_secret_names_its_owner_if_it_has_one() {
    let secret = Secret {
        data: vec![
            ("b".to_owned(), SecretBytes::copy_from(b"\0")),
            ("a".to_owned(), SecretBytes::default()),
        ],
        ..Secret::default()
    };
    let owner = Owner {
        name: "s".to_owned(),
        uid: String::new(),
    };
    let json = secret.write_as_kubeseal(Format::Json, Some(&owner));
    assert!(text(&json).contains("\"name\": \"s\",\n        \"uid\": \"\",\n        \"controller\": true\n"));
    assert!(text(&json).ends_with("  \"data\": {\n    \"a\": \"\",\n    \"b\": \"AA==\"\n  }\n}\n"));
    let json = secret.write_as_kubeseal(Format::Json, None);
    assert!(!text(&json).contains("ownerReferences"));
    let empty = Secret::default().write_as_kubeseal(Format::Json, None);
    assert!(!text(&empty).contains("\"data\""));
}

#[test]
fn another_format_keeps_all_fields() {
    let file = "kind: SealedSecret\nspec:\n  n: 5\n  encryptedData: {b: x, a: y}\nstatus: null\nlist: [true, {z: 1, a: 2}]\n";
    let manifests = Manifests::parse(
        Format::Yaml,
        SecretBytes::copy_from(file.as_bytes()),
        &Limits::default(),
    )
    .expect("reads");
    let json = manifests
        .iter()
        .next()
        .and_then(|manifest| manifest.write_sorted(Format::Json));
    let value: serde_json::Value = serde_json::from_slice(json.expect("written").expose()).expect("JSON");
    assert_eq!(value["spec"]["n"], 5);
    assert_eq!(value["list"][1]["a"], 2);
    assert!(value.get("status").is_none());
}
