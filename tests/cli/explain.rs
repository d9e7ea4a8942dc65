//! What `seal explain` says of a file: what it wants, what is here and the nearest fix, one test for each trouble that
//! people ask about, and never a value.

use serde_json::Value;
use support::run::{Output, Tool};

use crate::scene::{EVERYTHING, Result, Scene, ended, people};

const PLAIN: &str = "\
# who may enter
user: canary-user
password: canary-password
note_unencrypted: seen
hosts:
  - canary-one
  - canary-two
";
const CANARY: &str = "canary-";

/// A scene with the sealed form of `PLAIN`.
fn sealed() -> Result<(Scene, String)> {
    let scene = Scene::new(EVERYTHING)?;
    let text = seal_into(&scene, "file.yaml")?;
    Ok((scene, text))
}

fn seal_into(scene: &Scene, name: &str) -> Result<String> {
    scene.write(name, PLAIN)?;
    let sealed = String::from_utf8(scene.must(&["encrypt", name])?)?;
    scene.write(name, &sealed)?;
    Ok(sealed)
}

/// What is said, for people and for machines, with this exit code and no value.
fn explained(
    seal: impl Fn(&[&str]) -> std::io::Result<Output>,
    name: &str,
    code: i32,
) -> Result<(String, Value)> {
    let text = seal(&["explain", name])?;
    let json = seal(&["explain", "--json", name])?;
    for output in [&text, &json] {
        if output.code != Some(code) {
            return Err(format!("{code} was expected: {}\n{}", ended(output), output.out()).into());
        }
        if output.out().contains(CANARY) || output.err().contains(CANARY) {
            return Err(format!("a value is shown:\n{}{}", output.out(), output.err()).into());
        }
    }
    let object: Value = serde_json::from_slice(&json.stdout)?;
    assert_eq!(object["exit"], code);
    Ok((text.out(), object))
}

/// Every one of `wanted` is said.
fn says(text: &str, wanted: &[&str]) -> Result {
    match wanted.iter().find(|wanted| !text.contains(**wanted)) {
        None => Ok(()),
        Some(lacking) => Err(format!("{lacking:?} is not said:\n{text}").into()),
    }
}

fn git(scene: &Scene, arguments: &[&str]) -> Result {
    let tool = Tool::new("git")?
        .dir(scene.folder())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.org");
    tool.run(arguments)?.expect_success()?;
    Ok(())
}

fn commit(scene: &Scene) -> Result {
    git(scene, &["init", "-q", "."])?;
    git(scene, &["add", "."])?;
    git(scene, &["commit", "-q", "-m", "sealed"])
}

#[test]
fn a_file_in_order() -> Result {
    let (scene, _) = sealed()?;
    let (text, json) = explained(|arguments| scene.seal(arguments), "file.yaml", 0)?;
    let mine = &people()?[0].recipient;
    says(
        &text,
        &[
            "file.yaml: sealed, YAML",
            &format!("  age {mine}: here (from SOPS_AGE_KEY), opens the file"),
            "rule 1 of 1, line 2: path_regex . matches file.yaml",
            "selects by unencrypted_suffix _unencrypted 4 values: user, password, hosts[0], hosts[1]",
            "its recipients are those of the file",
            "values: 4 sealed, 1 clear",
            "mac: holds",
            "integrity: holds",
            "in order",
        ],
    )?;
    assert_eq!(json["access"]["groups"][0][0]["opens"], true);
    assert_eq!(json["seals"]["integrity"]["state"], "holds");
    assert_eq!(json["values"]["sealed"], 4);
    assert!(json["next"].is_null() && json["problems"].as_array().is_some_and(Vec::is_empty));
    Ok(())
}

#[test]
fn groups_and_their_threshold() -> Result {
    let policy = "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [PERSON0]\n      - age: [PERSON1]\n      - age: [PERSON2]\n";
    let scene = Scene::new(policy)?;
    seal_into(&scene, "file.yaml")?;
    let (text, json) = explained(|arguments| scene.seal(arguments), "file.yaml", 0)?;
    says(
        &text,
        &["3 groups, a key of 2 of them is needed", "group 3:", "not here"],
    )?;
    assert_eq!(json["access"]["threshold"], 2);
    let one = scene.tool(env!("CARGO_BIN_EXE_seal"), &[1])?;
    let (text, json) = explained(|arguments| one.run(arguments), "file.yaml", 128)?;
    says(&text, &["1 of 3 key groups opened, 2 are needed"])?;
    assert_eq!(json["access"]["opens"], false);
    Ok(())
}

