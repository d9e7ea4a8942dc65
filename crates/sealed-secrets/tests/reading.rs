//! Files of manifests, keys and certificates: what is read, where errors stand, and what is kept.

use document::{Edits, Format, Limits};
use sealed_secrets::{
    Certificate, Manifests, NewKey, Object, RandomFailed, Scope, SealedSecret, SealingKeys, Secret, verify,
};
use secret::SecretBytes;

fn parse(format: Format, text: &str) -> Manifests {
    Manifests::parse(
        format,
        SecretBytes::copy_from(text.as_bytes()),
        &Limits::default(),
    )
    .expect("reads")
}

fn objects(manifests: &Manifests) -> Vec<Object<'_>> {
    manifests
        .iter()
        .flat_map(|manifest| manifest.objects().expect("objects"))
        .collect()
}

#[test]
fn documents_are_told_apart_and_nothing_of_them_is_lost() {
    for text in [
        "a: 1\n",
        "# head\n---\nkind: A\n---\n# only a comment\n---\nkind: B # tail\n...\n",
        "---\nkind: A\n...\n---\nkind: B\n",
        "---\r\nkind: A\r\n---\r\nkind: B",
        "{\"kind\": \"A\"}\n---\n{kind: B}\n",
    ] {
        let manifests = parse(Format::Yaml, text);
        let edits: Vec<Edits> = manifests.iter().map(|_| Edits::default()).collect();
        assert_eq!(manifests.render(&edits).expose(), text.as_bytes(), "{text:?}");
        if text.contains("kind: B") {
            let kinds: Vec<_> = objects(&manifests).iter().map(Object::kind).collect();
            assert_eq!(kinds, ["A", "B"], "{text:?}");
        }
    }
    let text =
        "{\"kind\": \"A\"}\n{\"kind\": \"List\", \"items\": [{\"kind\": \"B\"}, {\"kind\": \"C\"}]} \n";
    let manifests = parse(Format::Json, text);
    let found = objects(&manifests);
    let kinds: Vec<_> = found.iter().map(Object::kind).collect();
    assert_eq!(kinds, ["A", "B", "C"]);
    assert_eq!(found[2].path_to(&["metadata"]).to_string(), "items[1].metadata");
    assert_eq!(found[1].field.position().line, 2);
    let edits: Vec<Edits> = manifests.iter().map(|_| Edits::default()).collect();
    assert_eq!(manifests.render(&edits).expose(), text.as_bytes());
}

#[test]
fn errors_stand_at_the_line_of_the_file() {
    let text = "kind: Secret\n---\nkind: Secret\nstringData:\n  port: 5432\n";
    let manifests = parse(Format::Yaml, text);
    let error = Secret::read(objects(&manifests)[1].field).expect_err("no text");
    assert_eq!(
        error.to_string(),
        "5:9: stringData.port: must be a text; put it in quotes"
    );
    let text = "{\"a\": 1}\n{\"b\": }\n";
    let error = Manifests::parse(
        Format::Json,
        SecretBytes::copy_from(text.as_bytes()),
        &Limits::default(),
    )
    .expect_err("no JSON");
    assert!(error.to_string().starts_with("2:"), "{error}");
}

#[test]
fn what_the_api_server_would_refuse_is_told_before_sealing(/* FF-25 */) {
    let refusal = |text: &str| {
        let manifests = parse(Format::Yaml, text);
        let object = objects(&manifests)[0].field;
        match Secret::read(object) {
            Ok(secret) => secret.check(object).expect_err("refused").to_string(),
            Err(error) => error.to_string(),
        }
    };
    for (text, told) in [
        ("kind: Secret\n", "1:1: metadata.name: is missing"),
        ("metadata: {name: A_b}\n", "1:18: metadata.name: a name has"),
        (
            "metadata: {name: a, namespace: a.b}\n",
            "metadata.namespace: a namespace has",
        ),
        (
            "metadata: {name: a}\ndata: {k: '!'}\n",
            "2:11: data.k: is not base64",
        ),
        ("metadata: {name: a}\ndata: [k]\n", "data: must be a map"),
        (
            "metadata: {name: a}\nimmutable: 'yes'\n",
            "immutable: must be true or false",
        ),
        ("metadata: {name: a}\nstringData: {'a b': x}\n", "a key has"),
        (
            "metadata: {name: a}\nstringData: {k: true}\n",
            "stringData.k: must be a text",
        ),
        (
            "metadata: {name: a, annotations: {x: true}}\n",
            "annotations.x: must be a text",
        ),
        ("metadata: [a]\n", "metadata: must be a map"),
        ("metadata: {name: 7}\n", "name: must be a text"),
    ] {
        let error = refusal(text);
        assert!(error.contains(told), "{text}: {error}");
    }
    let long = format!(
        "metadata: {{name: a}}\nstringData:\n  a: {0}\n  b: {0}\n",
        "x".repeat(600_000)
    );
    assert!(
        refusal(&long).contains("1200000 bytes together"),
        "{}",
        refusal(&long)
    );
}

