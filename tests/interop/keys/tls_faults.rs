//! NW-11: servers whose TLS is wrong. Each fault is told by its own reason, no token is sent, and the next key opens.

use support::canary::Canary;
use support::keys::Identity;
use support::tls_faults::{TLS_FAULTS, TlsFault, start};

use super::{PLAIN, program, seal, sops};
use crate::scene::{Result, Scene, ended};

fn reason(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::Expired => "certificate expired",
        TlsFault::NotYetValid => "not valid yet",
        TlsFault::OtherName => "not valid for name",
        TlsFault::UnknownAuthority => "UnknownIssuer",
        TlsFault::OldVersion => "ProtocolVersion",
        TlsFault::Plain => "corrupt message",
        TlsFault::ClientCertificate => "CertificateRequired",
    }
}

#[test]
fn each_fault_of_tls_is_told_by_its_reason() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    scene.write("plain.json", PLAIN)?;
    let identity = Identity::from_seed(97)?;
    let [sops, _] = sops()?;
    // Files of sops: what they name can be changed without their keys.
    let sealed = program(&scene, sops, None)?.run(["encrypt", "--age", &identity.recipient, "plain.json"])?;
    let sealed: serde_json::Value = serde_json::from_slice(&sealed.expect_success()?)?;
    let canary = Canary::new(97);
    for fault in TLS_FAULTS {
        let (port, authority) = start(fault)?;
        scene.write("ca.pem", authority)?;
        let address = format!("https://localhost:{port}");
        let mut both = sealed.clone();
        both["sops"]["hc_vault"] = serde_json::json!([{
            "vault_address": address, "engine_path": "sops", "key_name": "app",
            "created_at": "2026-01-01T00:00:00Z", "enc": "vault:v1:AAAA",
        }]);
        scene.write("both.json", both.to_string())?;
        let tool = || -> Result<_> {
            let tool = program(&scene, seal(), None)?;
            Ok(tool
                .env("VAULT_TOKEN", canary.text())
                .env("VAULT_CACERT", scene.path("ca.pem"))
                .env("SOPS_DECRYPTION_ORDER", "hc_vault,age"))
        };
        let refused = tool()?.run(["decrypt", "-vv", "both.json"])?;
        assert_eq!(refused.code, Some(128), "{fault:?}: {}", ended(&refused));
        for words in [reason(fault), address.as_str()] {
            assert!(
                refused.err().contains(words),
                "{fault:?}, {words}: {}",
                refused.err()
            );
        }
        assert!(
            canary.find(&refused.stderr).is_none(),
            "{fault:?}: the token is shown"
        );
        let opened = tool()?
            .env("SOPS_AGE_KEY", &identity.secret)
            .run(["decrypt", "both.json"])?;
        let values: serde_json::Value = serde_json::from_slice(&opened.expect_success()?)?;
        assert_eq!(
            values,
            serde_json::from_slice::<serde_json::Value>(PLAIN)?,
            "{fault:?}"
        );
    }
    Ok(())
}
