//! The other backends, and what a run without any costs.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::Value;
use support::canary::Canary;
use support::peers;
use support::postgres::Postgres;

use super::{CONFIG, POLICY, Program, audited, connection, postgres, scene_of};
use crate::scene::{Result, Scene, ended};

fn lines(scene: &Scene) -> Result<Vec<Value>> {
    let text = String::from_utf8(scene.read("log")?)?;
    assert!(text.ends_with('\n'), "{text:?}");
    Ok(text
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?)
}

/// Programs that run at the same time add whole lines, and no line holds a value or a key.
#[test]
fn lines_of_a_file() -> Result {
    let canary = Canary::new(0xa0e1);
    let scene = Scene::with_identities(POLICY, &[0])?;
    scene.write("p.yaml", format!("{0}: {0}\nc: {0}\n", canary.text()))?;
    scene.write("e.yaml", scene.must(&["encrypt", "p.yaml"])?)?;
    let (runs, files) = (6, 40);
    for run in 0..runs {
        for file in 0..files {
            scene.write(&format!("{run}/{file}.yaml"), scene.read("e.yaml")?)?;
        }
    }
    let log = scene.path("log");
    scene.write(
        CONFIG,
        format!("backends:\n  file:\n    - path: {}\n", log.display()),
    )?;
    std::thread::scope(|scope| -> Result {
        let run = |run: usize| -> Result {
            let tool = Program::seal().tool(&scene)?;
            let output = tool.run(["rotate", &run.to_string()])?;
            match output.success() {
                true => Ok(()),
                false => Err(ended(&output).into()),
            }
        };
        let all: Vec<_> = (0..runs).map(|number| scope.spawn(move || run(number))).collect();
        all.into_iter()
            .try_for_each(|run| run.join().map_err(|_| "a panic")?)
    })?;
    let lines = lines(&scene)?;
    assert_eq!(lines.len(), runs * files * 3);
    let mut told: Vec<(&str, &str)> = lines
        .iter()
        .filter_map(|line| Some((line["action"].as_str()?, line["file"].as_str()?)))
        .collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), runs * files * 3);
    assert!(
        told.iter()
            .all(|(_, file)| file.starts_with(&scene.folder().display().to_string()))
    );
    let line = &lines[0];
    assert_eq!(line["tool"], concat!("seal ", env!("CARGO_PKG_VERSION")));
    for field in ["time", "user", "host"] {
        assert!(
            line[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field}: {line}"
        );
    }
    assert!(line["uid"].is_number(), "{line}");
    assert_eq!(line.as_object().map(|line| line.len()), Some(7), "{line}");
    let text = scene.read("log")?;
    assert_eq!(canary.find(&text), None);
    assert!(!text.windows(4).any(|four| four == b"age1"));
    assert_eq!(std::fs::metadata(log)?.permissions().mode() & 0o777, 0o600);
    Ok(())
}

#[test]
fn datagrams_of_syslog() -> Result {
    let canary = Canary::new(0xa0e2);
    let scene = Scene::with_identities(POLICY, &[0])?;
    scene.write("p.yaml", format!("a: {}\n", canary.text()))?;
    scene.write("e.yaml", scene.must(&["encrypt", "p.yaml"])?)?;
    let socket = scene.path("syslog");
    let log = UnixDatagram::bind(&socket)?;
    log.set_read_timeout(Some(Duration::from_secs(10)))?;
    scene.write(
        CONFIG,
        format!("backends: {{syslog: [{{socket: {}}}]}}", socket.display()),
    )?;
    let output = Program::seal()
        .tool(&scene)?
        .run(["set", "e.yaml", "[\"b\"]", "1"])?;
    assert!(output.success(), "{}", ended(&output));
    for action in ["decrypt", "encrypt"] {
        let mut buffer = [0; 4096];
        let length = log.recv(&mut buffer)?;
        let text = std::str::from_utf8(&buffer[..length])?;
        let json = text
            .strip_prefix("<85>seal[")
            .and_then(|text| text.split_once("]: "));
        let json: Value = serde_json::from_str(json.ok_or(text)?.1)?;
        assert_eq!(json["action"], action);
        assert_eq!(json["file"], scene.path("e.yaml").display().to_string());
        assert_eq!(canary.find(text.as_bytes()), None);
    }
    drop(log);
    let output = Program::seal().tool(&scene)?.run(["decrypt", "e.yaml"])?;
    assert_eq!(
        (output.code, output.out().as_str()),
        (Some(1), ""),
        "{}",
        ended(&output)
    );
    Ok(())
}

