//! Ten changes that somebody without a key can make to a sealed file. Stock sops accepts eight of them, panics on one
//! and cannot open the file after the tenth; here nine are refused with the place named, and the tenth opens.

use serde_json::{Map, Value};
use support::peers;
use support::run::Output;

use crate::scene::{EVERYTHING, Result, Scene, ended, people, verdict};

const PLAIN: &str = "\
# the first comment
port: \"5432\"
user: admin
allow_unencrypted: \"no\"
deny_unencrypted: \"yes\"
db:
  # who may enter
  password: hunter2
  hosts:
    - one
    - two
last: value
";

/// A scene and the sealed form of `PLAIN`.
fn sealed() -> Result<(Scene, String)> {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("file.yaml", PLAIN)?;
    let sealed = String::from_utf8(scene.must(&["encrypt", "file.yaml"])?)?;
    assert_eq!(
        sealed.matches("ENC[").count(),
        9,
        "seven values or comments and the MAC are sealed, once each"
    );
    scene.write("file.yaml", &sealed)?;
    assert_eq!(scene.must(&["decrypt", "file.yaml"])?, PLAIN.as_bytes());
    Ok((scene, sealed))
}

fn sealed_json(plain: &Value) -> Result<(Scene, Map<String, Value>)> {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("file.json", plain.to_string())?;
    let sealed = scene.must(&["encrypt", "file.json"])?;
    match serde_json::from_slice(&sealed)? {
        Value::Object(map) => Ok((scene, map)),
        _ => Err("the sealed form is no object".into()),
    }
}

/// Opening `name` fails with one of `codes`, names `place` and prints nothing.
fn refused(scene: &Scene, name: &str, codes: &[i32], place: &str) -> Result {
    let output = scene.seal(&["decrypt", name])?;
    let right = output.code.is_some_and(|code| codes.contains(&code));
    if !right {
        return Err(format!("{codes:?} was expected: {}", ended(&output)).into());
    }
    names(&output, place)
}

fn names(output: &Output, place: &str) -> Result {
    if !output.stdout.is_empty() {
        return Err("something was printed".into());
    }
    if !output.err().contains(place) {
        return Err(format!("{place} is not named: {}", ended(output)).into());
    }
    Ok(())
}

/// `text` with `from`, which stands there once, replaced.
fn once(text: &str, from: &str, to: &str) -> Result<String> {
    match text.matches(from).count() {
        1 => Ok(text.replace(from, to)),
        count => Err(format!("{from:?} stands there {count} times:\n{text}").into()),
    }
}

/// The line that begins with `start`, blanks aside.
fn line<'a>(text: &'a str, start: &str) -> Result<&'a str> {
    text.lines()
        .find(|line| line.trim_start().starts_with(start))
        .ok_or_else(|| format!("no line {start:?}:\n{text}").into())
}

#[test]
fn t1_a_type_is_changed() -> Result {
    let (scene, sealed) = sealed()?;
    let port = line(&sealed, "port:")?;
    scene.write(
        "file.yaml",
        once(&sealed, port, &port.replace("type:str", "type:int"))?,
    )?;
    refused(&scene, "file.yaml", &[51], "port")
}

#[test]
fn t2_a_type_becomes_bytes() -> Result {
    let (scene, sealed) = sealed()?;
    let port = line(&sealed, "port:")?;
    scene.write(
        "file.yaml",
        once(&sealed, port, &port.replace("type:str", "type:bytes"))?,
    )?;
    refused(&scene, "file.yaml", &[25], "port")
}

#[test]
fn t3_the_names_of_two_clear_values_are_swapped() -> Result {
    let (scene, sealed) = sealed()?;
    let swapped = once(&sealed, "allow_unencrypted", "x_unencrypted")?;
    let swapped = once(&swapped, "deny_unencrypted", "allow_unencrypted")?;
    scene.write("file.yaml", once(&swapped, "x_unencrypted", "deny_unencrypted")?)?;
    refused(&scene, "file.yaml", &[51], "_unencrypted")
}

#[test]
fn t4_a_character_moves_between_neighbours() -> Result {
    let (scene, sealed) = sealed()?;
    let moved = once(&once(&sealed, "\"no\"", "\"noy\"")?, "\"yes\"", "\"es\"")?;
    scene.write("file.yaml", moved)?;
    refused(&scene, "file.yaml", &[51], "allow_unencrypted")
}

