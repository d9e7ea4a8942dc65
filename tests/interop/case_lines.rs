//! Files of cases: on each line a word that says what must be equal, a bar, and a command line for sh. A `#` begins a
//! comment.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use support::run::Output;

use crate::scene::Result;

/// How many cases run at a time.
const WORKERS: usize = 2;

/// What must be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// `same`: exit code and standard output.
    Bytes,
    /// `text`: these, and the first line of standard error.
    Text,
    /// `yaml`: the exit code, and the output as YAML.
    Yaml,
    /// `code`: the exit code.
    Code,
    /// `ours N`: they differ, and our exit code is this one.
    Differs(i32),
    /// `spec N`: the other program is not asked; our exit code is this one.
    Ours(i32),
}

impl Compared {
    /// Whether the outputs are as equal as they must be.
    pub fn holds(self, ours: &Output, theirs: &Output) -> Result<bool> {
        let codes = ours.code == theirs.code;
        let same = codes && ours.out() == theirs.out();
        Ok(match self {
            Self::Bytes => same,
            Self::Text => same && ours.err().lines().next() == theirs.err().lines().next(),
            Self::Yaml => codes && yaml(&ours.out())? == yaml(&theirs.out())?,
            Self::Code => codes,
            Self::Differs(code) => ours.code == Some(code) && !same,
            Self::Ours(code) => ours.code == Some(code),
        })
    }
}

/// A case, with its line in the file.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub number: usize,
    pub compared: Compared,
    pub line: &'static str,
}

/// The cases of a file.
pub fn read(text: &'static str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (index, text) in text.lines().enumerate() {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (compared, line) = text
            .split_once(" | ")
            .ok_or_else(|| format!("line {}: no bar", index + 1))?;
        let compared = match compared.split_once(' ') {
            Some(("ours", code)) => Compared::Differs(code.parse()?),
            Some(("spec", code)) => Compared::Ours(code.parse()?),
            None if compared == "same" => Compared::Bytes,
            None if compared == "text" => Compared::Text,
            None if compared == "yaml" => Compared::Yaml,
            None if compared == "code" => Compared::Code,
            _ => return Err(format!("line {}: {compared}?", index + 1).into()),
        };
        cases.push(Case {
            number: index + 1,
            compared,
            line,
        });
    }
    Ok(cases)
}

/// What is wrong with the cases: `check` is given each, with the number of the worker that it runs in.
pub fn wrong<E: Display>(
    cases: &[Case],
    check: impl Fn(Case, usize) -> std::result::Result<Option<String>, E> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (check, next, wrong) = (&check, &next, &wrong);
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = match check(*case, worker) {
                        Ok(None) => continue,
                        Ok(Some(found)) => found,
                        Err(error) => error.to_string(),
                    };
                    let text = format!("line {}: {}\n    {found}", case.number, case.line);
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                }
            });
        }
    });
    wrong.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// How many cases are deliberate differences, and how many are ours alone.
pub fn differences(cases: &[Case]) -> (usize, usize) {
    let of = |kind: fn(&Case) -> bool| cases.iter().filter(|case| kind(case)).count();
    (
        of(|case| matches!(case.compared, Compared::Differs(_))),
        of(|case| matches!(case.compared, Compared::Ours(_))),
    )
}

/// What is wrong with the outputs of a case, if anything is; `theirs` is asked only where it must be.
pub fn compare(
    case: Case,
    ours: &Output,
    theirs: impl FnOnce() -> std::io::Result<Output>,
) -> Result<Option<String>> {
    if ours.code == Some(101) || ours.err().contains("panicked") {
        return Ok(Some(format!("ours panicked: {}", ours.err())));
    }
    let shown = |output: &Output| format!("{:?} {:?} {:?}", output.code, output.out(), output.err());
    if let Compared::Ours(_) = case.compared {
        let fine = case.compared.holds(ours, ours)?;
        return Ok((!fine).then(|| format!("ours: {}", shown(ours))));
    }
    let theirs = theirs()?;
    let fine = case.compared.holds(ours, &theirs)?;
    Ok((!fine).then(|| format!("theirs: {}\n    ours:   {}", shown(&theirs), shown(ours))))
}

fn yaml(text: &str) -> Result<Vec<serde_yaml::Value>> {
    let documents = serde_yaml::Deserializer::from_str(text).map(serde_yaml::Value::deserialize);
    Ok(documents.collect::<std::result::Result<_, _>>()?)
}
