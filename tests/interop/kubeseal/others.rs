//! Two programs that know the format and share no code with kubeseal or with us: what they seal we open, and what we seal
//! kubesealpy opens.

use std::fs;
use std::path::PathBuf;

use secret::SecretBytes;
use support::peers;
use support::run::Tool;

use super::KEYS;
use crate::scene::Result;

/// Plaintexts that are easily got wrong.
const VALUES: [&str; 5] = ["", "x", "pä$$wörd \u{1F511}\n", "a\0b", "  two\n\nlines  "];
const SCOPES: [&str; 3] = ["strict", "namespace-wide", "cluster-wide"];
const SIZES: [&str; 2] = ["rsa-2048", "rsa-4096"];

fn key(name: &str) -> PathBuf {
    PathBuf::from(KEYS).join(name)
}

fn ours() -> Result<Tool> {
    Ok(Tool::new(env!("CARGO_BIN_EXE_seal"))?.first(["kubeseal"]))
}

/// A SealedSecret `ns/s` with one item.
fn manifest(scope: &str, item: &str) -> String {
    let annotation = match scope {
        "strict" => String::new(),
        scope => format!(", annotations: {{sealedsecrets.bitnami.com/{scope}: \"true\"}}"),
    };
    format!(
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{name: s, namespace: ns{annotation}}}\n\
         spec:\n  encryptedData: {{a: {item}}}\n"
    )
}

/// What our kubeseal finds in it, in base64.
fn opened(scope: &str, item: &str, size: &str) -> Result<String> {
    let arguments = ["--recovery-unseal", "--recovery-private-key"].map(str::to_owned);
    let path = key(&format!("{size}.key")).display().to_string();
    let input = manifest(scope, item);
    let output = ours()?.run_with_input(arguments.into_iter().chain([path]), input.as_bytes())?;
    let secret: serde_json::Value = serde_json::from_slice(&output.expect_success()?)?;
    Ok(secret["data"]["a"].as_str().ok_or("no item")?.to_owned())
}

fn encoded(value: &str) -> Result<String> {
    let bytes = sealed_secrets::encoded(&SecretBytes::copy_from(value.as_bytes()));
    Ok(String::from_utf8(bytes.expose().to_vec())?)
}

#[test]
fn kubesealpy_and_we_open_what_the_other_sealed() -> Result {
    const SEAL: &str = "
import sys, base64, kubesealpy
scope = kubesealpy.SealingScope(sys.argv[2])
sealer = kubesealpy.Sealer.from_certificate_file(sys.argv[1])
sys.stdout.write(base64.b64encode(sealer.seal_value(sys.stdin.buffer.read(), 'ns', 's', scope)).decode())
";
    const OPEN: &str = "
import sys, base64, kubesealpy
scope = kubesealpy.SealingScope(sys.argv[2])
unsealer = kubesealpy.Unsealer.from_private_key_file(sys.argv[1])
sys.stdout.buffer.write(unsealer.unseal_value(base64.b64decode(sys.stdin.read()), 'ns', 's', scope))
";
    let python = Tool::new(peers::kubesealpy()?)?;
    let run = |script: &str, file: &str, scope: &str, input: &[u8]| {
        let path = key(file).display().to_string();
        python
            .run_with_input(["-c", script, &path, scope], input)?
            .expect_success()
    };
    for (number, value) in VALUES.into_iter().enumerate() {
        let (scope, size) = (SCOPES[number % SCOPES.len()], SIZES[number % SIZES.len()]);
        let (certificate, private) = (format!("{size}.crt"), format!("{size}.key"));
        let theirs = String::from_utf8(run(SEAL, &certificate, scope, value.as_bytes())?)?;
        assert_eq!(
            opened(scope, &theirs, size)?,
            encoded(value)?,
            "{scope} {value:?}"
        );
        let path = key(&certificate).display().to_string();
        let arguments = [
            "--raw", "-n", "ns", "--name", "s", "--scope", scope, "--cert", &path,
        ];
        let ours = ours()?
            .run_with_input(arguments, value.as_bytes())?
            .expect_success()?;
        assert_eq!(
            run(OPEN, &private, scope, &ours)?,
            value.as_bytes(),
            "{scope} {value:?}"
        );
    }
    Ok(())
}

#[test]
fn what_kubeseal_encrypt_sealed_we_open() -> Result {
    const SEAL: &str = "
import { encryptSecretItem } from '@linode/kubeseal-encrypt';
import { readFileSync } from 'node:fs';
const input = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(await Promise.all(input.values.map(value => encryptSecretItem(input.pem, 'ns', value)))));
";
    let node = Tool::new("node")?.dir(peers::kubeseal_encrypt()?);
    let values: Vec<&str> = VALUES.into_iter().filter(|value| !value.is_empty()).collect();
    let input = serde_json::json!({ "pem": fs::read_to_string(key("rsa-2048.pub"))?, "values": values });
    let output = node.run_with_input(
        ["--input-type=module", "--eval", SEAL],
        input.to_string().as_bytes(),
    )?;
    let items: Vec<String> = serde_json::from_slice(&output.expect_success()?)?;
    for (value, item) in values.iter().zip(&items) {
        assert_eq!(opened("namespace-wide", item, "rsa-2048")?, encoded(value)?);
    }
    assert_eq!(items.len(), values.len());
    Ok(())
}
