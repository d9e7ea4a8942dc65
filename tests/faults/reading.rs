//! A file that is written by others while it is read (FS-11): one version of it, whole, or an error.
//!
//! The writers are the worst there are: they cut the file off and fill it again, or write over its middle, and pause
//! half-way. Small form: 60 reads of each kind of writer. Campaign: 2,000.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::tier;

use crate::scene::{EVERYTHING, Result, Scene, ended, verdict};

/// Puts `bytes` into the file, in two halves.
type Writer = fn(&Path, &[u8]) -> std::io::Result<()>;

/// Long enough for a reader to come in between.
const HALF: Duration = Duration::from_millis(4);

fn cut_off_and_fill(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let (one, other) = bytes.split_at(bytes.len() / 2);
    file.write_all(one)?;
    std::thread::sleep(HALF);
    file.write_all(other)
}

fn write_over(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let (one, other) = bytes.split_at(bytes.len() / 2);
    file.seek(SeekFrom::Start(one.len() as u64))?;
    file.write_all(other)?;
    std::thread::sleep(HALF);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(one)?;
    file.set_len(bytes.len() as u64)
}

fn grow(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().append(true).open(path)?;
    file.write_all(b"# one more line, that nobody sealed\n")?;
    std::thread::sleep(HALF);
    file.set_len(bytes.len() as u64)?;
    fs::write(path, bytes)
}

#[test]
fn a_file_is_read_as_it_was_at_one_moment_or_not_at_all() -> Result {
    let writers: [(&str, Writer); 3] = [
        ("cut off and filled", cut_off_and_fill),
        ("written over", write_over),
        ("grown and cut", grow),
    ];
    let (reads, mut wrong, mut done) = (tier::count(60, 2_000), Vec::new(), 0);
    for (name, writer) in writers {
        let scene = Scene::new(EVERYTHING)?;
        // Of one length, and of another; with values in clear, which no cipher protects by itself.
        let plains = [("one", 60), ("two", 60), ("three", 90)].map(|(word, lines)| -> String {
            (0..lines)
                .map(|line| format!("key{line}: {word}\nkey{line}_unencrypted: {word}\n"))
                .collect()
        });
        let mut versions = Vec::new();
        for plain in &plains {
            scene.write("file.yaml", plain)?;
            scene.must(&["encrypt", "-i", "file.yaml"])?;
            versions.push(scene.read("file.yaml")?);
        }
        let (path, over) = (scene.path("file.yaml"), AtomicBool::new(false));
        let (mut whole, mut refused) = (0, 0);
        std::thread::scope(|scope| -> Result {
            let writing = scope.spawn(|| {
                for version in versions.iter().cycle() {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    writer(&path, version).map_err(|error| error.to_string())?;
                    std::thread::sleep(3 * HALF);
                }
                Ok::<(), String>(())
            });
            for _ in 0..reads {
                let output = scene.seal(&["decrypt", "file.yaml"])?;
                match output.code {
                    Some(0) if plains.iter().any(|plain| output.stdout == plain.as_bytes()) => whole += 1,
                    // It keeps changing, does not read or open, has no block, or none that fits.
                    Some(1 | 2 | 24 | 25 | 51 | 128) if output.stdout.is_empty() => refused += 1,
                    _ => wrong.push(format!("{name}: {}", ended(&output))),
                }
            }
            over.store(true, Ordering::Relaxed);
            Ok(writing.join().map_err(|_| "the writer panicked")??)
        })?;
        done += whole + refused;
        writeln!(
            std::io::stdout().lock(),
            "faults: {reads} reads of a file that is {name}: {whole} whole, {refused} refused, {} wrong",
            wrong.len()
        )?;
        assert!(whole > 0, "{name}: no read came through");
    }
    verdict(&wrong, done, 3 * reads)
}
