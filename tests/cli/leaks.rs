//! LK-01: no error path of any command shows a value: every value of every file holds a marker, every command is driven into
//! its errors with logging at its loudest, and the marker is searched in both outputs in all its forms.

use serde_json::Value;
use support::canary::Canary;
use support::run::{Output, Tool};

use crate::scene::{EVERYTHING, Result, Scene, ended, people, verdict};

/// How loud, and in which form: every case runs in each manner.
const MANNERS: [&[&str]; 2] = [&["-vv"], &["--json"]];

struct Sweep {
    scene: Scene,
    canary: Canary,
    /// `seal` with other identities than person 0's.
    stranger: Tool,
    nobody: Tool,
    wrong: Vec<String>,
    done: usize,
}

/// What a case must end with.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Error,
    Success,
}

impl Sweep {
    fn new(canary: Canary) -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        let program = env!("CARGO_BIN_EXE_seal");
        let loud = |tool: Tool| tool.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
        let stranger = loud(scene.tool(program, &[3])?);
        let nobody = loud(scene.tool(program, &[])?);
        Ok(Self {
            scene,
            canary,
            stranger,
            nobody,
            wrong: Vec::new(),
            done: 0,
        })
    }

    /// The owner's `seal`, at the loudest.
    fn owner(&self) -> Result<Tool> {
        let tool = self.scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?;
        let tool = tool.env("SOPS_EDITOR", "sed -i s/a/[/");
        Ok(tool.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1"))
    }

    /// `@` in the text is the marker, as it stands in this kind of file.
    fn write(&self, name: &str, text: &str) -> Result {
        Ok(self.scene.write(name, text.replace('@', self.canary.text()))?)
    }

    fn look(&mut self, what: &str, end: End, output: &Output) {
        self.done += 1;
        let streams = [("stdout", &output.stdout), ("stderr", &output.stderr)];
        for (stream, bytes) in streams {
            if let Some(form) = self.canary.find(bytes) {
                self.wrong
                    .push(format!("{what}: the marker is in {stream} ({form:?})"));
            }
        }
        let panicked = output.code == Some(101) || output.signal.is_some();
        if panicked || output.success() != (end == End::Success) {
            let text = ended(output).replace(self.canary.text(), "@");
            self.wrong.push(format!("{what}: {end} was expected: {text}"));
        }
    }

    /// Runs in every manner. Files that the command writes are put back first.
    fn case(&mut self, tool: &Tool, end: End, arguments: &[&str], input: &str) -> Result {
        let input = input.replace('@', self.canary.text());
        let file = arguments
            .iter()
            .find(|argument| self.scene.path(argument).is_file())
            .copied();
        let before = file.map(|file| self.scene.read(file)).transpose()?;
        for manner in MANNERS {
            if let (Some(file), Some(bytes)) = (file, &before) {
                self.scene.write(file, bytes)?;
            }
            let arguments = [arguments, manner].concat();
            let output = tool.run_with_input(&arguments, input.as_bytes())?;
            self.look(
                &arguments.join(" ").replace(self.canary.text(), "@"),
                end,
                &output,
            );
        }
        if let (Some(file), Some(bytes)) = (file, before) {
            self.scene.write(file, bytes)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Error {
            "an error"
        } else {
            "success"
        })
    }
}

/// Plaintexts that cannot be sealed, by name.
const BROKEN: [(&str, &str); 34] = [
    ("tab.yaml", "a: @\n\tb: @\n"),
    ("flow.yaml", "a: [@, @\nb: @\n"),
    ("quote.yaml", "a: \"@\nb: @\n"),
    ("colon.yaml", "a: @: @\n"),
    ("alias.yaml", "a: *@\n"),
    ("twice.yaml", "a: @\na: @\n"),
    ("escape.yaml", "a: \"\\q@\"\n"),
    ("tag.yaml", "a: !!int @\n"),
    ("binary.yaml", "a: !!binary '%%%@'\n"),
    ("directive.yaml", "%YAML 9.9\n---\na: @\n"),
    ("dedent.yaml", "a:\n    b: @\n  c: @\n"),
    ("block.yaml", "a: |9x\n  @\n"),
    ("list.yaml", "- @\n- @\n"),
    ("scalar.yaml", "@\n"),
    ("conflict.yaml", "<<<<<<< HEAD\na: @\n=======\na: x@\n>>>>>>> @\n"),
    ("sops.yaml", "a: @\nsops: @\n"),
    ("nul.yaml", "a: @\0@\n"),
    ("mapkey.yaml", "{a: @}: @\n"),
    ("end.yaml", "a: @\n... @\n"),
    ("comma.json", "{\"a\": \"@\" \"b\": \"@\"}"),
    ("bare.json", "{\"a\": @}"),
    ("open.json", "{\"a\": \"@"),
    ("array.json", "[\"@\"]"),
    ("string.json", "\"@\""),
    ("twice.json", "{\"a\": \"@\", \"a\": \"@\"}"),
    ("escape.json", "{\"a\": \"\\x@\"}"),
    ("trailing.json", "{\"a\": \"@\"} @"),
    ("control.json", "{\"a\": \"\t@\"}"),
    ("sops.json", "{\"a\": \"@\", \"sops\": {\"mac\": \"@\"}}"),
    ("line.env", "A=@\n@\nB=@\n"),
    ("sops.env", "A=@\nsops_mac=@\n"),
    ("line.ini", "[s]\na = @\n@\n"),
    ("open.ini", "[s\na = @\n"),
    ("twice.ini", "[s]\na = @\na = @\n"),
];

