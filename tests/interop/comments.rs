//! A comment is sealed where sops looks for it, wherever it stands, and rules on comments select as they do in sops.
//!
//! sops binds a sealed comment to the collection that its YAML library puts it into. A file sealed here opens there
//! without a warning only if every one of its comments was put into the same collection here. What sops must read is
//! taken from sops itself: the plain text with a metadata block at its end under which nothing is sealed, for the end of
//! the file is one more place that comments depend on.

use std::collections::BTreeSet;

use support::generate::{Commented, WORD};
use support::run::Tool;
use support::tier;

use crate::documents::versions;
use crate::scene::{Result, Scene, ended, verdict};

/// What stands in a creation rule; the first leaves the default.
const RULES: [&str; 7] = [
    "",
    "unencrypted_comment_regex: WORD",
    "encrypted_regex: '[2468]$|_secret$'",
    "encrypted_comment_regex: WORD",
    "unencrypted_regex: '[13579]$'",
    "encrypted_suffix: _secret",
    "unencrypted_suffix: '5'",
];

/// Of those, the ones on comments, which refuse aliases.
const ON_COMMENTS: [usize; 2] = [1, 3];

fn scene() -> Result<Scene> {
    let mut policy = "creation_rules:\n".to_owned();
    for (number, rule) in RULES.iter().enumerate() {
        policy.push_str(&format!("  - path_regex: ^rule{number}/\n    age: PERSON0\n"));
        if !rule.is_empty() {
            policy.push_str(&format!("    {}\n", rule.replace("WORD", WORD)));
        }
    }
    policy.push_str("  - path_regex: ^clear/\n    age: PERSON0\n    encrypted_regex: ^nothing$\n");
    Scene::new(&policy)
}

/// A file in the hands of one version of sops.
struct Case<'a> {
    scene: &'a Scene,
    sops: &'a Tool,
    /// The versions up to that one, the oldest first.
    versions: &'a [Tool],
    name: String,
    made: Commented,
}

#[test]
fn sops_opens_every_comment_without_a_warning() -> Result {
    let (files, comments) = (tier::count(70, 700), tier::count(400, 4_000));
    let rules: Vec<usize> = (0..RULES.len()).collect();
    run(
        files,
        comments,
        &rules,
        |seed| {
            let on_comments = ON_COMMENTS.contains(&(seed as usize % RULES.len()));
            Commented::new(seed, !on_comments, seed % 2 == 0)
        },
        |case, block| Ok(case.opens(block)? && case.comes_back()?),
    )
}

#[test]
fn a_rule_on_comments_selects_what_sops_selects() -> Result {
    let (files, comments) = (tier::count(40, 400), tier::count(200, 2_000));
    run(
        files,
        comments,
        &ON_COMMENTS,
        |seed| Commented::new(1_000_000 + seed, false, true),
        |case, block| Ok(case.selects(block)? && case.opens(block)?),
    )
}

/// Checks `files` generated files, each under the next of `rules`, with every version. A check says whether there was
/// anything to seal.
fn run(
    files: usize,
    comments: usize,
    rules: &[usize],
    make: impl Fn(u64) -> Commented,
    check: impl Fn(&Case<'_>, &str) -> Result<bool>,
) -> Result {
    let scene = scene()?;
    let (mut wrong, mut placed) = (Vec::new(), 0);
    let versions = versions()?.into_iter().map(|version| scene.tool(version, &[0]));
    let versions = versions.collect::<Result<Vec<_>>>()?;
    for (number, sops) in versions.iter().enumerate() {
        scene.write("clear/empty.yaml", "k: v\n")?;
        let clear = sops.run(["encrypt", "clear/empty.yaml"])?.expect_success()?;
        let clear = String::from_utf8(clear)?;
        let block = clear.strip_prefix("k: v\n").ok_or("no metadata block")?;
        for seed in 0..files as u64 {
            let rule = rules[seed as usize % rules.len()];
            let case = Case {
                scene: &scene,
                sops,
                versions: &versions[..=number],
                name: format!("rule{rule}/{seed}"),
                made: make(seed),
            };
            match check(&case, block) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => wrong.push(format!("{}: {error}", case.name)),
            }
            placed += case.made.comments.len();
        }
    }
    verdict(&wrong, placed, comments * versions.len())
}

