//! A real OpenBao behind a network that fails (NW-01 to NW-04, NW-08, NW-12, NW-15, NW-16): the report says so, the next
//! key opens the file, nothing is written, and nobody else learns the token.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::canary::Canary;
use support::keys::Identity;
use support::openbao::OpenBao;
use support::proxy::{Fate, Proxy};
use support::run::{Output, Tool};

use super::{PLAIN, program, seal};
use crate::scene::{Result, Scene, ended};

/// `vault.json` is sealed for a transit key only, `both.json` for an age key as well; the server is asked through a
/// proxy. The token is a canary.
struct Stage {
    scene: Scene,
    proxy: Proxy,
    fate: Arc<Mutex<Fate>>,
    canary: Canary,
    identity: Identity,
    _server: OpenBao,
}

impl Stage {
    fn new(seed: u64) -> Result<Self> {
        let scene = Scene::with_identities("{}\n", &[])?;
        let server = OpenBao::start()?;
        server.bao(&["secrets", "enable", "-path", "sops", "transit"])?;
        let canary = Canary::new(seed);
        server.bao(&["token", "create", "-id", canary.text()])?;
        let target = server.address.trim_start_matches("http://").parse()?;
        let fate = Arc::new(Mutex::new(Fate::Pass(Duration::ZERO)));
        let judge = fate.clone();
        let proxy = Proxy::start(target, move |_| judge.lock().expect("no panic").clone())?;
        let stage = Self {
            identity: Identity::from_seed(seed)?,
            scene,
            proxy,
            fate,
            canary,
            _server: server,
        };
        std::fs::remove_file(stage.scene.path(".sops.yaml"))?;
        stage.scene.write("plain.json", PLAIN)?;
        let transit = format!("{}/v1/sops/keys/app", stage.proxy.address());
        let keys = ["--hc-vault-transit", &transit, "--age", &stage.identity.recipient];
        for (file, keys) in [("vault.json", &keys[..2]), ("both.json", &keys)] {
            let sealed = stage
                .seal()?
                .run([&["encrypt"], keys, &["plain.json"]].concat())?;
            stage.scene.write(file, sealed.expect_success()?)?;
        }
        Ok(stage)
    }

    fn seal(&self) -> Result<Tool> {
        Ok(program(&self.scene, seal(), None)?.env("VAULT_TOKEN", self.canary.text()))
    }

    fn meets(&self, fate: Fate) {
        *self.fate.lock().expect("no panic") = fate;
        self.proxy.reset();
    }

    /// Opening the file for the transit key alone fails with 128 and `words`; with an age key beside it, it opens.
    fn fails_with(&self, fate: Fate, words: &str) -> Result<Output> {
        let what = format!("{fate:?}");
        self.meets(fate);
        let before = std::fs::read(self.scene.path("vault.json"))?;
        let failed = self.seal()?.run(["decrypt", "-vv", "-i", "vault.json"])?;
        assert_eq!(failed.code, Some(128), "{what}: {}", ended(&failed));
        assert!(failed.err().contains(words), "{what}: {}", failed.err());
        assert!(
            failed.err().contains("/v1/sops/keys/app"),
            "{what}: {}",
            failed.err()
        );
        assert!(
            self.canary.find(&failed.stderr).is_none(),
            "{what}: the token is shown"
        );
        assert_eq!(
            std::fs::read(self.scene.path("vault.json"))?,
            before,
            "{what}: it was written"
        );
        let start = Instant::now();
        let opened = self.with_age()?.run(["decrypt", "both.json"])?;
        assert_eq!(opened.stdout, PLAIN, "{what}: {}", ended(&opened));
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{what}: the other key waited"
        );
        Ok(failed)
    }

    /// The transit key comes first in the order, so that it is the one that is waited for.
    fn with_age(&self) -> Result<Tool> {
        Ok(self
            .seal()?
            .env("SOPS_DECRYPTION_ORDER", "hc_vault,age")
            .env("SOPS_AGE_KEY", &self.identity.secret))
    }
}