/// All backends are told; sops passes over ours and goes on. The first that refuses ends it.
#[test]
fn several_backends() -> Result {
    let server = Postgres::start()?;
    let scene = scene_of(&server)?;
    let table = postgres(&connection(&server, "127.0.0.1", "sslmode=disable"));
    let log = scene.path("log");
    scene.write(
        CONFIG,
        format!(
            "{table}  file:\n    - path: {0}\n    - path: {0}2\n",
            log.display()
        ),
    )?;
    for program in Program::sops()?
        .into_iter()
        .chain([Program::seal_as_sops(), Program::seal()])
    {
        let output = program.tool(&scene)?.run(["decrypt", "e.yaml"])?;
        assert!(output.success(), "{program:?}: {}", ended(&output));
        assert_eq!(server.rows()?.len(), 1, "{program:?}");
    }
    assert_eq!(lines(&scene)?.len(), 2, "ours twice");
    assert_eq!(scene.read("log")?, scene.read("log2")?);
    scene.write(CONFIG, format!("{table}  file: [{{path: /dev/full}}]\n"))?;
    let output = Program::seal().tool(&scene)?.run(["decrypt", "e.yaml"])?;
    assert_eq!(
        (output.code, output.out().as_str()),
        (Some(1), ""),
        "{}",
        ended(&output)
    );
    assert!(
        output.err().contains("audit log: file /dev/full"),
        "{}",
        output.err()
    );
    Ok(())
}

/// The server's name and the user's are looked up without the C library, which would first open `nsswitch.conf` to learn
/// what to load: the log and the services of keys work in a program that has a C library of its own linked in.
#[test]
fn names_are_looked_up_without_the_c_library() -> Result {
    let server = Postgres::start()?;
    let scene = scene_of(&server)?;
    let trace = scene.path("trace");
    let trace = trace.to_string_lossy();
    let connection = connection(&server, "localhost", "sslmode=disable");
    scene.write(CONFIG, postgres(&connection))?;
    let strace = peers::strace()?;
    let files = |program: &str, arguments: &[&str]| -> Result<String> {
        let first = ["-f", "-e", "trace=%file", "-o", &trace, program];
        // No variable answers for the user's home.
        let output = audited(&scene, &strace, &first)?.env("HOME", "").run(arguments)?;
        assert!(output.success(), "{program} {arguments:?}: {}", ended(&output));
        Ok(String::from_utf8(scene.read("trace")?)?)
    };
    // One that asks the C library is caught.
    let asked = files("getent", &["hosts", "localhost"])?;
    assert!(asked.contains("nsswitch.conf"), "{asked}");
    server.rows()?;
    let calls = files(env!("CARGO_BIN_EXE_seal"), &["decrypt", "e.yaml"])?;
    assert_eq!(server.rows()?.len(), 1, "the server was reached by name");
    assert!(
        calls.contains("/etc/hosts") && calls.contains("/etc/passwd"),
        "{calls}"
    );
    let loads: Vec<&str> = calls
        .lines()
        .filter(|line| {
            ["nsswitch", "libnss", "nscd"]
                .iter()
                .any(|part| line.contains(part))
        })
        .collect();
    assert!(loads.is_empty(), "{loads:?}");
    Ok(())
}

/// Without the file: one look for it, and no thread more.
#[test]
fn without_a_log_one_look_is_all() -> Result {
    let scene = Scene::with_identities(POLICY, &[0])?;
    scene.write("p.yaml", "a: b\n")?;
    scene.write("e.yaml", scene.must(&["encrypt", "p.yaml"])?)?;
    std::fs::create_dir_all(scene.path("etc/sops"))?;
    let trace = scene.path("trace");
    let trace = trace.to_string_lossy();
    let first = [
        "-f",
        "-e",
        "trace=openat,open,clone,clone3,socket",
        "-o",
        &trace,
        env!("CARGO_BIN_EXE_seal"),
    ];
    let output = audited(&scene, &peers::strace()?, &first)?.run(["decrypt", "e.yaml"])?;
    assert!(output.success(), "{}", ended(&output));
    let calls = String::from_utf8(scene.read("trace")?)?;
    let looks: Vec<&str> = calls.lines().filter(|line| line.contains("audit.yaml")).collect();
    assert!(
        matches!(looks[..], [look] if look.contains("ENOENT")),
        "{looks:?}"
    );
    assert!(!calls.contains("clone") && !calls.contains("socket("), "{calls}");
    Ok(())
}
