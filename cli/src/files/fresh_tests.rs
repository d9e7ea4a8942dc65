//! New outputs: permissions, what is refused, what is left behind.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("seen").mode() & 0o7777
}

fn names(dir: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    names
}

#[test]
fn plaintext_is_for_its_owner_only_even_over_an_open_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("out");
    create_fresh(&path, b"one", Access::Private, Existing::Refuse).expect("made");
    assert_eq!(
        (mode(&path), fs::read(&path).expect("read")),
        (0o600, b"one".to_vec())
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("set");
    create_fresh(&path, b"two", Access::Private, Existing::Replace).expect("replaced");
    assert_eq!(
        (mode(&path), fs::read(&path).expect("read")),
        (0o600, b"two".to_vec())
    );
    assert_eq!(names(dir.path()), ["out"]);
}

#[test]
fn sealed_outputs_follow_the_umask_or_the_file_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, like) = (dir.path().join("out"), dir.path().join("like"));
    fs::write(&like, "").expect("written");
    create_fresh(&path, b"one", Access::Shared, Existing::Refuse).expect("made");
    assert_eq!(mode(&path), mode(&like));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
    create_fresh(&path, b"two", Access::Shared, Existing::Replace).expect("replaced");
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn nothing_is_overwritten_unless_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("out");
    fs::write(&path, "old").expect("written");
    let error = create_fresh(&path, b"new", Access::Shared, Existing::Refuse).expect_err("refused");
    assert_eq!(error.code(), Code::Write);
    assert_eq!(fs::read(&path).expect("read"), b"old");
    let folder = Place::resolve(&path).expect("resolved").folder;
    let temporary = fill(&path, &folder, b"new", Access::Shared, None).expect("filled");
    assert!(rename(&path, temporary, OsStr::new("out"), Existing::Refuse).is_err());
    assert_eq!(
        (fs::read(&path).expect("read"), names(dir.path())),
        (b"old".to_vec(), vec!["out".into()])
    );
}

#[test]
fn links_are_followed_folders_refused_devices_written_through() {
    let dir = tempfile::tempdir().expect("a folder");
    let link = dir.path().join("link");
    symlink("real", &link).expect("linked");
    create_fresh(&link, b"x", Access::Private, Existing::Refuse).expect("made");
    assert_eq!(fs::read(dir.path().join("real")).expect("read"), b"x");
    assert!(fs::symlink_metadata(&link).expect("seen").is_symlink());
    assert!(create_fresh(dir.path(), b"x", Access::Private, Existing::Replace).is_err());
    create_fresh(Path::new("/dev/null"), b"x", Access::Private, Existing::Refuse).expect("written");
    let error = create_fresh(Path::new("/dev/full"), b"x", Access::Private, Existing::Replace);
    assert_eq!(error.expect_err("full").code(), Code::Write);
    assert_eq!(names(dir.path()), ["link", "real"]);
}

#[test]
fn a_tree_is_written_inside_its_folder_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("out");
    let outputs = OutputDir::open(&root, Access::Private, Existing::Refuse).expect("made");
    outputs.write(Path::new("a.yaml"), b"1").expect("written");
    outputs.write(Path::new("./d/e/b.yaml"), b"2").expect("written");
    symlink(dir.path(), root.join("away")).expect("linked");
    for bad in [
        "../x",
        "/x",
        "a/../../x",
        "away/x",
        "a.yaml/x",
        "",
        "a.yaml",
        "d/e",
        "away",
    ] {
        let error = outputs.write(Path::new(bad), b"3").expect_err(bad);
        assert_eq!(error.code(), Code::Write, "{bad}");
    }
    outputs.finish().expect("synced");
    assert_eq!(fs::read(root.join("d/e/b.yaml")).expect("read"), b"2");
    assert_eq!(mode(&root.join("d/e/b.yaml")), 0o600);
    assert_eq!(mode(&root.join("d")), 0o700);
    assert_eq!(names(&root), ["a.yaml", "away", "d"]);
    assert_eq!(names(dir.path()), ["out"]);
    let again = OutputDir::open(&root, Access::Private, Existing::Replace).expect("opened");
    again.write(Path::new("a.yaml"), b"4").expect("replaced");
    assert_eq!(fs::read(root.join("a.yaml")).expect("read"), b"4");
}
