//! The table of PostgreSQL: both programs write the same rows.

use std::os::unix::fs::symlink;

use support::postgres::{PASSWORD, Postgres};

use super::{CONFIG, PLAIN, Program, connection, postgres, scene_of};
use crate::scene::{Result, Scene, ended};

/// Every command, and the actions it records: the same for both programs.
const COMMANDS: [(&[&str], &str); 26] = [
    (&["encrypt", "p.yaml"], "encrypt p.yaml"),
    (
        &["encrypt", "--filename-override", "other.yaml", "p.yaml"],
        "encrypt p.yaml",
    ),
    (&["-e", "p.yaml"], "encrypt p.yaml"),
    (&["decrypt", "e.yaml"], "decrypt e.yaml"),
    (&["-d", "e.yaml"], "decrypt e.yaml"),
    (&["decrypt", "./sub/../e.yaml"], "decrypt e.yaml"),
    (&["decrypt", "link.yaml"], "decrypt link.yaml"),
    (
        &["decrypt", "--filename-override", "x/y.yaml", "e.yaml"],
        "decrypt e.yaml",
    ),
    (&["decrypt", "--extract", "[\"a\"]", "e.yaml"], "decrypt e.yaml"),
    (
        &["decrypt", "--extract", "[\"none\"]", "e.yaml"],
        "decrypt e.yaml",
    ),
    (&["decrypt", "tampered.yaml"], "decrypt tampered.yaml"),
    (
        &["rotate", "e.yaml"],
        "rotate e.yaml, decrypt e.yaml, encrypt e.yaml",
    ),
    (
        &["rotate", "-i", "e.yaml"],
        "rotate e.yaml, decrypt e.yaml, encrypt e.yaml",
    ),
    (
        &["-r", "-i", "e.yaml"],
        "rotate e.yaml, decrypt e.yaml, encrypt e.yaml",
    ),
    (
        &["set", "e.yaml", "[\"new\"]", "\"v\""],
        "decrypt e.yaml, encrypt e.yaml",
    ),
    (
        &["unset", "e.yaml", "[\"new\"]"],
        "decrypt e.yaml, encrypt e.yaml",
    ),
    (&["edit", "e.yaml"], "decrypt e.yaml, encrypt e.yaml"),
    (&["edit", "fresh.yaml"], "encrypt fresh.yaml"),
    (&["exec-env", "e.yaml", "true"], "decrypt e.yaml"),
    (&["exec-file", "--no-fifo", "e.yaml", "true"], "decrypt e.yaml"),
    (&["updatekeys", "-y", "two.yaml"], ""),
    (&["filestatus", "e.yaml"], ""),
    (&["encrypt", "e.yaml"], ""),
    (&["decrypt", "p.yaml"], ""),
    (&["decrypt", "none.yaml"], ""),
    (&["--version"], ""),
];

/// What the commands work on.
fn prepare(scene: &Scene) -> Result {
    std::fs::create_dir_all(scene.path("sub"))?;
    symlink("e.yaml", scene.path("link.yaml"))?;
    let sealed = String::from_utf8(scene.read("e.yaml")?)?;
    let at = sealed.find("data:").ok_or("nothing is sealed")? + "data:".len();
    let other = if sealed[at..].starts_with('A') { "B" } else { "A" };
    scene.write(
        "tampered.yaml",
        format!("{}{other}{}", &sealed[..at], &sealed[at + 1..]),
    )?;
    let [one, two] = [0, 1].map(|number| crate::scene::people().map(|people| &people[number].recipient));
    let both = format!("{},{}", one?, two?);
    Ok(scene.write("two.yaml", scene.must(&["encrypt", "--age", &both, "p.yaml"])?)?)
}

#[test]
fn sops_and_seal_write_the_same_rows() -> Result {
    let server = Postgres::start()?;
    let [old, new] = Program::sops()?;
    let user = server.sql("postgres", "SELECT 1").and_then(|_| who())?;
    for program in [old, new, Program::seal_as_sops()] {
        let scene = scene_of(&server)?;
        prepare(&scene)?;
        let tool = program
            .tool(&scene)?
            .env("EDITOR", "sh -c 'echo more: x >> \"$0\"'");
        server.rows()?;
        for (command, expected) in COMMANDS {
            let output = tool.run(command)?;
            let rows = server.rows()?;
            let expected: Vec<String> = expected
                .split(", ")
                .filter_map(|row| row.split_once(' '))
                .map(|(action, file)| format!("{action}|{user}|{}", scene.path(file).display()))
                .collect();
            assert_eq!(rows, expected, "{program:?} {command:?}: {}", ended(&output));
        }
        // The standard input has no name: the folder stands for it.
        let sealed = scene.read("e.yaml")?;
        for command in [
            &["decrypt", "--input-type", "yaml", "--output-type", "yaml"][..],
            &["decrypt", "--filename-override", "x.yaml"],
        ] {
            let output = tool.run_with_input(command, &sealed)?;
            let here = scene.folder().display();
            assert_eq!(
                server.rows()?,
                [format!("decrypt|{user}|{here}")],
                "{program:?}: {}",
                ended(&output)
            );
        }
        let output = tool.run_with_input(["encrypt", "--filename-override", "x.yaml"], PLAIN.as_bytes())?;
        let here = scene.folder().display();
        assert_eq!(
            server.rows()?,
            [format!("encrypt|{user}|{here}")],
            "{program:?}: {}",
            ended(&output)
        );
    }
    Ok(())
}

