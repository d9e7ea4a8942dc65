//! The key service: `seal` and stock sops ask each other, for keys that only the service holds.

mod running;
mod strangers;
mod under_load;

use std::path::PathBuf;

use support::canary::Canary;
use support::peers;
use support::run::Tool;

use super::age::ssh_key;
use super::pgp::GnuPg;
use super::{Key, PLAIN, program, seal, sops};
use crate::scene::{Result, Scene, ended, people};
use running::{Service, free_port};

/// An age key of this test run.
fn age_key() -> Result<Key> {
    let person = &people()?[0];
    Ok(Key::age(
        person.recipient.clone(),
        "SOPS_AGE_KEY",
        person.secret.as_str(),
    ))
}

/// How a program is asked to use a service and nothing else.
fn only(endpoint: &str) -> [String; 2] {
    [
        "--enable-local-keyservice=false".to_owned(),
        format!("--keyservice={endpoint}"),
    ]
}

/// A program and the words before its command.
#[derive(Clone)]
struct Client(PathBuf, &'static [&'static str]);

impl Client {
    fn of_sops(path: PathBuf) -> Self {
        Self(path, &[])
    }

    fn ours() -> [Self; 2] {
        [Self(seal(), &[]), Self(seal(), &["sops"])]
    }

    /// The program without any key.
    fn tool(&self, scene: &Scene) -> Result<Tool> {
        Ok(program(scene, self.0.clone(), None)?.first(self.1))
    }
}

