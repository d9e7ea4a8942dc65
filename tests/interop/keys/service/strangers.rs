//! LK-12: who is not served, and how a service begins and ends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use key_providers::KeyProvider as _;
use rustix::process::{Signal, Uid};
use rustix::thread::set_thread_res_uid;

use super::running::{Service, age, free_port, wait};
use super::{age_key, only};
use crate::keys::{PLAIN, program, seal};
use crate::scene::{Result, Scene, ended};

#[test]
fn a_port_without_tls_is_not_opened_by_chance() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let seal = program(&scene, seal(), None)?;
    let address = format!("127.0.0.1:{}", free_port()?);
    for arguments in [
        &["--address", &address][..],
        &["--address", &address, "--tls-cert", "c"],
        &["--address", &address, "--tls-cert", "c", "--tls-key", "k"],
    ] {
        let refused = seal.run([&["keyservice"], arguments].concat())?;
        assert!(!refused.success(), "{}", ended(&refused));
        assert!(
            refused.err().contains("--client-ca") || refused.err().contains("--tls-key"),
            "{}",
            refused.err()
        );
    }
    let nowhere = seal.run(["keyservice"])?;
    assert_eq!(nowhere.code, Some(1), "{}", ended(&nowhere));
    assert!(nowhere.err().contains("XDG_RUNTIME_DIR"), "{}", nowhere.err());
    let insecure = Service::start(
        program(&scene, super::seal(), None)?,
        &["keyservice", "--insecure-tcp", "--address", &address],
        format!("tcp://{address}"),
    )?;
    assert!(insecure.said()?.contains("warning: there is no TLS"));
    let taken = seal.run(["keyservice", "--insecure-tcp", "--address", &address])?;
    assert_eq!(taken.code, Some(1), "{}", ended(&taken));
    Ok(())
}

/// As its own user, in its own folder, once; and it leaves nothing behind.
#[test]
fn the_socket_is_its_users_own() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let key = age_key()?;
    let runtime = tempfile::TempDir::with_prefix("run-")?;
    let path = runtime.path().join("sealwright/keyservice.sock");
    let endpoint = format!("unix://{}", path.display());
    let start = || -> Result<Service> {
        let tool = program(&scene, seal(), Some(&key))?.env("XDG_RUNTIME_DIR", runtime.path());
        Service::start(tool, &["keyservice"], endpoint.clone())
    };
    let mut service = start()?;
    let mode = |path: &std::path::Path| -> Result<u32> {
        Ok(std::fs::symlink_metadata(path)?.permissions().mode() & 0o777)
    };
    assert_eq!(mode(&path)?, 0o600);
    assert_eq!(mode(path.parent().ok_or("no folder")?)?, 0o700);
    assert!(service.said()?.contains(&format!("listening on {endpoint}")));
    let second = program(&scene, seal(), None)?.env("XDG_RUNTIME_DIR", runtime.path());
    let second = second.run(["keyservice"])?;
    assert_eq!(second.code, Some(1), "{}", ended(&second));
    assert!(second.err().contains("listens on it already"), "{}", second.err());
    for signal in [Signal::TERM, Signal::INT] {
        service.signal(signal)?;
        assert_eq!(service.ended()?, Some(0), "{}", service.said()?);
        assert!(!path.exists());
        service = start()?;
    }
    // Killed, it leaves its socket, and the next one takes the place.
    service.signal(Signal::KILL)?;
    service.ended()?;
    assert!(path.exists());
    let service = start()?;
    let enc = wait(service.client()?.wrap(&age(&key.recipient), b"x"))?;
    let again = wait(service.client()?.unwrap(&age(&key.recipient), &enc))?;
    assert_eq!(again.expose(), b"x");
    let record = service.record()?;
    assert_eq!(record[0]["peer"]["uid"], rustix::process::geteuid().as_raw());
    assert_eq!(record[0]["peer"]["pid"], std::process::id());
    assert_eq!(record[1]["key"]["name"], key.recipient.as_str());
    assert_eq!(record[1]["result"], "ok");
    Ok(())
}