#[test]
fn findings_need_no_key() {
    let text = format!(
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db\n  annotations:\n    \
         sealedsecrets.bitnami.com/cluster-wide: \"yes\"\n    sealwright.dev/sealed-with: nonsense\nspec:\n  encryptedData:\n    \
         clear: hunter2!\n    short: AgBy\n    clear: AAAA\n    'a b': {}\n  template:\n    metadata:\n      annotations:\n        \
         sealedsecrets.bitnami.com/namespace-wide: \"true\"\n",
        "AgA=".repeat(3)
    );
    let manifests = parse(Format::Yaml, &text);
    let sealed = SealedSecret::read(objects(&manifests).remove(0)).expect("reads");
    let found: Vec<String> = verify(&sealed)
        .iter()
        .map(|finding| {
            format!(
                "{}{}: {}",
                if finding.is_error { "!" } else { "?" },
                finding.path,
                finding.what
            )
        })
        .collect();
    for told in [
        "?metadata.namespace: is missing",
        "?metadata.annotations.sealedsecrets.bitnami.com/cluster-wide: has no effect",
        "?spec.template.metadata.annotations: says namespace-wide, but",
        "!spec.encryptedData.clear: stands more than once",
        "!spec.encryptedData.clear: is not sealed",
        "!spec.encryptedData.short: is too short",
        "!spec.encryptedData.a b: a key has",
        "?metadata.annotations.sealwright.dev/sealed-with: does not name",
    ] {
        assert!(
            found.iter().any(|found| found.starts_with(told)),
            "{told}: {found:#?}"
        );
    }
    assert!(!found.iter().any(|found| found.contains("hunter2")), "{found:?}");
}

fn random(buffer: &mut [u8]) -> Result<(), RandomFailed> {
    getrandom::fill(buffer).map_err(|_| RandomFailed)
}

#[test]
fn backups_of_the_controller_are_read_as_they_are_made() {
    let new = |not_before| NewKey {
        bits: 2048,
        common_name: "",
        not_before,
        lifetime: 60,
    };
    let (old_key, old) = new(1_000).make(&mut random).expect("made");
    let (new_key, newer) = new(2_000).make(&mut random).expect("made");
    assert_eq!(
        (old.not_before(), old.not_after(), old.bits()),
        (1_000, 1_060, 2048)
    );
    assert!(old.is_expired(1_061) && !old.is_expired(1_060));
    let again = Certificate::parse(old.to_pem().as_bytes()).expect("its own PEM");
    assert_eq!(again.fingerprint(), old.fingerprint());
    let text = |bytes: &SecretBytes| {
        String::from_utf8(sealed_secrets::encoded(bytes).expose().to_vec()).expect("base64")
    };
    let secret = |name: &str, key: &SecretBytes, certificate: &Certificate| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\ndata:\n  tls.crt: {}\n  tls.key: {}\n",
            text(&SecretBytes::new(certificate.to_pem().into_bytes())),
            text(key)
        )
    };
    let documents = format!(
        "{}---\n{}",
        secret("a", &old_key, &old),
        secret("b", &new_key, &newer)
    );
    let indent = |text: &str| text.replace('\n', "\n  ").trim_end().to_owned();
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n",
        indent(&secret("a", &old_key, &old)),
        indent(&secret("b", &new_key, &newer))
    );
    let pem = [
        old_key.expose(),
        old.to_pem().as_bytes(),
        new_key.expose(),
        newer.to_pem().as_bytes(),
    ]
    .concat();
    for file in [documents.as_bytes(), list.as_bytes(), &pem] {
        let mut keys = SealingKeys::default();
        let count = keys
            .read(SecretBytes::copy_from(file), &Limits::default())
            .expect("keys");
        assert_eq!(count, 2);
        let ages: Vec<_> = keys
            .iter()
            .map(|key| (key.fingerprint(), key.not_before()))
            .collect();
        assert_eq!(
            ages,
            [
                (newer.fingerprint(), Some(2_000)),
                (old.fingerprint(), Some(1_000))
            ]
        );
    }
    for nothing in [
        &b""[..],
        b"kind: ConfigMap\n",
        old.to_pem().as_bytes(),
        b"\xff",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    ] {
        let mut keys = SealingKeys::default();
        keys.read(SecretBytes::copy_from(nothing), &Limits::default())
            .expect_err("no key");
    }
}

#[test]
fn certificates_that_cannot_be_used_are_told_apart() {
    let told = |pem: &str| {
        Certificate::parse(pem.as_bytes())
            .expect_err("refused")
            .to_string()
    };
    assert!(told("").contains("no certificate"));
    assert!(told("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").contains("no certificate"));
    assert!(told("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").contains("no X.509"));
    assert!(told("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n").contains("PEM"));
}

#[test]
fn the_object_and_not_its_template_says_the_scope() {
    let text = "kind: SealedSecret\nmetadata: {name: a}\nspec:\n  encryptedData: {}\n  template: {metadata: {annotations: {sealedsecrets.bitnami.com/cluster-wide: 'true'}}}\n";
    let manifests = parse(Format::Yaml, text);
    assert_eq!(
        SealedSecret::read(objects(&manifests).remove(0))
            .expect("reads")
            .scope,
        Scope::Strict
    );
}