/// Plaintexts that are sealed first, then damaged.
const GOOD: [(&str, &str); 4] = [
    (
        "good.yaml",
        "a: \"@\"\nb:\n  c: '@'\n  d: [\"@\", \"@\"]\n# @\ne: |\n  @\n  @\nx_unencrypted: '@'\ny_unencrypted: '@'\n",
    ),
    (
        "good.json",
        "{\"a\": \"@\", \"b\": {\"c\": \"@\", \"d\": [\"@\"]}, \"x_unencrypted\": \"@\", \"y_unencrypted\": \"@\"}\n",
    ),
    ("good.env", "A=@\n#@\nB=@\nX_unencrypted=@\nY_unencrypted=@\n"),
    (
        "good.ini",
        "[s]\na = @\nb = @\nx_unencrypted = @\ny_unencrypted = @\n",
    ),
];

#[test]
fn the_search_finds_a_value_that_was_asked_for() -> Result {
    let sweep = Sweep::new(Canary::new(70))?;
    let canary = &sweep.canary;
    sweep.write("good.yaml", "a: '@'\n")?;
    sweep.scene.must(&["encrypt", "-i", "good.yaml"])?;
    assert!(
        canary.find(&sweep.scene.read("good.yaml")?).is_none(),
        "the file is sealed"
    );
    let printed = sweep.scene.must(&["decrypt", "good.yaml"])?;
    assert!(
        canary.find(&printed).is_some(),
        "the search finds nothing where there is something"
    );
    Ok(())
}

#[test]
fn plaintexts_that_cannot_be_sealed_are_not_shown() -> Result {
    let mut sweep = Sweep::new(Canary::new(71))?;
    let owner = sweep.owner()?;
    for (name, text) in BROKEN {
        sweep.write(name, text)?;
        sweep.case(&owner, End::Error, &["encrypt", name], "")?;
        sweep.case(&owner, End::Error, &["encrypt", "-i", name], "")?;
        sweep.case(&owner, End::Error, &["decrypt", name], "")?;
        for mut command in [
            vec!["check"],
            vec!["rotate"],
            vec!["explain"],
            vec!["edit"],
            vec!["sops", "-e", "-i"],
            vec!["sops", "-e", "--output-type", "json"],
            vec!["sops"],
            vec![],
        ] {
            command.push(name);
            let output = owner.run(&command)?;
            // Whether each of these is an error is another suite's matter: here only what they print counts.
            let end = if output.success() {
                End::Success
            } else {
                End::Error
            };
            sweep.look(&command.join(" "), end, &output);
        }
        std::fs::remove_file(sweep.scene.path(name))?;
    }
    verdict(&sweep.wrong, sweep.done, BROKEN.len() * 14)
}

/// The sealed forms, each as it is and damaged in every way that somebody without a key can.
fn damaged(sealed: &str, canary: &str) -> Vec<(&'static str, String)> {
    let first = sealed.find("ENC[").unwrap_or_default();
    let end = sealed[first..].find(']').map_or(first, |at| first + at + 1);
    let one = &sealed[first..end];
    let put = |new: &str| format!("{}{new}{}", &sealed[..first], &sealed[end..]);
    let mut bytes = one.as_bytes().to_vec();
    bytes[25] = if bytes[25] == b'A' { b'B' } else { b'A' };
    vec![
        ("flipped", put(&String::from_utf8_lossy(&bytes))),
        ("clear", put(canary)),
        (
            "clear within",
            put(&one.replace("data:", &format!("data:{canary}"))),
        ),
        ("typed", put(&one.replace("type:str", &format!("type:{canary}")))),
        ("bytes", put(&one.replace("type:str", "type:bytes"))),
        ("int", put(&one.replace("type:str", "type:int"))),
        ("followed", put(&format!("{one}{canary}"))),
        (
            "swapped",
            sealed
                .replace("x_unencrypted", "q_")
                .replace("y_unencrypted", "x_unencrypted")
                .replace("q_", "y_unencrypted"),
        ),
        ("cut", sealed[..sealed.len() * 2 / 3].to_owned()),
        ("cut within a value", sealed[..end - 10].to_owned()),
        (
            "conflict",
            format!("<<<<<<< HEAD\n{sealed}=======\n{sealed}>>>>>>> x\n"),
        ),
        ("no mac", sealed.replace("mac", "cam")),
        ("no metadata", sealed.replace("sops", "spos")),
    ]
}

