//! Many files (FS-13): `updatekeys` over a tree is killed at random moments, again and again, and in the end finishes.
//!
//! Small form: 300 files, 10 kills. Campaign: 10,000 files, 100 kills.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use support::random::Random;
use support::tier;

use crate::scene::{EVERYTHING, Result, Scene, people};

/// Files in one folder.
const TOGETHER: usize = 25;

struct Tree {
    scene: Scene,
    old: Vec<u8>,
    files: Vec<PathBuf>,
}

impl Tree {
    fn new(count: usize) -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        scene.write("first.yaml", "key: value\nother: 1\n")?;
        scene.must(&["encrypt", "-i", "first.yaml"])?;
        let old = scene.read("first.yaml")?;
        fs::remove_file(scene.path("first.yaml"))?;
        let name = |number: usize| format!("tree/d{}/f{number}.yaml", number / TOGETHER);
        for number in 0..count {
            scene.write(&name(number), &old)?;
        }
        let files = (0..count).map(|number| name(number).into()).collect();
        scene.policy("creation_rules:\n  - path_regex: .\n    age: PERSON0,PERSON1\n")?;
        Ok(Self { scene, old, files })
    }

    /// Which files are new. An error if one is neither: what is new names both people, and opens.
    fn new_ones(&self, opened: &mut HashMap<PathBuf, Vec<u8>>) -> Result<Vec<&Path>> {
        let recipients = [&people()?[0].recipient, &people()?[1].recipient];
        let mut new = Vec::new();
        for file in &self.files {
            let name = file.to_str().ok_or("a name that is not text")?;
            let bytes = self.scene.read(name)?;
            if bytes == self.old {
                if opened.contains_key(file) {
                    return Err(format!("{name} is old again").into());
                }
                continue;
            }
            new.push(file.as_path());
            if let Some(before) = opened.get(file) {
                if *before != bytes {
                    return Err(format!("{name} was in order, and was written again").into());
                }
                continue;
            }
            let text = String::from_utf8_lossy(&bytes);
            if !recipients.iter().all(|recipient| text.contains(*recipient)) {
                return Err(format!("{name} is neither old nor new").into());
            }
            opened.insert(file.clone(), bytes);
        }
        Ok(new)
    }

    /// Names below the tree that are none of its files.
    fn left_over(&self) -> Result<Vec<PathBuf>> {
        let mut left = Vec::new();
        for folder in fs::read_dir(self.scene.path("tree"))? {
            for entry in fs::read_dir(folder?.path())? {
                let path = entry?.path();
                let below = path.strip_prefix(self.scene.folder())?.to_owned();
                if !self.files.contains(&below) {
                    left.push(below);
                }
            }
        }
        Ok(left)
    }
}

#[test]
fn a_tree_that_is_killed_again_and_again_is_finished_by_the_next_run() -> Result {
    let (count, kills) = (tier::count(300, 10_000), tier::count(10, 100));
    let tree = Tree::new(count)?;
    let (mut random, mut seen, mut killed) = (Random::new(13), HashMap::new(), 0);
    let arguments = ["updatekeys", "--yes", "tree"];
    let tool = tree
        .scene
        .tool(env!("CARGO_BIN_EXE_seal"), &[0])?
        .dir(tree.scene.folder())
        .limit(Duration::from_secs(3_600));
    for round in 0..kills {
        let mut child = tool.command(arguments).stdout(Stdio::piped()).spawn()?;
        let mut told = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        // Every fourth time while it still looks, else after some files.
        if round % 4 > 0 {
            let some = random.between(1, count / kills);
            told.by_ref()
                .map_while(std::io::Result::ok)
                .filter(|line| line.starts_with("updated "))
                .nth(some - 1);
        }
        std::thread::sleep(Duration::from_micros(random.below(20_000) as u64));
        child.kill()?;
        killed += usize::from(child.wait()?.code().is_none());
        tree.new_ones(&mut seen)?;
    }
    let (new, left) = (tree.new_ones(&mut seen)?.len(), tree.left_over()?.len());
    writeln!(
        std::io::stdout().lock(),
        "faults: {killed} kills of updatekeys on {count} files: {new} files were new then, {left} temporary files left"
    )?;
    assert!(
        killed >= kills / 2 && new > 0 && new < count,
        "the kills came at the wrong times"
    );

    let told = |done: &str| -> Result<[usize; 2]> {
        let lines = |verb: &str| done.lines().filter(|line| line.starts_with(verb)).count();
        Ok([lines("updated "), lines("in order ")])
    };
    let done = String::from_utf8(tool.run(arguments)?.expect_success()?)?;
    assert_eq!(told(&done)?, [count - new, new]);
    assert_eq!(tree.new_ones(&mut seen)?.len(), count);
    assert_eq!(tree.left_over()?, Vec::<PathBuf>::new());
    // All of them open, to what they were.
    tool.run(["decrypt", "--output-dir", "opened", "tree"])?
        .expect_success()?;
    for file in &tree.files {
        let opened = fs::read(tree.scene.path("opened").join(file))?;
        assert_eq!(opened, b"key: value\nother: 1\n", "{}", file.display());
    }
    let again = String::from_utf8(tool.run(arguments)?.expect_success()?)?;
    assert_eq!(told(&again)?, [0, count]);
    assert_eq!(tree.new_ones(&mut seen)?.len(), count);
    Ok(())
}