impl Case<'_> {
    fn file(&self, kind: &str) -> String {
        format!("{}{kind}.yaml", self.name)
    }

    /// `seal encrypt`, whose result is also left in a file; `None` if there is nothing to seal, which sops confirms.
    fn sealed(&self) -> Result<Option<String>> {
        let (plain, text) = (self.file(""), self.made.text());
        self.scene.write(&plain, &text)?;
        let sealed = self.scene.seal(&["encrypt", &plain])?;
        if sealed.code == Some(23) && sealed.err().contains("nothing") {
            let theirs = self.sops.run(["encrypt", &plain])?.expect_success()?;
            let theirs = String::from_utf8(theirs)?;
            let leaves = self
                .clear_in(&theirs)
                .filter(|mark| mark.starts_with('v'))
                .count();
            if leaves == self.made.leaves.len() && !theirs.contains("type:comment]") {
                return Ok(None);
            }
            return Err(format!("sops seals something\n{text}").into());
        }
        if !sealed.success() {
            return Err(format!("seal does not seal it: {}\n{text}", ended(&sealed)).into());
        }
        self.scene.write(&self.file(".ours"), &sealed.stdout)?;
        Ok(Some(String::from_utf8(sealed.stdout)?))
    }

    /// What each version reads in the plain text, once a metadata block stands at its end.
    fn read(&self, block: &str) -> Result<Vec<String>> {
        let (file, text) = (self.file(".clear"), self.made.with_block(block));
        self.scene.write(&file, text)?;
        let read = self.versions.iter().map(|sops| {
            let read = sops.run(["decrypt", "--ignore-mac", &file])?;
            Ok(String::from_utf8(read.expect_success()?)?)
        });
        read.collect()
    }

    /// sops opens what `seal` sealed without a word, to what it reads in the plain text.
    fn opens(&self, block: &str) -> Result<bool> {
        let Some(ours) = self.sealed()? else {
            return Ok(false);
        };
        let found = self.sops.run(["decrypt", &self.file(".ours")])?;
        if !found.success() || !found.stderr.is_empty() {
            return Err(format!("sops opens it with a complaint: {}\n{ours}", ended(&found)).into());
        }
        // An empty comment in a list is sealed as a tab: sops would make an empty item of it.
        let (found, read) = (found.out().replace("#\t\n", "#\n"), self.read(block)?);
        if self.same(&found, &read) {
            return Ok(true);
        }
        let expected = read.concat();
        Err(format!("sops reads other text:\n{expected}--- became\n{found}---").into())
    }

    /// Whether what this version reads in the sealed form is what the versions read in the plain text.
    ///
    /// Newer versions leave a clear comment at the end of a line there, a sealed one goes to a line above; an alias that
    /// is written out is one more collection, which takes the comments beside it and has no copies of those in it. And
    /// of two comments in such places the writer of sops drops one, so it may be another one that is gone.
    fn same(&self, found: &str, read: &[String]) -> bool {
        let expected = read.last().map_or("", String::as_str);
        if self.versions.len() == 1 && !self.made.aliased {
            return found == expected;
        }
        let (found_marks, mut read_marks) = (marks(found), read.iter().map(|text| marks(text)));
        let first = read_marks.next().unwrap_or_default();
        let (any, all) = read_marks.fold((first.clone(), first), |(any, all), marks| {
            (&any | &marks, &all & &marks)
        });
        data(found) == data(expected)
            && found_marks.is_subset(&any)
            && (self.made.aliased || all.is_subset(&found_marks))
    }

    /// `seal decrypt` gives the author's bytes.
    fn comes_back(&self) -> Result<bool> {
        if self.scene.must(&["decrypt", &self.file(".ours")])? == self.made.text().as_bytes() {
            return Ok(true);
        }
        Err("decrypt(encrypt(x)) is not x".into())
    }

    /// The same leaves and comments are clear in what sops seals and in what `seal` seals, but for the comments that
    /// sops loses while it reads or writes.
    fn selects(&self, block: &str) -> Result<bool> {
        let Some(ours) = self.sealed()? else {
            return Ok(false);
        };
        let (theirs, read) = (self.sops.run(["encrypt", &self.file("")])?, self.read(block)?);
        let theirs = String::from_utf8(theirs.expect_success()?)?;
        let kept = |mark: &&str| read.iter().all(|read| read.contains(mark));
        let clear_in = |text| self.clear_in(text).filter(kept).collect();
        let (ours, theirs): (Vec<_>, Vec<_>) = (clear_in(&ours), clear_in(&theirs));
        let only = |a: &[&str], b: &[&str]| {
            let only = a.iter().filter(|mark| !b.contains(mark));
            only.copied().collect::<Vec<_>>().join(" ")
        };
        if ours == theirs {
            return Ok(true);
        }
        Err(format!(
            "clear in sops only: {}; in seal only: {}\n{}",
            only(&theirs, &ours),
            only(&ours, &theirs),
            self.made.text()
        )
        .into())
    }

    /// The marks of leaves, then of comments, that can be read in `text`.
    fn clear_in<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let marks = self.made.leaves.iter().chain(&self.made.comments);
        marks.map(String::as_str).filter(|mark| text.contains(mark))
    }
}

/// All that is no comment; where lines break may depend on comments.
fn data(text: &str) -> String {
    let before = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    before.flat_map(str::split_whitespace).collect()
}

/// The comments.
fn marks(text: &str) -> BTreeSet<&str> {
    let comments = text.lines().filter_map(|line| line.split_once('#'));
    comments.map(|(_, comment)| comment).collect()
}