#[test]
fn no_key() -> Result {
    let (scene, _) = sealed()?;
    let nobody = scene.tool(env!("CARGO_BIN_EXE_seal"), &[])?;
    let (text, json) = explained(|arguments| nobody.run(arguments), "file.yaml", 128)?;
    let wanted = &people()?[0].recipient;
    says(
        &text,
        &[
            &format!("  age {wanted}: not here"),
            "identities here: none",
            "also looked at: SOPS_AGE_KEY (not set)",
            "values: 4 sealed, 1 clear",
            "mac: there, not checked without a key",
            "  seal keys new\n",
        ],
    )?;
    assert_eq!(json["next"]["command"], "seal keys new");
    Ok(())
}

#[test]
fn the_wrong_key() -> Result {
    let (scene, _) = sealed()?;
    let stranger = scene.tool(env!("CARGO_BIN_EXE_seal"), &[3])?;
    let (text, _) = explained(|arguments| stranger.run(arguments), "file.yaml", 128)?;
    let (wanted, held) = (&people()?[0].recipient, &people()?[3].recipient);
    says(
        &text,
        &[
            &format!("  age {wanted}: not here"),
            &format!("  {held} (from SOPS_AGE_KEY): no recipient of this file"),
            &format!("next: add {held} to rule 1 of the policy"),
            "  seal updatekeys file.yaml\n",
        ],
    )
}

#[test]
fn the_policy_names_me_but_the_file_does_not() -> Result {
    let (scene, _) = sealed()?;
    let (old, new) = (&people()?[0].recipient, &people()?[1].recipient);
    scene.write(".sops.yaml", EVERYTHING.replace("PERSON0", new))?;
    let (text, json) = explained(|arguments| scene.seal(arguments), "file.yaml", 1)?;
    says(
        &text,
        &[
            &format!("to be added to the file: age {new}"),
            &format!("to be removed from the file: age {old}"),
            "  seal updatekeys file.yaml\n",
        ],
    )?;
    assert_eq!(json["policy"]["rule"]["added"][0], *new.as_str());
    assert_eq!(json["policy"]["rule"]["removed"][0], *old.as_str());
    let newcomer = scene.tool(env!("CARGO_BIN_EXE_seal"), &[1])?;
    let (text, _) = explained(|arguments| newcomer.run(arguments), "file.yaml", 128)?;
    says(&text, &["the rule names you, the file does not yet"])
}

#[test]
fn no_rule() -> Result {
    let scene = Scene::new(
        "creation_rules:\n  - path_regex: ^prod/\n    age: PERSON0\n  - path_regex: \\.enc$\n    age: PERSON0\n",
    )?;
    scene.write("apps/prod/file.yaml", PLAIN)?;
    let (text, json) = explained(|arguments| scene.seal(arguments), "apps/prod/file.yaml", 1)?;
    says(
        &text,
        &[
            "apps/prod/file.yaml: not sealed",
            "none of its 2 rules matches apps/prod/file.yaml",
            "rule 1 (^prod/) would match prod/file.yaml; but rules are tested with the path below the policy's folder",
            "next: add a rule to the policy whose path_regex matches apps/prod/file.yaml",
            &format!(
                "  seal encrypt -i --age {} apps/prod/file.yaml\n",
                people()?[0].recipient
            ),
        ],
    )?;
    assert_eq!(json["problems"][0]["code"], "config-not-found");
    assert!(!text.contains("rule 2 ("));
    Ok(())
}

#[test]
fn the_wrong_directory() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    let other = tempfile::tempdir()?;
    let file = other.path().join("file.yaml");
    std::fs::write(&file, PLAIN)?;
    let name = file.to_str().ok_or("a name")?;
    let (text, json) = explained(|arguments| scene.seal(arguments), name, 1)?;
    let here = scene.path(".sops.yaml");
    says(
        &text,
        &[
            &format!("policy: none in {}", other.path().display()),
            &format!("not {}, the policy of the current folder", here.display()),
            "its rule 1 would match",
            &format!("  seal --config {} {name}\n", here.display()),
        ],
    )?;
    assert_eq!(json["policy"]["elsewhere"]["rule"], 1);
    // A nearer policy counts, whatever the current folder has.
    scene.write("sub/.sops.yaml", "creation_rules:\n  - path_regex: \\.json$\n")?;
    scene.write("sub/file.yaml", PLAIN)?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "sub/file.yaml", 1)?;
    says(
        &text,
        &[
            &format!(
                "policy: {} (the nearest above the file)",
                scene.path("sub/.sops.yaml").display()
            ),
            &format!("not {}, the policy of the current folder", here.display()),
        ],
    )
}