/// The socket's mode keeps another user out; where somebody changed it, the user is looked at. What a client of this
/// user sent is no pass for them either.
#[test]
fn another_user_is_refused() -> Result {
    if !rustix::process::geteuid().is_root() {
        return Err("this test needs root, to become another user".into());
    }
    let scene = Scene::with_identities("{}\n", &[])?;
    let key = age_key()?;
    let path = scene.path("s.sock");
    let address = path.to_str().ok_or("not UTF-8")?;
    let service = Service::start(
        program(&scene, seal(), Some(&key))?,
        &["keyservice", "--address", address],
        format!("unix://{address}"),
    )?;
    let enc = wait(service.client()?.wrap(&age(&key.recipient), b"x"))?;
    let before = service.record()?.len();
    std::fs::set_permissions(scene.folder(), std::fs::Permissions::from_mode(0o755))?;
    assert_eq!(as_user(65534, &path)?, "no permission");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    assert_eq!(as_user(65534, &path)?, "closed");
    assert_eq!(as_user(0, &path)?, "answered");
    assert!(service.said()?.contains("\"result\":\"refused\""));
    assert!(service.said()?.contains("\"uid\":65534"));
    assert_eq!(service.record()?.len(), before);
    assert!(wait(service.client()?.unwrap(&age(&key.recipient), &enc)).is_ok());
    Ok(())
}

/// What a user gets who connects and begins to speak HTTP/2. The thread that asks is theirs, and no other one.
fn as_user(user: u32, path: &Path) -> Result<&'static str> {
    let ask = || -> Result<&'static str> {
        let uid = Some(Uid::from_raw(user));
        set_thread_res_uid(uid, uid, uid)?;
        let mut stream = match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok("no permission"),
            stream => stream?,
        };
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let sent = stream.write_all(preface);
        Ok(match sent.and_then(|()| stream.read(&mut [0; 100])) {
            Ok(1..) => "answered",
            Err(error) if error.kind() == ErrorKind::WouldBlock => "nothing",
            Ok(0) | Err(_) => "closed",
        })
    };
    std::thread::scope(|scope| scope.spawn(ask).join()).map_err(|_| "the thread panicked")?
}