/// What `client` seals through the service the holder of the key opens, what the holder seals the client opens, and
/// without the service it opens nothing.
fn through(scene: &Scene, key: &Key, client: &Client, endpoint: &str) -> Result {
    let what = format!(
        "{} {:?}, {}, {endpoint}",
        client.0.display(),
        client.1,
        key.recipient
    );
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml")).ok();
    let (holder, client) = (program(scene, seal(), Some(key))?, client.tool(scene)?);
    let [local, service] = only(endpoint);
    let sealed = client.run([
        "encrypt",
        &local,
        &service,
        key.flag,
        &key.recipient,
        "plain.json",
    ])?;
    if !sealed.success() {
        return Err(format!("{what}: encrypt: {}", ended(&sealed)).into());
    }
    scene.write("sealed.json", sealed.stdout)?;
    let opened = holder.run(["decrypt", "sealed.json"])?;
    if opened.stdout != PLAIN {
        return Err(format!("{what}: the holder: {}", ended(&opened)).into());
    }
    let sealed = holder.run(["encrypt", key.flag, &key.recipient, "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    let opened = client.run(["decrypt", &local, &service, "sealed.json"])?;
    if opened.stdout != PLAIN {
        return Err(format!("{what}: decrypt: {}", ended(&opened)).into());
    }
    // With the local keys tried first, as both do unless told otherwise.
    let opened = client.run(["decrypt", &service, "sealed.json"])?;
    if opened.stdout != PLAIN {
        return Err(format!("{what}: decrypt, local first: {}", ended(&opened)).into());
    }
    let alone = client.run(["decrypt", "sealed.json"])?;
    match (alone.code, alone.stdout.is_empty()) {
        (Some(128), true) => Ok(()),
        _ => Err(format!("{what}: without the service: {}", ended(&alone)).into()),
    }
}

/// Both transports of a service that `server` starts, for every kind of key that can be had here, asked by `clients`.
fn both_transports(server: &Client, clients: &[Client], plain: &[&str]) -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let gnupg = GnuPg::new()?;
    let fingerprint = gnupg.generate("Somebody", "")?;
    for key in [age_key()?, gnupg.key(fingerprint)] {
        let holder =
            || -> Result<Tool> { Ok(program(&scene, server.0.clone(), Some(&key))?.first(server.1)) };
        let socket = scene.path("s.sock");
        let path = socket.to_str().ok_or("not UTF-8")?;
        let unix = match plain {
            [] => vec!["keyservice", "--network", "unix", "--address", path],
            _ => vec!["keyservice", "--address", path],
        };
        // Stock sops neither removes it when it is killed nor takes the place of one that is there.
        std::fs::remove_file(&socket).ok();
        let service = Service::start(holder()?, &unix, format!("unix://{path}"))?;
        for client in clients {
            through(&scene, &key, client, &service.endpoint)?;
        }
        drop(service);
        let address = format!("127.0.0.1:{}", free_port()?);
        let tcp = [&["keyservice", "--address", &address], plain].concat();
        let service = Service::start(holder()?, &tcp, format!("tcp://{address}"))?;
        for client in clients {
            through(&scene, &key, client, &service.endpoint)?;
        }
    }
    Ok(())
}

#[test]
fn stock_sops_asks_our_service() -> Result {
    let clients = sops()?.map(Client::of_sops);
    both_transports(&Client(seal(), &[]), &clients, &["--insecure-tcp"])
}

#[test]
fn stock_sops_asks_our_service_in_its_own_clothes() -> Result {
    let clients = sops()?.map(Client::of_sops);
    both_transports(&Client(seal(), &["sops"]), &clients, &[])
}

#[test]
fn we_ask_the_service_of_stock_sops() -> Result {
    for sops in sops()? {
        both_transports(&Client::of_sops(sops), &Client::ours(), &[])?;
    }
    Ok(())
}

/// SSH keys are age recipients with a blank in them; edits and rotations ask the service too.
#[test]
fn every_command_asks() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let (file, recipient) = ssh_key(&scene, "ed25519", &["-t", "ed25519"])?;
    let key = Key::age(recipient, "SOPS_AGE_SSH_PRIVATE_KEY_FILE", &file);
    let socket = scene.path("s.sock");
    let path = socket.to_str().ok_or("not UTF-8")?;
    let service = Service::start(
        program(&scene, seal(), Some(&key))?,
        &["keyservice", "--address", path],
        format!("unix://{path}"),
    )?;
    scene.policy(&format!(
        "creation_rules:\n  - path_regex: .\n    age: {}\n",
        key.recipient
    ))?;
    scene.write("a.json", PLAIN)?;
    // By variables, as sops names them, and a list with an empty part in it.
    let client = program(&scene, seal(), None)?
        .env("SOPS_KEYSERVICE", format!(" ,{}", service.endpoint))
        .env("SOPS_ENABLE_LOCAL_KEYSERVICE", "false");
    for arguments in [
        &["encrypt", "-i", "a.json"][..],
        &["rotate", "a.json"],
        &["unset", "a.json", "[\"b\"]"],
        &["exec-env", "a.json", "test \"$a\" = hunter2"],
        &["updatekeys", "-y", "a.json"],
        &["sops", "-d", "a.json"],
    ] {
        let done = client.run(arguments)?;
        if !done.success() {
            return Err(format!("{arguments:?}: {}", ended(&done)).into());
        }
    }
    let opened = client.run(["get", "a.json", "[\"a\"]"])?;
    assert_eq!(opened.out().trim_end(), "hunter2", "{}", ended(&opened));
    Ok(())
}

