//! An audit log that cannot be written: nothing is opened, sealed or written.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::canary::Canary;
use support::postgres::{PASSWORD, Postgres};

use super::{CONFIG, POLICY, Program, connection, postgres, scene_of};
use crate::scene::{Result, Scene, ended};

/// Commands that would open or seal something, and whether sops refuses them in the same way.
const COMMANDS: [&[&str]; 11] = [
    &["encrypt", "p.yaml"],
    &["encrypt", "-i", "p.yaml"],
    &["decrypt", "e.yaml"],
    &["decrypt", "-i", "e.yaml"],
    &["decrypt", "--output", "out.yaml", "e.yaml"],
    &["rotate", "-i", "e.yaml"],
    &["set", "e.yaml", "[\"a\"]", "1"],
    &["edit", "e.yaml"],
    &["updatekeys", "-y", "two.yaml"],
    &["exec-env", "e.yaml", "touch ran"],
    &["keyservice", "--network", "unix", "--address", "ks.sock"],
];

const NATIVE: [&[&str]; 8] = [
    &["decrypt", "e.yaml"],
    &["decrypt", "--output-dir", "out", "."],
    &["get", "e.yaml", "[\"a\"]"],
    &["set", "e.yaml", "[\"a\"]", "1"],
    &["rotate", "e.yaml"],
    &["updatekeys", "--yes", "two.yaml"],
    &["exec-file", "e.yaml", "touch ran"],
    &["keyservice", "--address", "./ks.sock"],
];

/// A scene without a log, with a marker in every value.
fn marked(canary: &Canary) -> Result<Scene> {
    let scene = Scene::with_identities(POLICY, &[0])?;
    let [one, two] = [0, 1].map(|number| crate::scene::people().map(|people| &people[number].recipient));
    scene.write("p.yaml", format!("a: {}\nc: d\n", canary.text()))?;
    scene.write("e.yaml", scene.must(&["encrypt", "p.yaml"])?)?;
    let both = format!("{},{}", one?, two?);
    scene.write("two.yaml", scene.must(&["encrypt", "--age", &both, "p.yaml"])?)?;
    Ok(scene)
}

/// Every file of the scene, but for its `etc`.
fn files(scene: &Scene) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(scene.folder())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "etc" {
            files.push((name.clone(), scene.read(&name).unwrap_or_default()));
        }
    }
    files.sort();
    Ok(files)
}

/// Runs a command under the log `config`: it must refuse with exit code 1, say nothing secret, and change nothing.
fn refuses(
    scene: &Scene,
    canary: &Canary,
    program: &Program,
    command: &[&str],
    config: &str,
) -> Result<String> {
    scene.write(CONFIG, config)?;
    let before = files(scene)?;
    let tool = program
        .tool(scene)?
        .env("EDITOR", "touch ran")
        .limit(Duration::from_secs(30));
    let output = tool.run(command)?;
    let what = format!("{program:?} {command:?} under {config:?}: {}", ended(&output));
    assert_eq!((output.code, output.out().as_str()), (Some(1), ""), "{what}");
    assert!(files(scene)? == before, "something was written: {what}");
    assert_eq!(canary.find(&output.stderr), None, "{what}");
    Ok(output.err())
}

#[test]
fn a_server_that_is_down() -> Result {
    let canary = Canary::new(0xa0d1);
    let scene = marked(&canary)?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let config = postgres(
        &format!("postgres://sops:{PASSWORD}@127.0.0.1:{port}/audit?sslmode=disable")
            .replace('%', "%25")
            .replace(['\'', ' '], "x"),
    );
    for program in Program::sops()?.into_iter().chain([Program::seal_as_sops()]) {
        for command in COMMANDS {
            refuses(&scene, &canary, &program, command, &config)?;
        }
    }
    for command in NATIVE {
        let said = refuses(&scene, &canary, &Program::seal(), command, &config)?;
        let expected = format!("audit log: postgres 127.0.0.1:{port}");
        assert!(
            said.contains(&expected) && said.contains("hint: "),
            "{command:?}: {said}"
        );
        assert!(!said.contains("pass-of"), "the password: {said}");
    }
    // It tells what it can, and why it cannot open the file.
    let output = Program::seal().tool(&scene)?.run(["explain", "e.yaml"])?;
    let said = output.out();
    assert!(
        !output.success() && said.contains("audit log"),
        "{}: {said}",
        ended(&output)
    );
    assert_eq!(canary.find(&output.stdout), None);
    Ok(())
}

