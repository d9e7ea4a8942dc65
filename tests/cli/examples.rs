//! What the documents show is what happens: their examples are run, at a terminal, in one folder, in their order.
//!
//! - ` ```yaml ` whose first line is `# NAME` is a file of the reader's.
//! - ` ```console ` is a session: behind `$ ` what is typed, below it what is shown, where the document shows it. `…`
//!   stands for anything, on a line of its own for any lines. A command fails if and only if an `error:` is shown.
//! - ` ```sh ` is for building: only `cargo` and `git clone`. `cargo run -p seal -- ...` is run all the same.
//! - ` ```text ` is no example. Nothing else is allowed, in particular no indented block.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use support::run::Tool;
use tempfile::TempDir;

use crate::scene::Result;

/// What is typed where a document shows a question whose answer is not shown.
const SECRET: &str = "correct horse battery staple";
/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The documents, from the project's root.
fn documents() -> Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for folder in [root.clone(), root.join("docs")] {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A fenced block.
struct Block {
    line: usize,
    kind: String,
    lines: Vec<String>,
}

/// The blocks of a document; an error for what is shown in another form.
fn blocks(text: &str) -> Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut open, mut blank) = (false, true);
    for (number, line) in text.lines().enumerate() {
        if let Some(kind) = line.strip_prefix("```") {
            open = !open;
            if open {
                blocks.push(Block {
                    line: number + 1,
                    kind: kind.to_owned(),
                    lines: Vec::new(),
                });
            }
        } else if open {
            let block = blocks.last_mut().ok_or("no block is open")?;
            block.lines.push(line.to_owned());
        } else if blank && line.starts_with("    ") {
            return Err(format!("line {}: an indented block; examples stand in fences", number + 1).into());
        }
        blank = line.trim().is_empty();
    }
    Ok(blocks)
}

/// A line of a session, and what is shown below it.
#[derive(Debug)]
struct Step {
    typed: String,
    shown: Vec<String>,
}

fn steps(block: &Block) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(typed), _) => steps.push(Step {
                typed: typed.to_owned(),
                shown: Vec::new(),
            }),
            (None, Some(step)) => step.shown.push(line.clone()),
            (None, None) => return Err("a session begins with `$ `".into()),
        }
    }
    Ok(steps)
}

/// The reader: a home, a repository, a terminal.
struct Reader {
    tool: Tool,
    folder: TempDir,
}

impl Reader {
    fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("sealwright-reader-")?;
        let program = Path::new(env!("CARGO_BIN_EXE_seal"));
        let programs = program.parent().ok_or("the program has no folder")?;
        let path = std::env::var("PATH")?;
        // `script` (Debian's bsdutils, which every system has) gives a terminal.
        let tool = Tool::new("script")?
            .dir(folder.path())
            .env("SHELL", "/bin/sh")
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Reader")
            .env("GIT_AUTHOR_EMAIL", "reader@example.org")
            .env("GIT_COMMITTER_NAME", "Reader")
            .env("GIT_COMMITTER_EMAIL", "reader@example.org");
        let reader = Self { tool, folder };
        reader.type_in("git init -q .", &[])?;
        Ok(reader)
    }

    /// Types a line, answers the questions that `shown` has, and returns what the terminal showed and the exit code.
    fn type_in(&self, line: &str, shown: &[String]) -> Result<(String, Option<i32>)> {
        let mut child = self
            .tool
            .command(["-qefc", line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("script: {error}"))?;
        let mut input = child.stdin.take().ok_or("no input")?;
        let mut output = child.stdout.take().ok_or("no output")?;
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if send.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut questions = questions(shown).into_iter().peekable();
        let (mut seen, start) = (Vec::new(), Instant::now());
        loop {
            match receive.recv_timeout(Duration::from_millis(100)) {
                Ok(bytes) => seen.extend(bytes),
                Err(mpsc::RecvTimeoutError::Timeout) if start.elapsed() < LIMIT => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    child.kill()?;
                    return Err(format!("still running: {line}: {}", String::from_utf8_lossy(&seen)).into());
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            let text = String::from_utf8_lossy(&seen);
            if let Some((_, answer)) = questions.next_if(|(question, _)| text.contains(question.as_str())) {
                writeln!(input, "{answer}")?;
            }
        }
        let text = String::from_utf8(seen)?.replace('\r', "");
        Ok((text, child.wait()?.code()))
    }

    fn run(&self, step: &Step) -> Result {
        let (text, code) = self.type_in(&step.typed, &step.shown)?;
        let fails = step.shown.iter().any(|line| line.starts_with("error:"));
        if (code != Some(0)) != fails {
            return Err(format!("{}: exit code {code:?}:\n{text}", step.typed).into());
        }
        let text: Vec<&str> = text.lines().map(str::trim_end).collect();
        let shown: Vec<&str> = step.shown.iter().map(|line| line.trim_end()).collect();
        if !shown.is_empty() && !matches(&shown, &text) {
            let (shown, text) = (shown.join("\n"), text.join("\n"));
            return Err(format!("{}: the document shows\n{shown}\nbut it is\n{text}", step.typed).into());
        }
        Ok(())
    }
}

/// The questions that a document shows, each with its answer.
fn questions(shown: &[String]) -> Vec<(String, String)> {
    let one = |line: &String| {
        if line.ends_with("not shown:") {
            return Some((line.clone(), SECRET.to_owned()));
        }
        let (question, answer) = line.split_once("[y/N] ")?;
        Some((question.to_owned(), answer.to_owned()))
    };
    shown.iter().filter_map(one).collect()
}

/// Whether lines are those that are shown, in which a `…` alone stands for any lines.
fn matches(shown: &[&str], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((&"…", rest)) => (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..])),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, others)| fits(first, line) && matches(rest, others)),
    }
}