fn who() -> std::io::Result<String> {
    let output = std::process::Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Our own commands are recorded as those of sops are, once for each file and action.
#[test]
fn native_commands_write_rows_too() -> Result {
    let server = Postgres::start()?;
    let scene = scene_of(&server)?;
    let tool = Program::seal()
        .tool(&scene)?
        .env("EDITOR", "sh -c 'echo more: x >> \"$0\"'");
    server.rows()?;
    for number in 0..60 {
        let sealed = scene.read("e.yaml")?;
        scene.write(&format!("many/{number}.yaml"), sealed)?;
    }
    scene.write("fresh/f.yaml", PLAIN)?;
    for (command, expected) in [
        (&["encrypt", "p.yaml"][..], "encrypt p.yaml"),
        (&["decrypt", "e.yaml"], "decrypt e.yaml"),
        (&["get", "e.yaml", "[\"a\"]"], "decrypt e.yaml"),
        (
            &["set", "e.yaml", "[\"b\"]", "2"],
            "decrypt e.yaml, encrypt e.yaml",
        ),
        (&["set", "e.yaml", "[\"b\"]", "2"], "decrypt e.yaml"),
        (&["edit", "e.yaml"], "decrypt e.yaml, encrypt e.yaml"),
        (
            &["rotate", "e.yaml"],
            "rotate e.yaml, decrypt e.yaml, encrypt e.yaml",
        ),
        (&["rotate", "--plan", "e.yaml"], ""),
        (&["exec-env", "e.yaml", "true"], "decrypt e.yaml"),
        (&["explain", "e.yaml"], "decrypt e.yaml"),
        (&["check", "e.yaml"], ""),
        (&["filestatus", "e.yaml"], ""),
        (&["fresh/f.yaml"], "encrypt fresh/f.yaml"),
        (&["groups", "add", "--file", "e.yaml", "--age", "PERSON1"], ""),
    ] {
        let person = &crate::scene::people()?[1].recipient;
        let command: Vec<&str> = command
            .iter()
            .map(|word| if *word == "PERSON1" { person } else { *word })
            .collect();
        let output = tool.run(&command)?;
        assert!(output.success(), "{command:?}: {}", ended(&output));
        let rows: Vec<String> = server
            .rows()?
            .iter()
            .map(|row| row.splitn(3, '|').map(str::to_owned).collect::<Vec<_>>())
            .map(|row| format!("{} {}", row[0], row[2]))
            .collect();
        let expected: Vec<String> = expected
            .split(", ")
            .filter_map(|row| row.split_once(' '))
            .map(|(action, file)| format!("{action} {}", scene.path(file).display()))
            .collect();
        assert_eq!(rows, expected, "{command:?}");
    }
    let output = tool.run(["decrypt", "--output-dir", "out", "many"])?;
    assert!(output.success(), "{}", ended(&output));
    let mut rows = server.rows()?;
    rows.sort();
    rows.dedup();
    assert_eq!(rows.len(), 60, "one row for each file");
    Ok(())
}

/// A server that ends the connection while somebody edits is connected to once more.
#[test]
fn a_connection_that_was_ended_is_made_again() -> Result {
    let server = Postgres::start()?;
    let scene = scene_of(&server)?;
    let kill = server.psql("audit");
    let words: Vec<String> = kill
        .get_args()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'seal'";
    scene.write(
        "editor",
        format!(
            "#!/bin/sh\n\"{}\" {} -c \"{statement}\" > \"{}\"\necho more: x >> \"$1\"\n",
            kill.get_program().display(),
            words.join(" "),
            scene.path("ended").display()
        ),
    )?;
    let tool = Program::seal()
        .tool(&scene)?
        .env("EDITOR", format!("sh {}", scene.path("editor").display()));
    let tool = tool.env("PGPASSWORD", support::postgres::PASSWORD);
    server.rows()?;
    let output = tool.run(["edit", "e.yaml"])?;
    assert!(output.success(), "{}", ended(&output));
    assert_eq!(scene.read("ended")?, b"t\n", "one connection was ended");
    assert_eq!(server.rows()?.len(), 2);
    Ok(())
}

/// What `sslmode` and `sslrootcert` mean, for both programs.
#[test]
fn connections_are_protected_as_lib_pq_does() -> Result {
    let server = Postgres::start()?;
    let scene = scene_of(&server)?;
    let [_, sops] = Program::sops()?;
    let root = server.root();
    let other = scene.path("other.crt");
    let params = rcgen::CertificateParams::new(Vec::new())?;
    std::fs::write(&other, params.self_signed(&rcgen::KeyPair::generate()?)?.pem())?;
    let (root, other) = (root.display(), other.display());
    let socket = server.socket().display().to_string();
    let (certificate, key) = server.client();
    let shown = format!("sslcert={} sslkey={}", certificate.display(), key.display());
    for (host, more, protected) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), Some(false)),
        ("127.0.0.1", "sslmode=allow".to_owned(), Some(false)),
        ("127.0.0.1", "sslmode=prefer".to_owned(), Some(true)),
        ("127.0.0.1", String::new(), Some(true)),
        ("127.0.0.1", "sslmode=require".to_owned(), Some(true)),
        (
            "127.0.0.1",
            format!("sslmode=require sslrootcert={root}"),
            Some(true),
        ),
        ("127.0.0.1", format!("sslmode=require sslrootcert={other}"), None),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca sslrootcert={root}"),
            Some(true),
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca sslrootcert={other}"),
            None,
        ),
        ("127.0.0.1", "sslmode=verify-ca".to_owned(), None),
        (
            "127.0.0.1",
            format!("sslmode=verify-full sslrootcert={root}"),
            None,
        ),
        (
            "localhost",
            format!("sslmode=verify-full sslrootcert={root}"),
            Some(true),
        ),
        (
            "localhost",
            format!("sslmode=verify-full sslrootcert={other}"),
            None,
        ),
        ("localhost", "sslmode=verify-full".to_owned(), None),
        ("localhost", "sslrootcert=system".to_owned(), None),
        ("127.0.0.1", "sslmode=bogus".to_owned(), None),
        (&socket, "sslmode=require".to_owned(), Some(false)),
        (
            "127.0.0.1",
            "sslmode=disable search_path=public".to_owned(),
            Some(false),
        ),
        ("127.0.0.1", "sslmode=disable no_such_setting=1".to_owned(), None),
        (
            "a",
            format!("host=127.0.0.1,127.0.0.1 port=1,{}", server.port),
            Some(true),
        ),
        ("127.0.0.1", format!("user=certain {shown}"), Some(true)),
        ("127.0.0.1", "user=certain".to_owned(), None),
    ] {
        for program in [&sops, &Program::seal_as_sops()] {
            scene.write(CONFIG, postgres(&connection(&server, host, &more)))?;
            server.rows()?;
            let before = connections(&server)?;
            let output = program.tool(&scene)?.run(["decrypt", "e.yaml"])?;
            let what = format!("{program:?}, {host} {more}: {}", ended(&output));
            assert_eq!(output.success(), protected.is_some(), "{what}");
            assert_eq!(server.rows()?.len(), usize::from(protected.is_some()), "{what}");
            if let Some(protected) = protected {
                let now = connections(&server)?;
                assert_eq!(now.1 > before.1, protected, "{what}: TLS");
                assert!(now.0 > before.0, "{what}");
            }
            if !output.success() {
                assert_eq!((output.code, output.out().as_str()), (Some(1), ""), "{what}");
            }
        }
    }
    Ok(())
}