/// Telling about a file costs its service one call for whose token it is, one to open and one to seal.
#[test]
fn explain_asks_a_service_once_for_each_thing() -> Result {
    let stage = Stage::new(98)?;
    stage.meets(Fate::Pass(Duration::ZERO));
    let explained = stage.seal()?.run(["explain", "vault.json"])?;
    let said = explained.out();
    for words in ["opens the file here", "opening: allowed", "sealing: allowed"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(stage.proxy.calls(), 3, "{said}");
    Ok(())
}

/// NW-02, NW-03, NW-04, NW-08, NW-12.
#[test]
fn answers_that_are_none() -> Result {
    let stage = Stage::new(92)?;
    let body = |bytes: usize| "{\"data\":".to_owned() + &" ".repeat(bytes);
    let json = |text: &str| Fate::Answer(200, Vec::new(), text.to_owned());
    let data = |text: &str| {
        let rest = r#""request_id":"","lease_id":"","renewable":false,"lease_duration":0,"wrap_info":null"#;
        json(&format!(
            r#"{{{rest},"warnings":null,"auth":null,"data":{text}}}"#
        ))
    };
    for (fate, words) in [
        (Fate::Close, "cannot be reached"),
        (Fate::Cut(0), "cannot be reached"),
        (Fate::Cut(20), "cannot be reached"),
        (json("no JSON at all"), "not an answer of Vault"),
        (json("{}"), "not an answer of Vault"),
        (data("null"), "holds no plaintext"),
        (data(r#"{"plaintext":"%%"}"#), "no Base64"),
        (json(&body(5 << 20)), "4 MiB"),
        (Fate::Answer(500, Vec::new(), body(8)), "500"),
        (Fate::Answer(502, Vec::new(), body(8)), "502"),
        (Fate::Answer(503, Vec::new(), body(8)), "sealed or not ready"),
        (Fate::Answer(473, Vec::new(), body(8)), "sealed or not ready"),
        (
            Fate::Answer(429, vec!["Retry-After: 1000000000".into()], body(8)),
            "no more requests",
        ),
        (Fate::Answer(404, Vec::new(), body(8)), "has no sops/decrypt/app"),
    ] {
        stage.fails_with(fate, words)?;
    }
    // What may recover is asked again, at most four times; what will not is asked once.
    stage.meets(Fate::Answer(500, Vec::new(), String::new()));
    stage.seal()?.run(["decrypt", "vault.json"])?;
    assert_eq!(stage.proxy.calls(), 4);
    stage.meets(Fate::Answer(403, Vec::new(), String::new()));
    stage.seal()?.run(["decrypt", "vault.json"])?;
    assert_eq!(stage.proxy.calls(), 1);
    // A data key of another length is none.
    stage.meets(data(r#"{"plaintext":"aGk="}"#));
    let short = stage.seal()?.run(["decrypt", "vault.json"])?;
    assert!(short.err().contains("2 bytes instead of 32"), "{}", short.err());
    Ok(())
}

/// NW-03: a server that recovers is waited for.
#[test]
fn a_server_that_recovers_gives_the_key() -> Result {
    let stage = Stage::new(93)?;
    let failures = Arc::new(AtomicUsize::new(2));
    let target = stage.proxy.socket;
    let flaky = Proxy::start(target, move |_| {
        match failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(2) => Fate::Answer(503, Vec::new(), String::new()),
            Ok(_) => Fate::Answer(429, vec!["Retry-After: 0".into()], String::new()),
            Err(_) => Fate::Pass(Duration::ZERO),
        }
    })?;
    let sealed = std::fs::read_to_string(stage.scene.path("vault.json"))?;
    let moved = sealed.replace(&stage.proxy.address(), &flaky.address());
    stage.scene.write("moved.json", moved)?;
    // The address is not under the MAC, but under the integrity field: a moved server is another recipient.
    let opened = stage.seal()?.run(["decrypt", "--ignore-mac", "moved.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    assert_eq!(flaky.calls(), 3);
    Ok(())
}

/// NW-01 and NW-15: nobody answers. The other key does not wait for that; alone it takes the 30 s that a call may take.
#[test]
fn a_server_that_says_nothing() -> Result {
    let stage = Stage::new(94)?;
    for fate in [Fate::Silence, Fate::Drip(Duration::from_millis(500))] {
        stage.meets(fate);
        let start = Instant::now();
        let opened = stage.with_age()?.run(["decrypt", "both.json"])?;
        assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    stage.meets(Fate::Silence);
    let start = Instant::now();
    let failed = stage
        .seal()?
        .limit(Duration::from_secs(120))
        .run(["decrypt", "vault.json"])?;
    assert_eq!(failed.code, Some(128), "{}", ended(&failed));
    assert!(failed.err().contains("within 30 s"), "{}", failed.err());
    let took = start.elapsed().as_secs();
    assert!((29..60).contains(&took), "{took} s");
    Ok(())
}

/// A dead server costs a run one wait, not one for each file.
#[test]
fn a_dead_server_is_asked_once_in_a_run() -> Result {
    let stage = Stage::new(95)?;
    let sealed = std::fs::read_to_string(stage.scene.path("vault.json"))?;
    // Taken, so that nobody else gets it, and never listened to.
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let dead = taken.local_addr()?;
    drop(taken);
    let moved = sealed.replace(&stage.proxy.address(), &format!("http://{dead}"));
    std::fs::create_dir(stage.scene.path("tree"))?;
    for number in 0..40 {
        let other = moved.replace("vault:v1:", &format!("vault:v1:{number}"));
        stage.scene.write(&format!("tree/{number}.json"), other)?;
    }
    let start = Instant::now();
    let failed = stage.seal()?.run(["decrypt", "-i", "tree"])?;
    assert_eq!(failed.code, Some(128), "{}", ended(&failed));
    assert_eq!(
        failed.err().matches("cannot be reached").count(),
        40,
        "{}",
        failed.err()
    );
    assert!(start.elapsed() < Duration::from_secs(10));
    Ok(())
}

/// NW-12: neither the token nor the request goes where a server points.
#[test]
fn redirects_are_not_followed() -> Result {
    let stage = Stage::new(96)?;
    let other = Proxy::start(stage.proxy.socket, |_| Fate::Close)?;
    for status in [301, 302, 307, 308] {
        for place in [
            other.address(),
            stage.proxy.address(),
            "http://169.254.169.254".into(),
        ] {
            let location = format!("Location: {place}/v1/sops/decrypt/app");
            stage.fails_with(Fate::Answer(status, vec![location], String::new()), "redirect")?;
        }
    }
    assert_eq!(other.calls(), 0);
    Ok(())
}

/// Many files, one call for each wrapped key, many calls at once; what several files share is asked once.
#[test]
fn a_tree_asks_once_for_each_key_and_at_the_same_time() -> Result {
    let stage = Stage::new(97)?;
    std::fs::create_dir(stage.scene.path("tree"))?;
    let files: Vec<String> = (0..60).map(|number| format!("tree/{number}.json")).collect();
    for file in &files {
        stage.scene.write(file, PLAIN)?;
    }
    let transit = format!("{}/v1/sops/keys/app", stage.proxy.address());
    let rule = format!("creation_rules:\n- path_regex: ^tree/\n  hc_vault_transit_uri: {transit}\n");
    stage.scene.write(".sops.yaml", rule)?;
    stage.meets(Fate::Pass(Duration::from_millis(300)));
    stage.seal()?.run(["seal", "tree"])?.expect_success()?;
    assert_eq!(stage.proxy.calls(), 60);
    assert!(
        stage.proxy.most_at_once() >= 20,
        "{} at once",
        stage.proxy.most_at_once()
    );
    stage.proxy.reset();
    let opened = stage.seal()?.run(["decrypt", "-v", "-i", "tree"])?;
    assert!(opened.success(), "{}", ended(&opened));
    assert_eq!(stage.proxy.calls(), 60);
    assert!(
        stage.proxy.most_at_once() >= 20,
        "{} at once",
        stage.proxy.most_at_once()
    );
    for file in &files {
        assert_eq!(std::fs::read(stage.scene.path(file))?, PLAIN);
    }
    let shared = std::fs::read(stage.scene.path("vault.json"))?;
    for file in &files {
        stage.scene.write(file, &shared)?;
    }
    stage.proxy.reset();
    let opened = stage.seal()?.run(["decrypt", "-v", "-i", "tree"])?;
    assert!(opened.success(), "{}", ended(&opened));
    assert_eq!(stage.proxy.calls(), 1);
    assert!(
        opened.err().contains("keys unwrapped: 1, known already: 59"),
        "{}",
        opened.err()
    );
    Ok(())
}

/// NW-16: a server is reached through the proxy that the environment names, a login for it stands in no text, and what
/// `NO_PROXY` or this machine is, is reached without.
#[test]
fn proxies_of_the_environment() -> Result {
    let stage = Stage::new(95)?;
    let login = Canary::new(96);
    let proxy = stage.proxy.address().replace("http://", "");
    let far = "http://vault.example.org/v1/sops/keys/app";
    let encrypt = ["encrypt", "-vv", "--hc-vault-transit", far, "plain.json"];
    let through = |address: &str| -> Result<Tool> {
        let value = format!("http://ada:{}@{address}", login.text());
        Ok(stage.seal()?.env("HTTP_PROXY", &value).env("HTTPS_PROXY", value))
    };
    stage.proxy.reset();
    let sealed = through(&proxy)?.run(encrypt)?;
    assert!(sealed.success(), "{}", ended(&sealed));
    assert!(stage.proxy.calls() > 0);
    stage.scene.write("far.json", &sealed.stdout)?;
    assert_eq!(through(&proxy)?.run(["decrypt", "far.json"])?.stdout, PLAIN);

    let dead = TcpListener::bind("127.0.0.1:0")?;
    let closed = dead.local_addr()?.to_string();
    drop(dead);
    let refused = through(&closed)?.run(["decrypt", "-vv", "far.json"])?;
    assert_eq!(refused.code, Some(128), "{}", ended(&refused));
    assert!(refused.err().contains("cannot be reached"), "{}", refused.err());
    for canary in [&login, &stage.canary] {
        assert!(canary.find(&refused.stderr).is_none(), "{}", refused.err());
    }
    // The name has no address here, so that only the proxy could have led there.
    let excepted = through(&proxy)?.env("NO_PROXY", "example.org");
    let refused = excepted.run(["decrypt", "far.json"])?;
    assert_eq!(refused.code, Some(128), "{}", ended(&refused));
    assert!(refused.err().contains("vault.example.org"), "{}", refused.err());
    // This machine is never on the other side of a proxy.
    let near = through(&closed)?.run(["decrypt", "vault.json"])?;
    assert_eq!(near.stdout, PLAIN, "{}", ended(&near));
    Ok(())
}
