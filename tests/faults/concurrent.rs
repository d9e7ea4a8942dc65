//! Writers of one file wait for each other: what was acknowledged is there (CC-01), and every reader sees a whole file,
//! never an older one than before (CC-02).

use std::sync::atomic::{AtomicBool, Ordering};

use support::tier;

use crate::scene::{EVERYTHING, Result, Scene, ended};

/// How many writers there are at once.
const WRITERS: usize = 100;

/// How many writes a version holds; `None` if it is not the whole of one: the first value, and of some writers the key
/// with its value.
fn complete(plain: &[u8]) -> Option<usize> {
    let plain: serde_json::Value = serde_json::from_slice(plain).ok()?;
    let values = plain.as_object()?;
    let known = |(name, value): (&String, &serde_json::Value)| match name.strip_prefix("key") {
        Some(number) => *value == format!("value {number}"),
        None => name == "first" && value == "value",
    };
    (values.contains_key("first") && values.iter().all(known)).then_some(values.len() - 1)
}

fn round() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("file.json", "{\"first\": \"value\"}\n")?;
    scene.must(&["encrypt", "-i", "file.json"])?;
    let (scene, over) = (&scene, &AtomicBool::new(false));
    let (written, reads) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let (mut reads, mut seen) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let output = scene
                    .seal(&["decrypt", "file.json"])
                    .map_err(|error| error.to_string())?;
                if !output.success() {
                    return Err(format!("a reader met {}", ended(&output)));
                }
                let there =
                    complete(&output.stdout).ok_or_else(|| format!("a torn read: {}", output.out()))?;
                if there < seen {
                    return Err(format!("{seen} writes were there, now {there} are"));
                }
                seen = there;
                reads += 1;
            }
            Ok(reads)
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                scope.spawn(move || {
                    let path = format!("[\"key{number}\"]");
                    let arguments = ["set", "file.json", &path, "--value-stdin"];
                    let value = format!("\"value {number}\"");
                    scene
                        .seal_with_input(&arguments, value.as_bytes())
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        over.store(true, Ordering::Relaxed);
        (written, reader.join())
    });
    let reads: usize = reads.map_err(|_| "the reader panicked")??;
    let plain: serde_json::Value = serde_json::from_slice(&scene.must(&["decrypt", "file.json"])?)?;
    for (number, writer) in written.into_iter().enumerate() {
        let output = writer.map_err(|_| "a writer panicked")??;
        let there = plain[format!("key{number}")] == format!("value {number}");
        if !output.success() {
            return Err(format!("writer {number} failed (present: {there}): {}", ended(&output)).into());
        }
        if !there {
            return Err(format!("the acknowledged write of {number} is lost").into());
        }
    }
    assert_eq!(plain["first"], "value");
    assert!(reads > 0, "no reader ran beside the writers");
    let names: Vec<_> = std::fs::read_dir(scene.folder())?
        .filter_map(|entry| entry.ok())
        .collect();
    assert_eq!(names.len(), 2, "only the policy and the file are left: {names:?}");
    Ok(())
}

#[test]
fn a_hundred_writers_lose_nothing() -> Result {
    for _ in 0..tier::count(1, 100) {
        round()?;
    }
    Ok(())
}

/// Identities are added to one file, too: of those that were told none is lost.
#[test]
fn identities_made_at_once_are_all_kept() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    let home = scene.path("home");
    std::fs::create_dir(&home)?;
    let tool = || -> Result<_> { Ok(scene.tool(env!("CARGO_BIN_EXE_seal"), &[])?.env("HOME", &home)) };
    let told: Vec<Result<String>> = std::thread::scope(|scope| {
        let one = || -> Result<String> {
            let output = tool()?.run(["keys", "new"])?.expect_success()?;
            let text = String::from_utf8(output)?;
            let recipient = text.lines().find_map(|line| line.strip_prefix("recipient: "));
            Ok(recipient.ok_or("no recipient was told")?.to_owned())
        };
        let makers: Vec<_> = (0..20).map(|_| scope.spawn(one)).collect();
        let joined = makers.into_iter().map(|maker| maker.join());
        joined
            .map(|told| told.unwrap_or_else(|_| Err("a maker panicked".into())))
            .collect()
    });
    let listed = tool()?.run(["keys", "list"])?.out();
    for recipient in told {
        let recipient = recipient?;
        assert!(listed.contains(&recipient), "{recipient} is lost:\n{listed}");
    }
    assert_eq!(listed.lines().count(), 20);
    Ok(())
}