/// The other form of a connection string.
#[test]
fn a_url_names_the_table_too() -> Result {
    let server = Postgres::start()?;
    let scene = scene_of(&server)?;
    let password: String = PASSWORD.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let (port, root) = (server.port, server.root());
    let place = format!("sops:{password}@localhost:{port}/audit");
    let url = format!(
        "postgres://{place}?sslmode=verify-full&sslrootcert={}",
        root.display()
    );
    scene.write(CONFIG, postgres(&url))?;
    for program in Program::sops()?.into_iter().chain([Program::seal_as_sops()]) {
        server.rows()?;
        let output = program.tool(&scene)?.run(["decrypt", "e.yaml"])?;
        assert!(output.success(), "{program:?}: {}", ended(&output));
        assert_eq!(server.rows()?.len(), 1, "{program:?}");
    }
    assert_eq!(connections(&server)?, (3, 3), "all with TLS");
    Ok(())
}

/// How often somebody but the owner connected so far, and how often with TLS: its log tells.
fn connections(server: &Postgres) -> Result<(usize, usize)> {
    let log = std::fs::read_to_string(server.socket().join("log"))?;
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("connection authorized: user=") && !line.contains("user=owner"))
        .collect();
    let protected = lines.iter().filter(|line| line.contains("SSL enabled")).count();
    Ok((lines.len(), protected))
}