#[test]
fn not_sealed_though_it_should_be() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("file.yaml", PLAIN)?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 1)?;
    says(
        &text,
        &[
            "not sealed, though its rule selects 4 values",
            "  seal file.yaml\n",
        ],
    )?;
    scene.write("clear.yaml", "a_unencrypted: 1\n")?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "clear.yaml", 0)?;
    says(&text, &["clear.yaml: not sealed", "0 values", "in order"])
}

#[test]
fn a_mac_that_does_not_hold() -> Result {
    let (scene, sealed) = sealed()?;
    commit(&scene)?;
    scene.write("file.yaml", sealed.replace("seen", "changed"))?;
    let (text, json) = explained(|arguments| scene.seal(arguments), "file.yaml", 51)?;
    says(
        &text,
        &[
            "mac: broken: sops.mac: the values are not those that were sealed",
            "integrity: broken: note_unencrypted",
            "problem: file.yaml: note_unencrypted: the file was changed after it was sealed",
            "next: take the last version in git",
            "  git checkout HEAD -- file.yaml\n",
        ],
    )?;
    assert_eq!(json["seals"]["mac"]["state"], "broken");
    std::fs::remove_dir_all(scene.path(".git"))?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 51)?;
    says(
        &text,
        &[
            "only if you know who changed the file",
            "  seal --accept file.yaml\n",
        ],
    )
}

#[test]
fn plaintext_where_ciphertext_is_due() -> Result {
    let (scene, sealed) = sealed()?;
    commit(&scene)?;
    let user = sealed
        .lines()
        .find(|line| line.starts_with("user:"))
        .ok_or("a user")?;
    scene.write("file.yaml", sealed.replace(user, "user: canary-new"))?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 25)?;
    says(
        &text,
        &[
            "values: 3 sealed, 2 clear",
            "problem: file.yaml:2:7: user: plaintext stands where a sealed value is due",
            "there, cannot be compared",
            "next: what differs from the last version in git is an author's change: seal it",
            "  seal file.yaml\n",
        ],
    )?;
    // What is said to help helps.
    scene.must(&["file.yaml"])?;
    explained(|arguments| scene.seal(arguments), "file.yaml", 0)?;
    Ok(())
}

#[test]
fn conflict_markers() -> Result {
    let (scene, sealed) = sealed()?;
    commit(&scene)?;
    let theirs = sealed.replace("seen", "theirs");
    let both = format!("<<<<<<< HEAD\n{sealed}=======\n{theirs}>>>>>>> branch\n");
    let lines = sealed.lines().count();
    scene.write("file.yaml", &both)?;
    let (text, json) = explained(|arguments| scene.seal(arguments), "file.yaml", 2)?;
    says(
        &text,
        &[
            "in the middle of a merge, with conflict markers:",
            &format!("    lines 1 to {}\n", 2 * lines + 3),
            "with our side (above `=======`) taken, the file is whole",
            "with their side (below `=======`) taken, the file is not whole: note_unencrypted",
            "opens the file",
        ],
    )?;
    assert_eq!(json["conflict"]["hunks"][0][0], 1);
    let fix = json["next"]["command"].as_str().unwrap_or_default();
    assert!(
        fix == "git checkout HEAD -- file.yaml" || fix == "seal resolve file.yaml",
        "{fix}"
    );
    Ok(())
}

#[test]
fn values_that_a_merge_moved() -> Result {
    let (scene, sealed) = sealed()?;
    commit(&scene)?;
    let swapped = sealed
        .replace("\nuser:", "\nx:")
        .replace("\npassword:", "\nuser:")
        .replace("\nx:", "\npassword:");
    scene.write("file.yaml", swapped)?;
    let (text, json) = explained(|arguments| scene.seal(arguments), "file.yaml", 25)?;
    says(
        &text,
        &[
            "problem: file.yaml:2:11: password: the value that stands here was sealed for user: it was moved",
            "problem: file.yaml:3:7: user: the value that stands here was sealed for password: it was moved",
            "mac: there, cannot be compared: not every value opens",
            "  git checkout HEAD -- file.yaml\n",
        ],
    )?;
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(2));
    // Its own key is gone: only the last version knows the name.
    scene.write("file.yaml", sealed.replace("\nuser:", "\nlogin:"))?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 25)?;
    says(
        &text,
        &["login: the value that stands here was sealed for user: it was moved"],
    )
}

#[test]
fn values_and_block_of_two_versions() -> Result {
    let (scene, sealed) = sealed()?;
    scene.must(&["rotate", "file.yaml"])?;
    let rotated = String::from_utf8(scene.read("file.yaml")?)?;
    let values = sealed.split_once("\nsops:").ok_or("a block")?.0;
    let block = rotated.split_once("\nsops:").ok_or("a block")?.1;
    scene.write("file.yaml", format!("{values}\nsops:{block}"))?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 25)?;
    says(
        &text,
        &[
            "the values come from another version of the file than the `sops` block",
            "  cp BACKUP file.yaml\n",
        ],
    )
}