/// The one key that is allowed is served without a question, the others after a yes, each time anew.
#[test]
fn a_person_is_asked_and_a_list_is_kept_to() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let key = age_key()?;
    let path = scene.path("s.sock");
    let address = path.to_str().ok_or("not UTF-8")?;
    let endpoint = format!("unix://{address}");
    let holder = || program(&scene, seal(), Some(&key));
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let sealed = holder()?.run(["encrypt", "--age", &key.recipient, "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    let [local, asked] = only(&endpoint);
    let client = program(&scene, seal(), None)?;
    let open = || client.run(["decrypt", &local, &asked, "sealed.json"]);
    let stock = program(&scene, support::peers::sops_3_11()?, None)?;
    for program in [&["keyservice"][..], &["sops", "keyservice", "--network", "unix"]] {
        let arguments = [program, &["--prompt", "--address", address]].concat();
        let mut service = Service::start(holder()?, &arguments, endpoint.clone())?;
        let mut typed = service.child.stdin.take().ok_or("no input")?;
        typed.write_all(b"what?\ny\nn\ny\n")?;
        assert_eq!(open()?.stdout, PLAIN, "{}", service.said()?);
        let denied = open()?;
        assert_eq!(denied.code, Some(128), "{}", ended(&denied));
        assert!(denied.err().contains("denied the request"), "{}", denied.err());
        let opened = stock.run(["decrypt", &local, &asked, "sealed.json"])?;
        assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
        drop(typed);
        assert_eq!(open()?.code, Some(128), "the end of the input is a no");
        let results: Vec<_> = service.record()?;
        let results: Vec<_> = results.iter().map(|record| record["result"].as_str()).collect();
        assert_eq!(results, [Some("ok"), Some("denied"), Some("ok"), Some("denied")]);
        assert!(
            service
                .said()?
                .contains(&format!("decrypt with age {}", key.recipient))
        );
    }
    let listed = ["keyservice", "--address", address, "--allow", &key.recipient];
    let service = Service::start(holder()?, &listed, endpoint.clone())?;
    assert_eq!(open()?.stdout, PLAIN, "{}", service.said()?);
    drop(service);
    let other = ["keyservice", "--address", address, "--allow", "age1other"];
    let service = Service::start(holder()?, &other, endpoint.clone())?;
    assert_eq!(open()?.code, Some(128), "{}", service.said()?);
    Ok(())
}

/// A root, and what it vouches for.
struct Authority(rcgen::Issuer<'static, rcgen::KeyPair>);

impl Authority {
    /// Writes its certificate to `NAME.pem`.
    fn new(scene: &Scene, name: &str) -> Result<Self> {
        let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate()?;
        scene.write(&format!("{name}.pem"), parameters.self_signed(&key)?.pem())?;
        Ok(Self(rcgen::Issuer::new(parameters, key)))
    }

    /// Writes a certificate for `subject` to `NAME.pem` and its key to `NAME.key`.
    fn certify(&self, scene: &Scene, name: &str, subject: &str) -> Result {
        let parameters = rcgen::CertificateParams::new(vec![subject.to_owned()])?;
        let key = rcgen::KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.0)?;
        scene.write(&format!("{name}.pem"), certificate.pem())?;
        Ok(scene.write(&format!("{name}.key"), key.serialize_pem())?)
    }
}

#[test]
fn behind_tls_only_known_clients_are_served() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let key = age_key()?;
    let (ours, theirs) = (Authority::new(&scene, "ca")?, Authority::new(&scene, "other-ca")?);
    ours.certify(&scene, "server", "127.0.0.1")?;
    ours.certify(&scene, "client", "somebody")?;
    theirs.certify(&scene, "stranger", "somebody")?;
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let sealed = program(&scene, seal(), Some(&key))?;
    let sealed = sealed.run(["encrypt", "--age", &key.recipient, "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let arguments = ["keyservice", "--address", &address, "--tls-cert", "server.pem"];
    let more = ["--tls-key", "server.key", "--client-ca", "ca.pem"];
    let service = Service::start(
        program(&scene, seal(), Some(&key))?,
        &[&arguments[..], &more].concat(),
        format!("https://{address}"),
    )?;
    assert!(!service.said()?.contains("warning"), "{}", service.said()?);
    let [local, asked] = only(&service.endpoint);
    let open = |ca: &str, shown: &str| {
        let tool = program(&scene, seal(), None)?;
        let (ca, cert) = (
            format!("--keyservice-ca={ca}.pem"),
            format!("--keyservice-cert={shown}.pem"),
        );
        let key = format!("--keyservice-key={shown}.key");
        let shown = if shown.is_empty() {
            &[][..]
        } else {
            &[&*cert, &key]
        };
        let arguments = [&["decrypt", &*local, &asked, &ca][..], shown, &["sealed.json"]].concat();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(tool.run(arguments)?)
    };
    let opened = open("ca", "client")?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    for (ca, shown) in [("ca", ""), ("ca", "stranger"), ("other-ca", "client")] {
        let refused = open(ca, shown)?;
        assert_eq!(refused.code, Some(128), "{ca} {shown}: {}", ended(&refused));
        assert!(refused.err().contains(&service.endpoint), "{}", refused.err());
    }
    let record = service.record()?;
    assert_eq!(record.len(), 1, "{record:?}");
    let shown = record[0]["peer"]["certificate_sha256"].as_str();
    assert_eq!(shown.map(str::len), Some(64));
    let plain = format!("--keyservice=tcp://{address}");
    let stock = program(&scene, support::peers::sops_3_13()?, None)?;
    let refused = stock.run(["decrypt", &local, &plain, "sealed.json"])?;
    assert_eq!(refused.code, Some(128), "{}", ended(&refused));
    // A file that is not there, and one that is no certificate.
    assert_eq!(open("none", "client")?.code, Some(100));
    scene.write("empty.pem", "")?;
    let empty = open("empty", "client")?;
    assert_eq!(empty.code, Some(1), "{}", ended(&empty));
    Ok(())
}
