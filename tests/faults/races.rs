//! An attacker swaps the file or its folder for a link while `seal` works on it (FS-06).
//!
//! The attacker may write beside the file, not into the folder that the link leads to: that is what the victim's
//! rights are wanted for. Whatever the moment of the swap, nothing is written there. Small form: 120 races.
//! Campaign: 10,000.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use support::random::Random;
use support::run::Output;
use support::tier;

use crate::scene::{EVERYTHING, Result, Scene, ended, verdict};

/// What the attacker swaps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Swap {
    /// `work/file.yaml` and a link to `outside/file.yaml`.
    File,
    /// The folder `work` and a link to `outside`.
    Folder,
    /// The folder above, by a link to a folder that has a `work` of its own.
    Above,
}

const SWAPS: [Swap; 3] = [Swap::File, Swap::Folder, Swap::Above];

/// ```text
/// top/work/file.yaml          sealed, the one to be changed
/// outside/file.yaml           not sealed, to be left alone
/// outside/work -> .           so that `Above` leads there as well
/// ```
struct Ground {
    scene: Scene,
    sealed: Vec<u8>,
}

/// The file that is not ours to write.
const VICTIM: &[u8] = b"left: alone\n";

impl Ground {
    fn new() -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        scene.write("top/work/file.yaml", "key: old\nother: value\n")?;
        scene.must(&["encrypt", "-i", "top/work/file.yaml"])?;
        scene.write("outside/file.yaml", VICTIM)?;
        symlink(".", scene.path("outside/work"))?;
        let sealed = scene.read("top/work/file.yaml")?;
        Ok(Self { scene, sealed })
    }

    /// Everything in its place again.
    fn reset(&self) -> io::Result<()> {
        for folder in ["top", "away", "work-away"] {
            let path = self.scene.path(folder);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&path)?,
                Ok(_) => fs::remove_file(&path)?,
                Err(_) => {}
            }
        }
        self.scene.write("top/work/file.yaml", &self.sealed)?;
        self.scene.write("outside/file.yaml", VICTIM)
    }

    /// The place that is swapped, where it is kept meanwhile, and what the link says.
    fn parts(&self, swap: Swap) -> (PathBuf, PathBuf, PathBuf) {
        let outside = self.scene.path("outside");
        match swap {
            Swap::File => (
                self.scene.path("top/work/file.yaml"),
                self.scene.path("top/work/kept"),
                outside.join("file.yaml"),
            ),
            Swap::Folder => (self.scene.path("top/work"), self.scene.path("top/away"), outside),
            Swap::Above => (self.scene.path("top"), self.scene.path("away"), outside),
        }
    }

    /// The names and the content outside, as they were.
    fn intact(&self) -> io::Result<bool> {
        let mut names: Vec<_> = fs::read_dir(self.scene.path("outside"))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()?;
        names.sort();
        Ok(names == ["file.yaml", "work"] && self.scene.read("outside/file.yaml")? == VICTIM)
    }
}

/// Swaps and swaps back until told to stop, at moments that differ from race to race.
fn attack(place: &Path, kept: &Path, link: &Path, pause: Duration, stop: &AtomicBool, swaps: &AtomicUsize) {
    std::thread::sleep(pause);
    while !stop.load(Ordering::Relaxed) {
        // Each of these may fail, when `seal` has just put something there: then the next round goes on from that.
        let _ = fs::rename(place, kept).and_then(|()| symlink(link, place));
        swaps.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(pause / 4);
        let _ = fs::remove_file(place).and_then(|()| fs::rename(kept, place));
        std::thread::sleep(pause / 4);
    }
}

/// One race of `work` against the attacker.
fn race<T>(
    ground: &Ground,
    swap: Swap,
    pause: Duration,
    swaps: &AtomicUsize,
    work: impl FnOnce() -> T,
) -> io::Result<T> {
    ground.reset()?;
    let (place, kept, link) = ground.parts(swap);
    let stop = AtomicBool::new(false);
    Ok(std::thread::scope(|scope| {
        scope.spawn(|| attack(&place, &kept, &link, pause, &stop, swaps));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        done
    }))
}

/// A pause from nothing to twice a run's length.
fn pause(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(30_000) as u64)
}

#[test]
fn nothing_is_written_outside_the_opened_folder() -> Result {
    let (ground, mut random) = (Ground::new()?, Random::new(6));
    let races = tier::count(120, 10_000);
    let (swaps, mut wrong) = (AtomicUsize::new(0), Vec::new());
    let (mut written, mut noticed, mut refused) = (0, 0, 0);
    let path = ground.scene.path("top/work/file.yaml");
    let path = path.to_string_lossy();
    for number in 0..races {
        let swap = SWAPS[number % SWAPS.len()];
        let arguments = ["set", "-q", &path, "[\"key\"]", "--value-stdin"];
        let output: Output = race(&ground, swap, pause(&mut random), &swaps, || {
            ground.scene.seal_with_input(&arguments, b"\"new\"")
        })??;
        match output.code {
            Some(0) => written += 1,
            Some(3) if output.err().contains("changed on disk") => noticed += 1,
            // It came when the link was there, or nothing at all.
            Some(1..=100) if !output.err().contains("panicked") => refused += 1,
            _ => wrong.push(format!("{swap:?}: {}", ended(&output))),
        }
        if !ground.intact()? {
            wrong.push(format!("{swap:?}: written outside: {}", ended(&output)));
        }
    }
    use io::Write as _;
    writeln!(
        io::stdout().lock(),
        "faults: {races} races, {} swaps: {written} written, {noticed} noticed, {refused} refused, {} outside",
        swaps.load(Ordering::Relaxed),
        wrong.len()
    )?;
    // Without all of these the swaps came at the wrong moments.
    assert!(
        written > 0 && noticed > 0 && refused > 0,
        "{written} {noticed} {refused}"
    );
    verdict(&wrong, races, races)
}

#[test]
fn a_writer_that_opens_by_path_is_caught() -> Result {
    let (ground, mut random) = (Ground::new()?, Random::new(7));
    let path = ground.scene.path("top/work/file.yaml");
    let naive = || -> io::Result<()> {
        let content = fs::read(&path)?;
        std::thread::sleep(Duration::from_millis(2));
        fs::write(&path, content)
    };
    for swap in SWAPS {
        let mut caught = false;
        for _ in 0..2_000 {
            // That it fails now and then is the race's doing.
            let _ = race(&ground, swap, pause(&mut random) / 8, &AtomicUsize::new(0), naive)?;
            caught |= !ground.intact()?;
            if caught {
                break;
            }
        }
        assert!(
            caught,
            "{swap:?}: no race in 2,000 was lost by a writer without care"
        );
    }
    Ok(())
}