#[test]
fn a_second_sops_block() -> Result {
    let (scene, sealed) = sealed()?;
    commit(&scene)?;
    let block = sealed.find("\nsops:").ok_or("a block")? + 1;
    let first = sealed[..block].lines().count() + 1;
    scene.write("file.yaml", format!("{sealed}{}", &sealed[block..]))?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 2)?;
    says(
        &text,
        &[
            "does not read as sealed YAML",
            &format!(
                "problem: file.yaml:{}:1: a second `sops` block; the first stands in line {first}",
                sealed.lines().count() + 1
            ),
            "  git checkout HEAD -- file.yaml\n",
        ],
    )
}

#[test]
fn fields_that_a_merge_kept_twice() -> Result {
    let (scene, sealed) = sealed()?;
    commit(&scene)?;
    let line = |start: &str| {
        let mut lines = (1..).zip(sealed.lines());
        lines
            .find(|(_, line)| line.trim_start().starts_with(start))
            .ok_or_else(|| format!("no line {start}"))
    };
    let (number, mac) = line("mac:")?;
    scene.write("file.yaml", sealed.replace(mac, &format!("{mac}\n{mac}")))?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 2)?;
    let place = format!(
        "problem: file.yaml:{}:5: sops.mac: stands twice, first in line {number}",
        number + 1
    );
    says(&text, &[&place, "  git checkout HEAD -- file.yaml\n"])?;
    let (number, user) = line("user:")?;
    scene.write("file.yaml", sealed.replace(user, &format!("{user}\n{user}")))?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 51)?;
    let place = format!(
        "problem: file.yaml:{}:1: user: stands twice, first in line {number}",
        number + 1
    );
    says(
        &text,
        &[&place, "mac: broken", "  git checkout HEAD -- file.yaml\n"],
    )
}

#[test]
fn an_integrity_field_that_the_policy_wants() -> Result {
    let (scene, sealed) = sealed()?;
    let field = sealed
        .lines()
        .find(|line| line.trim_start().starts_with("integrity:"))
        .ok_or("a field")?;
    scene.write("file.yaml", sealed.replace(&format!("{field}\n"), ""))?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 0)?;
    says(&text, &["integrity: absent", "mac: holds"])?;
    let policy = String::from_utf8(scene.read(".sops.yaml")?)?;
    scene.write(
        ".sops.yaml",
        format!("{policy}seal:\n  require_integrity: true\n"),
    )?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 51)?;
    says(&text, &["mac: holds", "sops.integrity: the policy requires it"])
}

#[test]
fn a_policy_that_does_not_read() -> Result {
    let (scene, _) = sealed()?;
    scene.write(".sops.yaml", "creation_rules:\n  - path_regex: '('\n")?;
    let (text, _) = explained(|arguments| scene.seal(arguments), "file.yaml", 5)?;
    says(&text, &["policy: cannot be used", "bad path_regex", "mac: holds"])
}

/// The code is always the one that `decrypt` gives, or `check` where `decrypt` is content.
#[test]
fn the_exit_code_is_that_of_decrypt() -> Result {
    let (scene, sealed) = sealed()?;
    let stranger = scene.tool(env!("CARGO_BIN_EXE_seal"), &[3])?;
    let damaged = [
        sealed.clone(),
        sealed.replace("seen", "changed"),
        sealed.replace("\nuser:", "\nlogin:"),
        sealed.replace("type:str", "type:int"),
        sealed.replacen("data:", "data:A", 1),
        sealed.replace("lastmodified: \"20", "lastmodified: \"19"),
        sealed.replace("    mac:", "    cam:"),
        sealed.replace("\nsops:", "\n<<<<<<< x\nsops:"),
        sealed.replace("age1", "age2"),
        sealed[..sealed.len() / 2].to_owned(),
        String::new(),
    ];
    for (number, text) in damaged.iter().enumerate() {
        scene.write("file.yaml", text)?;
        for seal in [&scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?, &stranger] {
            let decrypted = seal.run(["decrypt", "file.yaml"])?.code.ok_or("a signal")?;
            let checked = seal.run(["check", "file.yaml"])?.code.ok_or("a signal")?;
            let output = seal.run(["explain", "file.yaml"])?;
            let wanted = if decrypted == 0 { checked } else { decrypted };
            assert_eq!(
                output.code,
                Some(wanted),
                "case {number}: {}{}",
                output.out(),
                output.err()
            );
            assert!(!output.out().contains(CANARY) && !output.err().contains(CANARY));
        }
    }
    Ok(())
}