#[test]
fn damaged_files_are_not_shown() -> Result {
    let mut sweep = Sweep::new(Canary::new(72))?;
    let owner = sweep.owner()?;
    let canary = sweep.canary.text().to_owned();
    for (name, text) in GOOD {
        sweep.write(name, text)?;
        let sealed = String::from_utf8(sweep.scene.must(&["encrypt", name])?)?;
        for (what, damaged) in damaged(&sealed, &canary) {
            sweep.scene.write(name, &damaged)?;
            let path = if name.ends_with("ini") {
                "[\"s\"][\"a\"]"
            } else {
                "[\"a\"]"
            };
            let commands: [&[&str]; 22] = [
                &["decrypt", name],
                &["decrypt", "--output-type", "json", name],
                &["decrypt", "-i", name],
                &["rotate", name],
                &["unset", name, path],
                &["set", name, path, "--value-stdin"],
                &["check", name],
                &[name],
                &["get", name, "[\"b\"]"],
                &["edit", name],
                &["updatekeys", "--yes", name],
                &["groups", "add", "--file", name, "--age", &people()?[2].recipient],
                &["exec-env", name, "true"],
                &["exec-file", name, "true {}"],
                &["explain", name],
                &["filestatus", name],
                &["sops", "--output-type", "dotenv", "-d", name],
                &["sops", "set", name, path, "--value-stdin"],
                &["sops", "rotate", "-i", name],
                &["sops", "edit", name],
                &["sops", "exec-env", name, "true"],
                &["sops", "updatekeys", "-y", name],
            ];
            for command in commands {
                let output = owner.run_with_input(command, format!("\"{canary}\"").as_bytes())?;
                // A change that is repaired or meaningless may succeed; then what was asked for is printed.
                let end = if output.success() {
                    End::Success
                } else {
                    End::Error
                };
                let prints = ["decrypt", "get"].contains(&command[0]) || command.contains(&"-d");
                let asked = output.success() && prints && !command.contains(&"-i");
                let output = if asked {
                    Output {
                        stdout: Vec::new(),
                        ..output
                    }
                } else {
                    output
                };
                sweep.look(&format!("{what}: {}", command.join(" ")), end, &output);
                sweep.scene.write(name, &damaged)?;
            }
        }
        std::fs::remove_file(sweep.scene.path(name))?;
    }
    verdict(&sweep.wrong, sweep.done, GOOD.len() * 13 * 22)
}

#[test]
fn wrong_keys_paths_values_and_places_show_nothing() -> Result {
    let mut sweep = Sweep::new(Canary::new(73))?;
    let owner = sweep.owner()?;
    let (stranger, nobody) = (
        std::mem::replace(&mut sweep.stranger, Tool::new("/bin/false")?),
        std::mem::replace(&mut sweep.nobody, Tool::new("/bin/false")?),
    );
    for (name, text) in GOOD {
        sweep.write(name, text)?;
        sweep.scene.must(&["encrypt", "-i", name])?;
        for other in [&stranger, &nobody] {
            for command in [
                &["decrypt", name][..],
                &["rotate", name],
                &["decrypt", "-i", name],
            ] {
                sweep.case(other, End::Error, command, "")?;
            }
            sweep.case(
                other,
                End::Error,
                &["set", name, "[\"a\"]", "--value-stdin"],
                "\"@\"",
            )?;
        }
        sweep.case(&owner, End::Error, &["encrypt", name], "")?;
        for path in [
            "[\"none\"]",
            "[\"a\"][0][\"b\"]",
            "a",
            "[\"a\"",
            "[]",
            "[-1]",
            "[\"b\"][99999999999]",
        ] {
            sweep.case(&owner, End::Error, &["decrypt", "--extract", path, name], "")?;
            sweep.case(&owner, End::Error, &["get", name, path], "")?;
            sweep.case(&owner, End::Error, &["unset", name, path], "")?;
        }
        for value in ["@", "\"@", "{\"@\": ", "\"@\" \"@\"", "{\"a\": @}"] {
            sweep.case(
                &owner,
                End::Error,
                &["set", name, "[\"a\"]", "--value-stdin"],
                value,
            )?;
        }
        sweep.case(
            &owner,
            End::Error,
            &["set", name, "[\"a\"][\"b", "--value-stdin"],
            "\"@\"",
        )?;
        sweep.write("value.txt", "not json @")?;
        sweep.case(
            &owner,
            End::Error,
            &["set", name, "[\"a\"]", "--value-file", "value.txt"],
            "",
        )?;
        sweep.case(
            &owner,
            End::Error,
            &["decrypt", "--output", "none/such/file", name],
            "",
        )?;
        sweep.case(
            &owner,
            End::Error,
            &["decrypt", "--output", "/proc/self/none", name],
            "",
        )?;
        sweep.case(&owner, End::Error, &["decrypt", "--max-size", "10", name], "")?;
        sweep.case(
            &owner,
            End::Error,
            &["decrypt", "--input-type", "binary", name],
            "",
        )?;
    }
    let nested = ["decrypt", "--output-type", "dotenv", "good.yaml"];
    sweep.case(&owner, End::Error, &nested, "")?;
    verdict(&sweep.wrong, sweep.done, 300)
}

