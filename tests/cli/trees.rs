//! Work on whole trees: what would be done, and going on after a kill.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::scene::{EVERYTHING, Result, Scene};

const FILES: usize = 60;

/// A tree of sealed files.
fn tree() -> Result<Scene> {
    let scene = Scene::new(EVERYTHING)?;
    for number in 0..FILES {
        scene.write(
            &format!("tree/{}/f{number}.yaml", number % 3),
            format!("a: {number}\n"),
        )?;
    }
    scene.must(&["-q", "tree"])?;
    Ok(scene)
}

/// The tree's files by path.
fn contents(scene: &Scene) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for number in 0..FILES {
        let path = format!("tree/{}/f{number}.yaml", number % 3);
        found.insert(path.clone(), scene.read(&path)?);
    }
    Ok(found)
}

fn lines(output: &[u8], begin: &str) -> usize {
    let text = String::from_utf8_lossy(output);
    text.lines().filter(|line| line.starts_with(begin)).count()
}

#[test]
fn a_plan_tells_and_changes_nothing() -> Result {
    let scene = tree()?;
    let before = contents(&scene)?;
    let told = scene.must(&["rotate", "--plan", "tree"])?;
    assert_eq!(lines(&told, "would rotate tree/"), FILES);
    let third = &crate::scene::people()?[2].recipient;
    let told = scene.must(&["rotate", "--plan", "--add-age", third, "tree/0/f0.yaml"])?;
    assert_eq!(
        String::from_utf8(told)?,
        format!("would rotate tree/0/f0.yaml (+ {third})\n")
    );
    assert_eq!(
        lines(&scene.must(&["updatekeys", "--plan", "tree"])?, "in order"),
        FILES
    );
    let policy = String::from_utf8(scene.read(".sops.yaml")?)?;
    let other = &crate::scene::people()?[1].recipient;
    let (first, _) = policy.rsplit_once("age: ").ok_or("no key in the policy")?;
    scene.write(".sops.yaml", format!("{first}age: {other}\n"))?;
    let told = scene.must(&["updatekeys", "--plan", "tree"])?;
    assert_eq!(lines(&told, &format!("  + {other}")), FILES);
    let told = scene.must(&["updatekeys", "--plan", "--json", "tree"])?;
    assert_eq!(lines(&told, "{\"action\":\"would update\""), FILES);
    // Nobody but the policy names whom they were sealed for.
    let refused = scene.seal(&["rotate", "--plan", "tree"])?;
    assert_eq!((refused.code, lines(&refused.stdout, "would")), (Some(8), 0));
    assert!(contents(&scene)? == before);
    // What is done is not told as a plan too: one record a file.
    let done = scene.must(&["updatekeys", "--yes", "--json", "tree"])?;
    assert_eq!(lines(&done, "{\"action\":\"updated\""), FILES);
    assert_eq!(lines(&done, "{"), FILES);
    Ok(())
}

#[test]
fn a_rotation_that_was_killed_goes_on() -> Result {
    let scene = tree()?;
    let old = contents(&scene)?;
    let seal = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?;
    // Waiting for its last file, the run is not done before the kill.
    let held = File::open(scene.path("tree/2/f8.yaml"))?;
    held.lock()?;
    let mut run = seal
        .command(["rotate", "tree"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = run.stdout.take().ok_or("no output")?;
    let seen = BufReader::new(out).lines().take(FILES / 3).count();
    run.kill()?;
    run.wait()?;
    drop(held);
    assert_eq!(seen, FILES / 3, "the run ended before it was killed");
    let half = contents(&scene)?;
    // One that was done is lost again, as by a checkout.
    let lost = half.iter().find(|(path, now)| old[*path] != **now);
    let lost = lost.ok_or("nothing was done")?.0.clone();
    scene.write(&lost, &old[&lost])?;

    let resume = |arguments: &[&str]| seal.run(arguments);
    let other = resume(&["rotate", "--resume", "tree/0"])?;
    assert_eq!(
        other.code,
        Some(2),
        "another run is none to resume: {}",
        other.err()
    );
    let on = resume(&["rotate", "--resume", "tree"])?;
    assert!(on.success(), "{}", on.err());
    let new = contents(&scene)?;
    let mut twice = 0;
    for (path, bytes) in &new {
        assert!(*bytes != old[path], "{path} was left out");
        let was_done = half[path] != old[path] && *path != lost;
        twice += usize::from(was_done && *bytes != half[path]);
    }
    // Each thread may have been killed between a file and its note.
    assert!(twice <= 2, "{twice} files were done twice");
    assert!(
        on.err().contains("going on with the run that ended at 20"),
        "{}",
        on.err()
    );
    let done = lines(&on.stdout, "done before");
    assert!(done + 3 >= FILES / 3, "{done}");
    assert_eq!(done + lines(&on.stdout, "rotated"), FILES);
    assert_eq!(resume(&["rotate", "--resume", "tree"])?.code, Some(2));
    Ok(())
}

/// A note that was cut off does not spoil those behind it, and a run that did nothing leaves nothing to resume.
#[test]
fn a_torn_note_costs_one_file() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    let names = ["a.yaml", "b.yaml", "c.yaml"];
    let mut whole = BTreeMap::new();
    for name in names {
        scene.write(name, "a: 1\n")?;
        scene.must(&["-q", name])?;
        whole.insert(name, scene.read(name)?);
    }
    let damage = |name: &str| -> Result {
        let text = String::from_utf8(scene.read(name)?)?;
        Ok(scene.write(name, text.replacen("data:", "data:#", 1))?)
    };
    names.iter().try_for_each(|name| damage(name))?;
    let seal = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?;
    let rotate = |more: &[&str]| seal.run([&["rotate"], more, &names[..]].concat());
    let nothing = rotate(&[])?;
    assert_eq!(nothing.code, Some(25));
    assert!(!nothing.err().contains("--resume"), "{}", nothing.err());
    assert_eq!(rotate(&["--resume"])?.code, Some(2));

    scene.write("a.yaml", &whole["a.yaml"])?;
    let first = rotate(&[])?;
    assert!(
        first
            .err()
            .trim_end()
            .lines()
            .last()
            .is_some_and(|line| line.contains("--resume"))
    );
    let notes = seal.home().join(".local/state/sealwright");
    for entry in std::fs::read_dir(notes)? {
        let path = entry?.path();
        let torn = [std::fs::read(&path)?, b"torn".to_vec()].concat();
        std::fs::write(path, torn)?;
    }
    scene.write("b.yaml", &whole["b.yaml"])?;
    let second = rotate(&["--resume"])?;
    assert_eq!(
        (
            lines(&second.stdout, "done before"),
            lines(&second.stdout, "rotated")
        ),
        (1, 1)
    );
    scene.write("c.yaml", &whole["c.yaml"])?;
    let third = rotate(&["--resume"])?;
    assert_eq!(
        (
            lines(&third.stdout, "done before"),
            lines(&third.stdout, "rotated")
        ),
        (2, 1)
    );
    assert_eq!(third.code, Some(0));
    Ok(())
}