#[test]
fn t5_empty_values_are_added() -> Result {
    let (scene, sealed) = sealed()?;
    let port = line(&sealed, "port:")?;
    for empty in ["\"\"", "null", "[]", "{}"] {
        scene.write(
            "file.yaml",
            once(&sealed, port, &format!("{port}\nextra: {empty}"))?,
        )?;
        refused(&scene, "file.yaml", &[51], "extra").map_err(|error| format!("{empty}: {error}"))?;
    }
    Ok(())
}

#[test]
fn t6_comments_come_and_go() -> Result {
    let (scene, sealed) = sealed()?;
    let comments: Vec<&str> = sealed
        .lines()
        .filter(|line| line.trim_start().starts_with('#'))
        .collect();
    assert_eq!(comments.len(), 2, "{sealed}");
    let user = line(&sealed, "user:")?;
    let changed = [
        ("deleted", once(&sealed, &format!("{}\n", comments[0]), "")?),
        (
            "deleted in a map",
            once(&sealed, &format!("{}\n", comments[1]), "")?,
        ),
        (
            "added in clear",
            once(&sealed, user, &format!("# all is well\n{user}"))?,
        ),
        (
            "copied",
            once(&sealed, user, &format!("{}\n{user}", comments[0]))?,
        ),
    ];
    let mut wrong = Vec::new();
    for (what, text) in &changed {
        scene.write("file.yaml", text)?;
        let found = refused(&scene, "file.yaml", &[51], "file.yaml");
        wrong.extend(found.err().map(|error| format!("{what}: {error}")));
    }
    verdict(&wrong, changed.len(), 4)
}

#[test]
fn t7_the_structure_changes_where_the_additional_data_does_not() -> Result {
    let plain = serde_json::json!({ "a": { "b": "value" }, "c": ["x"], "d": { "e": "y" } });
    let (scene, sealed) = sealed_json(&plain)?;
    let mut joined = Map::new();
    for (key, value) in &sealed {
        let (key, value) = if key == "a" {
            ("a:b", &value["b"])
        } else {
            (key.as_str(), value)
        };
        joined.insert(key.to_owned(), value.clone());
    }
    let mut deeper = sealed.clone();
    deeper["c"] = serde_json::json!([[[sealed["c"][0].clone()]]]);
    let mut listed = sealed.clone();
    listed["d"] = serde_json::json!([sealed["d"].clone()]);
    for (what, map, place) in [
        ("a:b", joined, "a"),
        ("[[[x]]]", deeper, "c"),
        ("[{e}]", listed, "d"),
    ] {
        scene.write("file.json", Value::Object(map).to_string())?;
        refused(&scene, "file.json", &[51], &format!(" {place}"))
            .map_err(|error| format!("{what}: {error}"))?;
    }
    Ok(())
}

#[test]
fn t8_something_stands_behind_a_sealed_value() -> Result {
    let (scene, sealed) = sealed()?;
    let password = line(&sealed, "password:")?;
    scene.write("file.yaml", once(&sealed, password, &format!("{password}junk"))?)?;
    refused(&scene, "file.yaml", &[25], "db.password")?;
    let (scene, mut map) = sealed_json(&serde_json::json!({ "a": "value" }))?;
    map["a"] = Value::from(format!("{} ", map["a"].as_str().unwrap_or_default()));
    scene.write("file.json", Value::Object(map).to_string())?;
    refused(&scene, "file.json", &[25], "a")
}

/// The file with person 3 added as a recipient, beside a copy of person 0's sealed data key.
fn with_stranger(sealed: &[u8]) -> Result<String> {
    let mut file: Value = serde_json::from_slice(sealed)?;
    let list = file["sops"]["age"]
        .as_array_mut()
        .ok_or("no list of recipients")?;
    let mut entry = list.first().cloned().ok_or("no recipient")?;
    entry["recipient"] = Value::from(people()?[3].recipient.clone());
    list.push(entry);
    Ok(file.to_string())
}

#[test]
fn t9_a_stranger_is_added_as_recipient() -> Result {
    let (scene, sealed) = sealed_json(&serde_json::json!({ "a": "value", "b": "other" }))?;
    let tampered = with_stranger(Value::Object(sealed).to_string().as_bytes())?;
    scene.write("file.json", &tampered)?;
    refused(&scene, "file.json", &[51], "sops.")?;
    for command in [&["rotate", "file.json"][..], &["unset", "file.json", "[\"b\"]"]] {
        let output = scene.seal(command)?;
        if !matches!(output.code, Some(8 | 51)) {
            return Err(format!("{command:?}: {}", ended(&output)).into());
        }
        assert_eq!(
            scene.read("file.json")?,
            tampered.as_bytes(),
            "{command:?} wrote the file"
        );
    }
    Ok(())
}

