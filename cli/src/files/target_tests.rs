//! The writer against links, foreign kinds of files, permissions, and a hundred others at once.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        fs::write(self.path(name), content).expect("written");
        self.path(name)
    }

    /// All names that exist; in particular no temporary one.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("listed");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

fn open(path: &Path) -> Result<(Target, SecretBytes)> {
    Target::open(path, Cap::default())
}

fn refusal(path: &Path) -> Error {
    match open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

fn replace(path: &Path, content: &str) {
    let (target, _) = open(path).expect("opened");
    assert_eq!(
        target.replace(content.as_bytes()).expect("replaced"),
        Vec::<String>::new()
    );
}

#[test]
fn a_file_is_read_and_replaced_whole() {
    let folder = Folder::new();
    let path = folder.file("f", "old");
    let (target, source) = open(&path).expect("opened");
    assert_eq!(source.expose(), b"old");
    let warnings = target.replace(b"new content").expect("replaced");
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(fs::read(&path).expect("read"), b"new content");
    assert_eq!(folder.names(), ["f"]);
    replace(&path, "");
    assert_eq!(fs::read(&path).expect("read"), b"");
}

#[test]
fn dropping_a_target_changes_nothing() {
    let folder = Folder::new();
    let path = folder.file("f", "old");
    let inode = fs::metadata(&path).expect("seen").ino();
    drop(open(&path).expect("opened"));
    assert_eq!(fs::metadata(&path).expect("seen").ino(), inode);
}

#[test]
fn links_stay_and_their_target_is_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.path("d")).expect("made");
    let real = folder.file("d/real", "old");
    symlink("d/real", folder.path("one")).expect("linked");
    symlink("one", folder.path("two")).expect("linked");
    symlink(folder.path("two"), folder.path("d/three")).expect("linked");
    replace(&folder.path("d/three"), "new");
    assert_eq!(fs::read(&real).expect("read"), b"new");
    for link in ["one", "two", "d/three"] {
        assert!(
            fs::symlink_metadata(folder.path(link))
                .expect("seen")
                .is_symlink(),
            "{link}"
        );
    }
    assert!(!fs::symlink_metadata(&real).expect("seen").is_symlink());
    assert_eq!(folder.names(), ["d", "one", "two"]);
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let folder = Folder::new();
    symlink("b", folder.path("a")).expect("linked");
    symlink("a", folder.path("b")).expect("linked");
    symlink("nowhere", folder.path("dangling")).expect("linked");
    let fifo = folder.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .expect("made");
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).expect("bound");
    for (name, code, why) in [
        ("a", Code::Write, "leads to itself"),
        ("dangling", Code::NoFile, "no such file"),
        ("absent", Code::NoFile, "no such file"),
        ("fifo", Code::Write, "is a pipe"),
        ("socket", Code::Write, "is a socket"),
        (".", Code::Write, "is a folder"),
        ("none/f", Code::Write, "cannot open the folder"),
    ] {
        let error = refusal(&folder.path(name));
        assert!(
            error.code() == code && error.to_string().contains(why),
            "{name}: {error:?}"
        );
    }
    assert!(
        refusal(Path::new("/dev/null"))
            .to_string()
            .contains("is a device")
    );
    assert!(refusal(Path::new("/")).to_string().contains("is a folder"));
}

#[test]
fn hard_links_are_warned_of() {
    let folder = Folder::new();
    let path = folder.file("f", "old");
    fs::hard_link(&path, folder.path("other")).expect("linked");
    let (target, _) = open(&path).expect("opened");
    let warnings = target.replace(b"new").expect("replaced");
    assert!(
        warnings.len() == 1 && warnings[0].contains("1 other hard link"),
        "{warnings:?}"
    );
    assert_eq!(fs::read(folder.path("other")).expect("read"), b"old");
}

#[test]
fn permissions_are_kept_whatever_they_are() {
    let folder = Folder::new();
    for mode in [0o600, 0o640, 0o644, 0o664, 0o666, 0o755] {
        let path = folder.file("f", "old");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        replace(&path, "new");
        assert_eq!(fs::metadata(&path).expect("seen").mode() & 0o7777, mode);
    }
}