#[test]
fn services_are_asked_in_order_and_each_failure_is_told() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let key = age_key()?;
    let path = scene.path("s.sock");
    let live = format!("unix://{}", path.display());
    let dead = format!("unix://{}", scene.path("none.sock").display());
    let closed = format!("tcp://127.0.0.1:{}", free_port()?);
    let address = path.to_str().ok_or("not UTF-8")?;
    let service = Service::start(
        program(&scene, seal(), Some(&key))?,
        &["keyservice", "--address", address],
        live.clone(),
    )?;
    for client in Client::ours() {
        scene.write("plain.json", PLAIN)?;
        std::fs::remove_file(scene.path(".sops.yaml")).ok();
        let tool = client.tool(&scene)?;
        let [local, first] = only(&dead);
        let second = format!("--keyservice={live}");
        let sealed = tool.run([
            "encrypt",
            &local,
            &first,
            &second,
            "--age",
            &key.recipient,
            "plain.json",
        ])?;
        scene.write("sealed.json", sealed.expect_success()?)?;
        let opened = tool.run(["decrypt", &local, &first, &second, "sealed.json"])?;
        assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
        let none = tool.run(["decrypt", &first, "--keyservice", &closed, "sealed.json"])?;
        assert_eq!(none.code, Some(128), "{}", ended(&none));
        for words in [
            "no identity here opens it",
            &format!("{dead} cannot be reached"),
            &format!("{closed} cannot be reached"),
        ] {
            assert!(none.err().contains(words), "{words}: {}", none.err());
        }
        let none = tool.run(["encrypt", &local, &first, "--age", &key.recipient, "plain.json"])?;
        assert!(!none.success() && none.stdout.is_empty(), "{}", ended(&none));
        // Nobody is left to ask.
        let nobody = tool.run(["decrypt", &local, "sealed.json"])?;
        assert_eq!(nobody.code, Some(128), "{}", ended(&nobody));
        let wrong = tool.run(["decrypt", "--keyservice", "ftp://h:1", "sealed.json"])?;
        assert_eq!(wrong.code, Some(1), "{}", ended(&wrong));
    }
    // With its own key it opens the file without asking anybody.
    let asked = service.record()?.len();
    let holder = program(&scene, seal(), Some(&key))?;
    let opened = holder.run(["decrypt", "--keyservice", &live, "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    assert_eq!(service.record()?.len(), asked);
    Ok(())
}

/// A kind of key that nothing here works with: what the service says of it is told, and its answer is taken.
#[test]
fn keys_of_other_clouds_go_through_a_service() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let path = scene.path("s.sock");
    let address = path.to_str().ok_or("not UTF-8")?;
    let service = Service::start(
        program(&scene, peers::sops_3_13()?, None)?,
        &["keyservice", "--network", "unix", "--address", address],
        format!("unix://{address}"),
    )?;
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let [local, asked] = only(&service.endpoint);
    let tool = program(&scene, seal(), None)?.first(["sops"]);
    let key = "tr-west-1:abc12345-6789-0123-4567-890123456789";
    let refused = tool.run(["encrypt", &local, &asked, "--hckms", key, "plain.json"])?;
    assert_eq!(refused.code, Some(1), "{}", ended(&refused));
    let words = format!(
        "hckms {key}: the key service at {} could not do it",
        service.endpoint
    );
    assert!(refused.err().contains(&words), "{}", refused.err());
    Ok(())
}

/// Neither what is wrapped nor the wrapped text stands in a record, on either side, in a success or a failure.
#[test]
fn data_keys_are_in_no_record() -> Result {
    use key_providers::KeyProvider as _;
    let scene = Scene::with_identities("{}\n", &[])?;
    let key = age_key()?;
    let path = scene.path("s.sock");
    let address = path.to_str().ok_or("not UTF-8")?;
    let log = scene.path("log");
    let log_name = log.to_str().ok_or("not UTF-8")?;
    let service = Service::start(
        program(&scene, seal(), Some(&key))?,
        &["keyservice", "-vv", "--address", address, "--log", log_name],
        format!("unix://{address}"),
    )?;
    let canary = Canary::new(171);
    let client = service.client()?;
    let (own, other) = (running::age(&key.recipient), running::age("age1none"));
    let enc = running::wait(client.wrap(&own, canary.text().as_bytes()))?;
    let plaintext = running::wait(client.unwrap(&own, &enc))?;
    assert_eq!(plaintext.expose(), canary.text().as_bytes());
    let mut failures = String::new();
    for failure in [
        running::wait(client.wrap(&other, canary.text().as_bytes())).err(),
        running::wait(client.unwrap(&own, canary.text())).map(drop).err(),
    ] {
        failures.push_str(&failure.ok_or("it worked")?.to_string());
    }
    let wrapped = Canary::of(enc.lines().nth(2).ok_or("no text")?.to_owned());
    let record = std::fs::read_to_string(&log)?;
    assert_eq!(record.lines().count(), 4, "{record}");
    for text in [&record, &service.said()?, &failures] {
        for canary in [&canary, &wrapped] {
            assert!(canary.find(text.as_bytes()).is_none(), "{text}");
        }
    }
    Ok(())
}
