//! Work on whole trees: what would be done, and going on after a kill.

use std::collections::BTreeMap;
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
    Ok(())
}

#[test]
fn a_rotation_that_was_killed_goes_on() -> Result {
    let scene = tree()?;
    let old = contents(&scene)?;
    let seal = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?;
    let mut run = seal
        .command(["rotate", "tree"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = run.stdout.take().ok_or("no output")?;
    let seen = BufReader::new(out).lines().take(FILES / 3).count();
    run.kill()?;
    run.wait()?;
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
    let done = lines(&on.stdout, "done before");
    assert!(done + 3 >= FILES / 3, "{done}");
    assert_eq!(done + lines(&on.stdout, "rotated"), FILES);
    assert_eq!(resume(&["rotate", "--resume", "tree"])?.code, Some(2));
    Ok(())
}
