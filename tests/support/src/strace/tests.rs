//! The harness itself: it catches what loses a file, and cannot pass without a fault.

use super::*;

fn writer(folder: &Path) -> io::Result<(Tool, Vec<OsString>)> {
    std::fs::write(folder.join("file"), "old")?;
    let script = "printf new > file.tmp && mv file.tmp file";
    Ok((
        Tool::new("/bin/sh")?.dir(folder),
        vec!["-c".into(), script.into()],
    ))
}

#[test]
fn a_file_replaced_by_rename_survives_a_kill_at_every_call() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let sweep = Sweep::new(Fault::Kill, FILE_CALLS)
        .map_err(io::Error::other)?
        .touching(folder.path());
    let mut seen = BTreeSet::new();
    let injected = sweep.run(
        || writer(folder.path()),
        |injection, _| {
            seen.insert(injection.call.clone());
            let text = std::fs::read_to_string(folder.path().join("file"))?;
            if text == "old" || text == "new" {
                Ok(())
            } else {
                Err(io::Error::other(text))
            }
        },
    )?;
    assert!(injected >= 3, "{injected}");
    assert!(
        seen.contains("openat") && seen.iter().any(|call| call.starts_with("rename")),
        "{seen:?}"
    );
    Ok(())
}

#[test]
fn a_file_written_in_place_is_caught() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let sweep = Sweep::new(Fault::Error("ENOSPC"), ["write"])
        .map_err(io::Error::other)?
        .touching(folder.path());
    let error = sweep
        .run(
            || {
                std::fs::write(folder.path().join("file"), "old")?;
                let script = "printf new > file";
                Ok((
                    Tool::new("/bin/sh")?.dir(folder.path()),
                    vec!["-c".into(), script.into()],
                ))
            },
            |_, _| match std::fs::read_to_string(folder.path().join("file"))?.as_str() {
                "" => Err(io::Error::other("the file is empty")),
                _ => Ok(()),
            },
        )
        .unwrap_err();
    assert!(error.to_string().contains("the file is empty"), "{error}");
    Ok(())
}

#[test]
fn a_sweep_without_a_folder_ends_with_the_first_clean_run() -> io::Result<()> {
    let sweep = Sweep::new(Fault::Error("EIO"), ["write"]).map_err(io::Error::other)?;
    let mut codes = Vec::new();
    let injected = sweep.run(
        || {
            Ok((
                Tool::new("/bin/sh")?,
                vec!["-c".into(), "echo a && echo b && echo c".into()],
            ))
        },
        |_, output| {
            codes.push(output.code);
            Ok(())
        },
    )?;
    assert!(
        injected >= 3 && codes.iter().any(|code| *code != Some(0)),
        "{codes:?}"
    );
    Ok(())
}

#[test]
fn a_sweep_everywhere_kills_at_every_call_of_a_clean_run() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let sweep = Sweep::everywhere(Fault::Kill).map_err(io::Error::other)?;
    let (mut seen, mut states) = (BTreeSet::new(), BTreeSet::new());
    let injected = sweep.run(
        || writer(folder.path()),
        |injection, output| {
            // Either the shell is killed or `mv`, which the shell reports.
            assert!(!output.success(), "{injection:?}");
            seen.insert(injection.call.clone());
            states.insert(std::fs::read_to_string(folder.path().join("file"))?);
            Ok(())
        },
    )?;
    assert!(
        injected > 30 && seen.contains("exit_group"),
        "{injected} {seen:?}"
    );
    assert_eq!(states.into_iter().collect::<Vec<_>>(), ["new", "old"]);
    Ok(())
}

#[test]
fn a_lasting_error_hits_every_call_from_there_on() -> io::Result<()> {
    let sweep = Sweep::new(Fault::Lasting("EIO"), ["write"]).map_err(io::Error::other)?;
    let mut printed = Vec::new();
    sweep.run(
        || {
            Ok((
                Tool::new("/bin/sh")?,
                vec!["-c".into(), "echo a; echo b; echo c".into()],
            ))
        },
        |injection, output| {
            printed.push((injection.index, output.out()));
            Ok(())
        },
    )?;
    assert_eq!(printed[0], (1, String::new()));
    assert_eq!(printed[1], (2, "a\n".to_owned()));
    Ok(())
}

#[test]
fn a_sweep_that_injects_nothing_fails() -> io::Result<()> {
    let sweep = Sweep::new(Fault::Kill, ["linkat"]).map_err(io::Error::other)?;
    let prepare = || Ok((Tool::new("/bin/true")?, Vec::new()));
    assert!(sweep.run(prepare, |_, _| Ok(())).is_err());
    Ok(())
}

#[test]
fn a_thinned_plan_keeps_both_ends() {
    let plan = || {
        BTreeMap::from([
            ("a".to_owned(), (1..=6).collect()),
            ("b".to_owned(), (3..=7).collect()),
        ])
    };
    let thin = thinned(plan(), 4, 0);
    assert_eq!(thin["a"], BTreeSet::from([1, 4]));
    assert_eq!(thin["b"], BTreeSet::from([3, 7]));
    assert_eq!(thinned(plan(), 11, 3), plan());
    assert_eq!(thinned(plan(), 1, 0).values().flatten().count(), 1);
    let shifted = thinned(plan(), 2, 3);
    assert_eq!(
        (shifted["a"].clone(), shifted["b"].len()),
        (BTreeSet::from([3, 4]), 0),
        "the fourth, and three behind the last"
    );
}

#[test]
fn calls_are_counted_per_thread_and_resumed_ones_once() {
    let trace = "7 openat(AT_FDCWD</x>, \"/lib/c\", O_RDONLY) = 3</lib/c>\n\
                 7 openat(AT_FDCWD</x>, \"/d/f\", O_RDONLY <unfinished ...>\n\
                 8 openat(AT_FDCWD</x>, \"/d/g\", O_RDONLY) = 4</d/g>\n\
                 7 <... openat resumed>) = 3</d/f>\n\
                 7 write(3</d/f>, \"x\", 1) = 1\n";
    let all = touching(trace, None);
    assert_eq!(
        (all["openat"].len(), all["write"].len()),
        (2, 1),
        "numbers of one thread stand for those of the other, too"
    );
    let plan = touching(trace, Some(Path::new("/d")));
    assert_eq!(plan["openat"], BTreeSet::from([1, 2]));
    assert_eq!(plan["write"], BTreeSet::from([1]));
}