/// One that takes the connection and says nothing is given up.
#[test]
fn a_server_that_says_nothing() -> Result {
    let canary = Canary::new(0xa0d2);
    let scene = marked(&canary)?;
    let silent = TcpListener::bind(("127.0.0.1", 0))?;
    let port = silent.local_addr()?.port();
    for (more, most) in [("", 8), ("connect_timeout=1", 3)] {
        let config = postgres(&format!("host=127.0.0.1 port={port} sslmode=disable {more}"));
        let start = Instant::now();
        let said = refuses(
            &scene,
            &canary,
            &Program::seal(),
            &["decrypt", "--output-dir", "out", "."],
            &config,
        )?;
        assert!(said.contains("no answer within"), "{said}");
        assert!(
            start.elapsed() < Duration::from_secs(most),
            "{:?}",
            start.elapsed()
        );
    }
    Ok(())
}

/// A server that answers and does not take the row.
#[test]
fn a_table_that_takes_nothing() -> Result {
    let server = Postgres::start()?;
    let (canary, scene) = (Canary::new(0xa0d3), scene_of(&server)?);
    let config = postgres(&connection(&server, "127.0.0.1", "sslmode=disable"));
    let wrong = postgres(&connection(&server, "127.0.0.1", "sslmode=disable").replace("pass-of", "other"));
    let [_, sops] = Program::sops()?;
    for (statement, config) in [
        ("SELECT 1", &wrong),
        ("REVOKE INSERT ON audit_event FROM sops", &config),
        ("DROP TABLE audit_event", &config),
    ] {
        server.sql("audit", statement)?;
        for program in [&sops, &Program::seal_as_sops(), &Program::seal()] {
            for command in [
                &["decrypt", "e.yaml"][..],
                &["encrypt", "p.yaml"],
                &["set", "e.yaml", "[\"a\"]", "1"],
            ] {
                let said = refuses(&scene, &canary, program, command, config)?;
                assert!(
                    program.path == sops.path || !said.contains("-sops"),
                    "the password: {said}"
                );
            }
        }
    }
    // A table that is locked keeps nobody waiting for long.
    server.sql("audit", "CREATE TABLE audit_event (id SERIAL, action TEXT, username TEXT, file TEXT); GRANT INSERT ON audit_event TO sops; GRANT USAGE ON audit_event_id_seq TO sops")?;
    let mut lock = server.psql("audit");
    let mut lock = lock
        .args(["-c", "BEGIN; LOCK audit_event; SELECT pg_sleep(30)"])
        .spawn()?;
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'audit_event'::regclass";
    while server.sql("audit", locked)?.trim() == "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = refuses(&scene, &canary, &Program::seal(), &["decrypt", "e.yaml"], &config);
    lock.kill()?;
    lock.wait()?;
    assert!(said?.contains("no answer within"));
    Ok(())
}

/// A file that does not read as it should switches nothing off.
#[test]
fn a_configuration_that_does_not_read() -> Result {
    let canary = Canary::new(0xa0d4);
    let scene = marked(&canary)?;
    let decrypt = ["decrypt", "e.yaml"];
    for config in [
        "backends: {postgres: {a: hunter2}}",
        "backends: {postgres: [{connection_string: hunter2}]}",
        "backends: {postgres: [{connection_string: 'postgres://u:hunter2%@h/'}]}",
        "backends: {postgres: [{connection_string: 'service=hunter2'}]}",
        "backends: {syslogg: [{}]}",
        "backends: {file: [{path: /nonexistent/log}]}",
        "backends: {file: [{paths: /tmp/log}]}",
        "backends: {syslog: [{socket: /nonexistent}]}",
        "- hunter2",
        ": :",
    ] {
        let said = refuses(&scene, &canary, &Program::seal(), &decrypt, config)?;
        assert!(!said.contains("hunter2"), "{config}: {said}");
    }
    for config in ["", "{}", "backends:", "backends: {postgres: }"] {
        scene.write(CONFIG, config)?;
        let output = Program::seal().tool(&scene)?.run(decrypt)?;
        assert!(output.success(), "{config:?}: {}", ended(&output));
    }
    // A folder in its place: sops goes on without a log.
    std::fs::remove_file(scene.path(CONFIG))?;
    std::fs::create_dir(scene.path(CONFIG))?;
    let output = Program::seal().tool(&scene)?.run(decrypt)?;
    assert_eq!(
        (output.code, output.out().as_str()),
        (Some(1), ""),
        "{}",
        ended(&output)
    );
    Ok(())
}