#[test]
fn t9_a_stranger_is_refused_by_the_policy_where_nothing_proves_the_recipients() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("file.json", "{\"a\": \"value\", \"b\": \"other\"}\n")?;
    let sops = scene.tool(peers::sops_3_11()?, &[0])?;
    let tampered = with_stranger(&sops.run(["encrypt", "file.json"])?.expect_success()?)?;
    scene.write("file.json", &tampered)?;
    let set = ["set", "file.json", "[\"a\"]", "--value-stdin"];
    for command in [
        &["rotate", "file.json"][..],
        &["unset", "file.json", "[\"b\"]"],
        &[
            "groups",
            "add",
            "--file",
            "file.json",
            "--age",
            &people()?[2].recipient,
        ],
        &["edit", "file.json"],
        &set,
    ] {
        let output = scene.seal_with_input(command, b"\"new\"")?;
        if output.code != Some(8) {
            return Err(format!("{command:?}: 8 was expected: {}", ended(&output)).into());
        }
        names(&output, &people()?[3].recipient)?;
        assert_eq!(
            scene.read("file.json")?,
            tampered.as_bytes(),
            "{command:?} wrote the file"
        );
    }
    Ok(())
}

/// FF-17: the same in every format; `updatekeys` takes the stranger away, and who knows better says so.
#[test]
fn a_recipient_beyond_the_policy_is_refused_in_every_format() -> Result {
    let stranger = &people()?[3].recipient;
    for (name, text, path) in [
        ("f.yaml", "a: value\n", "[\"a\"]"),
        ("f.json", "{\"a\": \"value\"}\n", "[\"a\"]"),
        ("f.env", "a=value\n", "[\"a\"]"),
        ("f.ini", "[s]\na = value\n", "[\"s\"][\"a\"]"),
        ("f.bin", "value", "[\"data\"]"),
    ] {
        let scene = Scene::new("creation_rules:\n  - path_regex: .\n    age: PERSON0,PERSON3\n")?;
        scene.write(name, text)?;
        let sops = scene.tool(peers::sops_3_11()?, &[0])?;
        sops.run(["encrypt", "-i", name])?.expect_success()?;
        let sealed = scene.read(name)?;
        scene.write(
            ".sops.yaml",
            format!(
                "creation_rules:\n  - path_regex: .\n    age: {}\n",
                people()?[0].recipient
            ),
        )?;
        let commands = [
            &["rotate", name][..],
            &["set", name, path, "--value-stdin"],
            &["edit", name],
        ];
        for command in commands {
            let output = scene.seal_with_input(command, b"\"new\"")?;
            assert_eq!(output.code, Some(8), "{command:?}: {}", ended(&output));
            names(&output, stranger)?;
            assert!(scene.read(name)? == sealed, "{command:?} wrote {name}");
        }
        scene.must(&["rotate", "--accept-recipient", stranger, name])?;
        scene.must(&["updatekeys", "--yes", name])?;
        let output = scene
            .tool(env!("CARGO_BIN_EXE_seal"), &[3])?
            .run(["decrypt", name])?;
        assert_eq!(output.code, Some(128), "{name}: {}", ended(&output));
    }
    Ok(())
}

#[test]
fn t10_one_of_three_shares_is_another() -> Result {
    let policy = "creation_rules:\n  - path_regex: .\n    shamir_threshold: 2\n    \
                  key_groups: [{age: [PERSON0]}, {age: [PERSON1]}, {age: [PERSON2]}]\n";
    let scene = Scene::with_identities(policy, &[0, 1, 2])?;
    let plain = b"{\"a\": \"value\"}\n";
    scene.write("file.json", plain)?;
    let mut files = [Value::Null, Value::Null];
    for file in &mut files {
        *file = serde_json::from_slice(&scene.must(&["encrypt", "file.json"])?)?;
    }
    let [mut file, other] = files;
    for group in 0..3 {
        let kept = file["sops"]["key_groups"][group].clone();
        if kept.is_null() {
            return Err("no key groups".into());
        }
        file["sops"]["key_groups"][group]["age"][0]["enc"] =
            other["sops"]["key_groups"][group]["age"][0]["enc"].clone();
        scene.write("file.json", file.to_string())?;
        file["sops"]["key_groups"][group] = kept;
        let output = scene.seal(&["decrypt", "file.json"])?;
        let value = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        // Groups are counted from 0, as sops counts them in its own messages.
        if !output.success() || value["a"] != "value" {
            return Err(format!("group {group}: {}", ended(&output)).into());
        }
        if !output.err().contains(&format!("key group {group}")) {
            return Err(format!("group {group} is not named: {}", ended(&output)).into());
        }
    }
    Ok(())
}