/// FS-08.
#[test]
fn attributes_and_access_lists_are_kept() {
    let folder = Folder::new();
    let path = folder.file("f", "old");
    // user::rw-, user:12345:r--, group::r--, mask::r--, other::---
    let entry = |tag: u16, bits: u16, id: u32| {
        [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let entries = [(1, 6, !0), (2, 4, 12345), (4, 4, !0), (16, 4, !0), (32, 0, !0)];
    let list = entries
        .iter()
        .fold(vec![2, 0, 0, 0], |mut list, (tag, bits, id)| {
            list.extend(entry(*tag, *bits, *id));
            list
        });
    let access = "system.posix_acl_access";
    let flags = rustix::fs::XattrFlags::empty();
    let own = rustix::fs::setxattr(&path, "user.note", b"mine", flags);
    let listed = rustix::fs::setxattr(&path, access, &list, flags);
    replace(&path, "new");
    let mut value = [0; 256];
    if own.is_ok() {
        let length = rustix::fs::getxattr(&path, "user.note", &mut value[..]).expect("kept");
        assert_eq!(&value[..length], b"mine");
    }
    if listed.is_ok() {
        let length = rustix::fs::getxattr(&path, access, &mut value[..]).expect("kept");
        assert_eq!(&value[..length], list);
    }
}

/// FS-08.
#[test]
fn a_folders_default_access_list_does_not_widen_a_file() {
    let folder = Folder::new();
    let path = folder.file("f", "old");
    let entry = |tag: u16, bits: u16, id: u32| {
        [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let mut list = vec![2, 0, 0, 0];
    for (tag, bits, id) in [(1, 7, !0), (2, 7, 12345), (4, 7, !0), (16, 7, !0), (32, 7, !0)] {
        list.extend(entry(tag, bits, id));
    }
    let set = rustix::fs::setxattr(
        folder.0.path(),
        "system.posix_acl_default",
        &list,
        rustix::fs::XattrFlags::empty(),
    );
    replace(&path, "new");
    if set.is_ok() {
        let found = rustix::fs::getxattr(&path, "system.posix_acl_access", &mut [0; 256][..]);
        assert_eq!(found, Err(Errno::NODATA));
    }
}

#[test]
fn every_kind_of_change_in_between_is_noticed() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("written in place", |path| {
            fs::write(path, "odd").expect("written")
        }),
        ("replaced", |path| {
            fs::write(path.with_extension("x"), "old").expect("written");
            fs::rename(path.with_extension("x"), path).expect("renamed");
        }),
        ("removed", |path| fs::remove_file(path).expect("removed")),
        ("made a link", |path| {
            fs::rename(path, path.with_extension("x")).expect("renamed");
            symlink("f.x", path).expect("linked");
        }),
        ("chmod", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o444)).expect("set")
        }),
        ("folder swapped", |path| {
            let dir = path.parent().expect("a parent");
            fs::rename(dir, dir.with_extension("away")).expect("renamed");
            fs::create_dir(dir).expect("made");
            fs::write(path, "old").expect("written");
        }),
    ];
    for (what, change) in changes {
        let folder = Folder::new();
        fs::create_dir(folder.path("d")).expect("made");
        let path = folder.file("d/f", "old");
        let (target, _) = open(&path).expect("opened");
        change(&path);
        let error = target.replace(b"new").expect_err(what);
        assert!(error.to_string().contains("changed on disk"), "{what}: {error:?}");
        assert_eq!(error.code(), Code::Write);
        let at_path = fs::read(&path).unwrap_or_default();
        assert_ne!(at_path, b"new", "{what}");
        for dir in ["d", "d.away"] {
            let entries = fs::read_dir(folder.path(dir)).into_iter().flatten();
            let own = entries
                .filter(|entry| super::super::is_own_temporary(&entry.as_ref().expect("e").file_name()));
            assert_eq!(own.count(), 0, "{what}: a temporary file was left");
        }
    }
}

#[test]
fn a_write_of_the_same_length_in_the_same_tick_is_noticed() {
    let folder = Folder::new();
    for _ in 0..50 {
        let path = folder.file("f", "old");
        let (target, _) = open(&path).expect("opened");
        fs::write(&path, "odd").expect("written");
        assert!(target.replace(b"new").is_err());
        assert_eq!(fs::read(&path).expect("read"), b"odd");
    }
}

#[test]
fn a_hundred_writers_lose_nothing_and_readers_see_whole_files() {
    let folder = Folder::new();
    let path = folder.file("f", "");
    let reading = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while reading.load(std::sync::atomic::Ordering::Relaxed) {
                let content = crate::files::read(&path, Cap::default()).expect("read");
                assert!(
                    content.is_empty() || content.expose().ends_with(b"\n"),
                    "a torn read"
                );
                reads += 1;
            }
            reads
        });
        let writers: Vec<_> = (0..100)
            .map(|number| {
                let path = &path;
                scope.spawn(move || {
                    let (target, source) = open(path).expect("opened");
                    let mut next = source.expose().to_vec();
                    next.extend_from_slice(format!("{number}\n").as_bytes());
                    target.replace(&next).expect("replaced");
                })
            })
            .collect();
        writers
            .into_iter()
            .for_each(|writer| writer.join().expect("no panic"));
        reading.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().expect("no panic") > 0);
    });
    let content = fs::read_to_string(&path).expect("read");
    let mut numbers: Vec<u32> = content
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    assert_eq!(folder.names(), ["f"]);
}

#[test]
fn the_cap_holds_before_anything_is_read() {
    let folder = Folder::new();
    let path = folder.path("big");
    fs::File::create(&path)
        .expect("made")
        .set_len(1 << 40)
        .expect("sparse");
    let error = refusal(&path);
    assert!(
        error.code() == Code::Read && error.to_string().contains("limit"),
        "{error:?}"
    );
}