/// Whether a line is the one that is shown, in which `…` stands for something.
fn fits(shown: &str, line: &str) -> bool {
    match shown.split_once('…') {
        None => shown == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, sign)| at + sign.len_utf8());
            ends.into_iter().any(|end| fits(after, &rest[end..]))
        }),
    }
}

/// Runs the examples of a document; returns how many commands that were.
fn examples(text: &str) -> Result<usize> {
    let reader = Reader::new()?;
    let mut commands = 0;
    for block in blocks(text)? {
        let place = |error| format!("the block in line {}: {error}", block.line);
        match block.kind.as_str() {
            "yaml" => {
                let name = block.lines.first().and_then(|line| line.strip_prefix("# "));
                let name = name.ok_or("a yaml block begins with the file's name behind `# `")?;
                let text: String = block.lines.iter().flat_map(|line| [line, "\n"]).collect();
                let file = reader.folder.path().join(name);
                if let Some(folder) = file.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                std::fs::write(file, text)?;
            }
            "console" => {
                for step in steps(&block).map_err(place)? {
                    reader.run(&step).map_err(place)?;
                    commands += 1;
                }
            }
            "sh" => {
                for line in &block.lines {
                    if let Some(arguments) = line.strip_prefix("cargo run -p seal -- ") {
                        reader
                            .run(&Step {
                                typed: format!("seal {arguments}"),
                                shown: Vec::new(),
                            })
                            .map_err(place)?;
                        commands += 1;
                    } else if !line.starts_with("cargo ") && !line.starts_with("git clone ") {
                        return Err(place(
                            format!("`{line}` would not be run: that is for `console`").into(),
                        )
                        .into());
                    }
                }
            }
            "text" => {}
            other => return Err(place(format!("a block of the kind `{other}`").into()).into()),
        }
    }
    Ok(commands)
}

#[test]
fn what_the_documents_show_is_what_happens() -> Result {
    let mut commands = 0;
    for document in documents()? {
        let text = std::fs::read_to_string(&document)?;
        let name = document.file_name().unwrap_or_default().display();
        commands += examples(&text).map_err(|error| format!("{name}: {error}"))?;
    }
    assert!(commands >= 10, "only {commands} commands are shown");
    Ok(())
}

/// `seal WORD` in a text names a command, a file, a flag or a placeholder.
#[test]
fn the_commands_that_the_documents_name_exist() -> Result {
    let help = Tool::new(env!("CARGO_BIN_EXE_seal"))?.run(["--help"])?.out();
    let known: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    let (mut named, mut wrong) = (0, Vec::new());
    for document in documents()? {
        let text = std::fs::read_to_string(&document)?;
        for code in text.split('`').skip(1).step_by(2) {
            let Some(word) = code
                .strip_prefix("seal ")
                .and_then(|rest| rest.split_whitespace().next())
            else {
                continue;
            };
            named += 1;
            if word.bytes().all(|byte| byte.is_ascii_lowercase()) && !known.contains(&word) {
                wrong.push(format!("{}: {code}", document.display()));
            }
        }
    }
    assert!(known.len() > 5 && named > 0, "{known:?}, {named}");
    crate::scene::verdict(&wrong, named, 1)
}

/// Where nothing is done, or a word is no command, a newcomer is told what to do next.
#[test]
fn a_newcomer_is_not_left_alone() -> Result {
    let text = r#"```console
$ seal
hint: nothing to seal: there is no policy yet; `seal init` writes one
$ seal status
error: status: no such file or folder
hint: no command has this name either: `seal --help` lists them
$ seal init
.sops.yaml:
…
No age identity was found: make one, and write these files? [y/N] y
wrote …keys.txt (keep a copy of it in a safe place)
wrote .sops.yaml
wrote .git/hooks/pre-commit
hint: put secrets into files that a rule's path_regex names, then run `seal`
$ seal
hint: nothing to seal: no file here has a name that a path_regex of the policy matches
$ echo A=1 > .env; seal .env
error: .env: no rule of a policy names this file
hint: add a rule whose path_regex matches it to .sops.yaml; `seal encrypt -i --age RECIPIENT FILE` needs none
$ mv .env a.enc.env; seal
sealed a.enc.env (new)
$ seal
hint: nothing to seal: 1 file is in order
$ echo 'k: v' > secret.yaml; seal
hint: 1 file is named by a rule that selects nothing in it: not sealed (-v tells which)
$ seal get a.enc.env '["A"]'
1
$ seal keys new
…
$ seal keys list
age1…  …
age1…  …
```
"#;
    assert_eq!(examples(text)?, 11);
    Ok(())
}

#[test]
fn a_document_that_is_untrue_fails() {
    let error = |text: &str| examples(text).expect_err(text).to_string();
    let session = |text: &str| format!("```console\n{text}\n```\n");
    assert!(examples(&session("$ seal keys new\nwrote …keys.txt (…\nrecipient: age1…")).is_ok());
    assert!(examples(&session("$ seal keys new\n…\nrecipient: age1…")).is_ok());
    assert!(examples(&session("$ seal get none '[\"a\"]'\nerror: none: …")).is_ok());
    assert!(error(&session("$ seal keys new\nrecipient: age1…")).contains("the document shows"));
    assert!(error(&session("$ seal keys new\n…\nrecipient: age2…")).contains("the document shows"));
    assert!(error(&session("$ seal get none '[\"a\"]'")).contains("exit code Some(100)"));
    assert!(error(&session("$ seal --version\nerror: …")).contains("exit code Some(0)"));
    assert!(error("```sh\nseal\n```\n").contains("would not be run"));
    assert!(error("```sh no-test\ncargo build\n```\n").contains("kind"));
    assert!(error("x\n\n    seal\n").contains("indented"));
}
