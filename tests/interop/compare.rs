//! One file, sealed by each side and opened by the other.
//!
//! The oracle is always sops: what it reads in our sealed form must be what it reads in its own of the same file, and
//! what `seal` reads in sops' form must be what sops reads there. A file that sops cannot open after sealing it itself
//! (it has such bugs around comment rules) proves nothing and is passed over.

use support::run::{Output, Tool};

use crate::scene::{Result, Scene, ended};

/// What a file is, and where the scene's policy wants it.
pub struct Case {
    /// The folder, named after the policy's rule.
    pub folder: String,
    /// The name without its ending.
    pub name: String,
    /// `yaml`, `json`, `env`, `ini` or `bin`.
    pub ending: &'static str,
    /// The plaintext.
    pub text: Vec<u8>,
}

/// Whether the case could be compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Both directions hold.
    Same,
    /// sops selects nothing in it or cannot read its own sealed form; or an alias stands under a comment rule, which
    /// is refused here by name.
    NoOracle,
}

/// Compares both directions. An error is a difference.
pub fn compare(scene: &Scene, sops: &Tool, case: &Case) -> Result<Outcome> {
    let names = ["", ".ours", ".theirs", ".back"]
        .map(|kind| format!("{}/{}{kind}.{}", case.folder, case.name, case.ending));
    let [plain, ours, theirs, back] = names.each_ref().map(String::as_str);
    scene.write(plain, &case.text)?;
    let sealed = sops.run(["encrypt", plain])?;
    if !sealed.success() {
        return Err(format!("{plain}: sops does not seal it: {}", ended(&sealed)).into());
    }
    scene.write(theirs, &sealed.stdout)?;
    if sealed_values(&sealed.out()) == 0 {
        return Ok(Outcome::NoOracle);
    }
    let expected = open(sops, theirs, case.ending)?;
    if !expected.success() {
        return Ok(Outcome::NoOracle);
    }

    let sealed = scene.seal(&["encrypt", plain])?;
    if sealed.code == Some(23)
        && sealed
            .err()
            .contains("an alias copies values that a comment rule selects")
    {
        return Ok(Outcome::NoOracle);
    }
    if !sealed.success() {
        return Err(format!("{plain}: seal does not seal it: {}", ended(&sealed)).into());
    }
    scene.write(ours, &sealed.stdout)?;
    let found = open(sops, ours, case.ending)?;
    if !found.success() {
        return Err(format!("{ours}: sops does not open it: {}", ended(&found)).into());
    }
    if !found.stderr.is_empty() {
        return Err(format!("{ours}: sops opens it with a complaint: {}", ended(&found)).into());
    }
    same(ours, "sops opens it to other data", &expected, &found)?;
    if scene.must(&["decrypt", ours])? != case.text {
        return Err(format!("{ours}: decrypt(encrypt(x)) is not x").into());
    }
    theirs_opened(scene, sops, case, [theirs, back], &expected)?;
    if documents(case) > 1 {
        let (a, b) = (sops.run(["decrypt", ours])?, sops.run(["decrypt", theirs])?);
        same(
            ours,
            "sops opens further documents to other data",
            &without_comments(b),
            &without_comments(a),
        )?;
    }
    Ok(Outcome::Same)
}

/// What sops opens a file to: JSON for what has no byte form of its own that is kept.
fn open(sops: &Tool, file: &str, ending: &str) -> Result<Output> {
    Ok(match ending {
        "yaml" | "ini" => sops.run(["decrypt", "--output-type", "json", file])?,
        _ => sops.run(["decrypt", file])?,
    })
}

/// `seal decrypt` of a file that sops sealed.
fn theirs_opened(
    scene: &Scene,
    sops: &Tool,
    case: &Case,
    [theirs, back]: [&str; 2],
    expected: &Output,
) -> Result {
    if matches!(case.ending, "env" | "bin" | "json") {
        let found = scene.seal(&["decrypt", theirs])?;
        if !found.success() {
            return Err(format!("{theirs}: seal does not open it: {}", ended(&found)).into());
        }
        return same(theirs, "seal opens it to other bytes", expected, &found);
    }
    let found = scene.seal(&["decrypt", "--output-type", "json", theirs])?;
    if !found.success() {
        return Err(format!("{theirs}: seal does not open it: {}", ended(&found)).into());
    }
    // As text, for then the order of keys counts.
    let text = |output: &Output| {
        serde_json::from_slice::<serde_json::Value>(&output.stdout).map(|value| value.to_string())
    };
    if text(expected)? != text(&found)? {
        return Err(difference(
            theirs,
            "seal opens it to other data",
            &expected.out(),
            &found.out(),
        )
        .into());
    }
    if documents(case) > 1 {
        // JSON shows the first document only; sops itself has to say what the others mean.
        scene.write(back, scene.must(&["decrypt", theirs])?)?;
        let sealed = sops.run(["encrypt", back])?;
        scene.write(back, sealed.expect_success()?)?;
        let (a, b) = (sops.run(["decrypt", theirs])?, sops.run(["decrypt", back])?);
        same(
            theirs,
            "seal opens further documents to other data",
            &without_comments(a),
            &without_comments(b),
        )?;
    }
    Ok(())
}

fn documents(case: &Case) -> usize {
    if case.ending != "yaml" {
        return 1;
    }
    let text = String::from_utf8_lossy(&case.text);
    1 + text
        .lines()
        .skip(1)
        .filter(|line| *line == "---" || line.starts_with("--- "))
        .count()
}

/// Sealed values other than the MACs.
fn sealed_values(text: &str) -> usize {
    let macs = ["mac: ", "\"mac\": ", "sops_mac=", "mac "];
    text.lines()
        .filter(|line| !macs.iter().any(|mac| line.trim_start().starts_with(mac)))
        .map(|line| line.matches("ENC[AES256_GCM,").count())
        .sum()
}

/// Comments stand where each writer puts them, which may break `{}` into two lines: only the data beside them is
/// compared.
fn without_comments(output: Output) -> Output {
    let text = output.out();
    let lines = text.lines().map(str::trim_start);
    let kept = lines.filter(|line| !line.starts_with('#'));
    let text = kept.flat_map(|line| [line, "\n"]).collect::<String>();
    let stdout = text.replace("{\n}", "{}").replace("[\n]", "[]").into_bytes();
    Output { stdout, ..output }
}

fn same(file: &str, what: &str, expected: &Output, found: &Output) -> Result {
    if expected.success() && found.success() && expected.stdout == found.stdout {
        return Ok(());
    }
    Err(difference(file, what, &expected.out(), &found.out()).into())
}

/// The first line that differs.
fn difference(file: &str, what: &str, expected: &str, found: &str) -> String {
    let (mut a, mut b) = (expected.lines(), found.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (a.next(), b.next()) {
            (None, None) => return format!("{file}: {what}: only in line breaks"),
            (x, y) if x == y => {}
            (x, y) => return format!("{file}: {what}: line {number}: {x:?} became {y:?}"),
        }
    }
}