#[test]
fn what_succeeds_shows_nothing_either() -> Result {
    let mut sweep = Sweep::new(Canary::new(74))?;
    let owner = sweep.owner()?;
    for (name, text) in GOOD {
        sweep.write(name, text)?;
        let path = if name.ends_with("ini") {
            "[\"s\"][\"a\"]"
        } else {
            "[\"a\"]"
        };
        let path = if name.ends_with("env") { "[\"A\"]" } else { path };
        sweep.case(&owner, End::Success, &["encrypt", "-i", name], "")?;
        sweep.scene.must(&["encrypt", "-i", name])?;
        sweep.case(
            &owner,
            End::Success,
            &["set", name, path, "--value-stdin"],
            "\"x@\"",
        )?;
        let value = format!("\"{}\"", sweep.canary.text());
        sweep.case(&owner, End::Success, &["set", name, path, &value], "")?;
        sweep.case(&owner, End::Success, &["rotate", name], "")?;
        sweep.case(&owner, End::Success, &["unset", name, path], "")?;
        sweep.case(&owner, End::Success, &["check", name], "")?;
        sweep.case(&owner, End::Success, &[name], "")?;
        sweep.case(&owner, End::Success, &["decrypt", "-i", name], "")?;
    }
    // Nothing is left in the homes, in which TMPDIR stands.
    for leak in sweep.canary.sweep(owner.home())? {
        sweep
            .wrong
            .push(format!("{} holds the marker", leak.place.display()));
    }
    verdict(&sweep.wrong, sweep.done, 50)
}

#[test]
fn identities_and_sealed_data_keys_are_not_shown() -> Result {
    let sweep = Sweep::new(Canary::new(75))?;
    sweep.write("good.json", "{\"a\": \"@\"}\n")?;
    sweep.scene.must(&["encrypt", "-i", "good.json"])?;
    let program = env!("CARGO_BIN_EXE_seal");
    let (mut wrong, mut done) = (Vec::new(), 0);
    let secret = &people()?[3].secret;
    let bent = format!("{}Q", &secret[..secret.len() - 1]);
    let file: Value = serde_json::from_slice(&sweep.scene.read("good.json")?)?;
    let sealed_key = file["sops"]["age"][0]["enc"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for (what, held) in [
        ("stranger's", secret.clone()),
        ("misspelt", bent),
        ("cut", secret[..40].to_owned()),
    ] {
        for text in [
            held.clone(),
            format!("# comment\n{held}\n{held}"),
            format!("x{held}"),
        ] {
            let tool = Tool::new(program)?.dir(sweep.scene.folder());
            let tool = tool.env("RUST_LOG", "trace").env("SOPS_AGE_KEY", &text);
            let output = tool.run(["decrypt", "good.json", "-vv"])?;
            done += 1;
            if output.success() || output.code == Some(101) {
                wrong.push(format!("{what}: {:?}", output.code));
            }
            for hidden in [
                &held[15..39],
                sealed_key.lines().nth(2).unwrap_or("no data key in the file"),
            ] {
                let hidden = Canary::of(hidden.to_owned());
                if hidden
                    .find(&output.stderr)
                    .or(hidden.find(&output.stdout))
                    .is_some()
                {
                    wrong.push(format!("{what}: a key is shown"));
                }
            }
        }
    }
    verdict(&wrong, done, 9)
}
