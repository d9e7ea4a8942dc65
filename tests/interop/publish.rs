//! Publishing: what arrives where sops would have put it, and what does not go out.
//!
//! S3 is moto, which checks signatures and policies; Cloud Storage is a stand-in ([`support::gcp_stub::storage`]); Vault is a
//! real OpenBao. Small form and campaign are the same.

mod gcs;
mod native;
mod s3;
mod trouble;
mod vault;

use std::ffi::OsString;
use std::path::PathBuf;

use support::run::{Output, Tool};

use crate::keys::{seal, sops};
use crate::scene::{Result, Scene, ended};

type Environment = Vec<(OsString, OsString)>;

/// A document with everything that travels.
const PLAIN: &[u8] =
    b"# top\na: hunter2\nb_unencrypted: clear\nfive: 5\nf: 1.50\nt: 2020-01-01T00:00:00Z\nz: null\nno: false\n\
    list: [2, three]\nm:\n  k: v # here\n  deeper: {x: \"\\u00fc \\n\"}\n";

/// A program under a name.
struct Program {
    name: &'static str,
    tool: Tool,
}

/// Ours in the place of sops first, then two versions of sops.
fn programs(scene: &Scene, environment: &Environment) -> Result<Vec<Program>> {
    let [old, new] = sops()?;
    let tool = |path: PathBuf| -> Result<Tool> { Ok(with(scene.tool(path, &[0])?, environment)) };
    Ok(vec![
        Program {
            name: "seal sops",
            tool: tool(seal())?.first(["sops"]),
        },
        Program {
            name: "sops 3.11.0",
            tool: tool(old)?,
        },
        Program {
            name: "sops 3.13.3",
            tool: tool(new)?,
        },
    ])
}

fn with(tool: Tool, environment: &Environment) -> Tool {
    environment
        .iter()
        .fold(tool, |tool, (name, value)| tool.env(name, value))
}

/// `seal` itself.
fn native(scene: &Scene, environment: &Environment) -> Result<Tool> {
    Ok(with(scene.tool(seal(), &[0])?, environment))
}

fn variable(name: &str, value: impl Into<OsString>) -> (OsString, OsString) {
    (name.into(), value.into())
}

/// `PLAIN`, or another text, sealed for person 0 under `name`.
fn sealed(scene: &Scene, name: &str, plain: &[u8]) -> Result {
    let rules = "creation_rules:\n  - age: PERSON0\n";
    let before = scene.read(".sops.yaml").ok();
    scene.policy(rules)?;
    let [sops, _] = sops()?;
    let ending = name.rsplit_once('.').map_or("binary", |(_, ending)| ending);
    let plain_name = format!("plain.{ending}");
    scene.write(&plain_name, plain)?;
    let text = scene
        .tool(sops, &[0])?
        .run(["encrypt", &plain_name])?
        .expect_success()?;
    std::fs::remove_file(scene.path(&plain_name))?;
    scene.write(name, text)?;
    if let Some(before) = before {
        scene.write(".sops.yaml", before)?;
    }
    Ok(())
}

/// The file with one letter of a sealed value changed.
fn tampered(scene: &Scene, name: &str, key: &str) -> Result {
    let text = String::from_utf8(scene.read(name)?)?;
    let mark = format!("{key}: ENC[AES256_GCM,data:");
    let at = text.find(&mark).ok_or("no such value")? + mark.len();
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    let mut changed = text.clone();
    changed.replace_range(at..=at, other);
    assert_ne!(text, changed);
    Ok(scene.write(name, changed)?)
}

/// The first outputs are the same as all others: exit code, and what is printed to be read by scripts.
fn same(what: &str, outputs: &[(&str, Output)]) -> Result {
    let Some(((_, first), others)) = outputs.split_first() else {
        return Err("nothing ran".into());
    };
    for (name, other) in others {
        if (first.code, &first.stdout) != (other.code, &other.stdout) {
            return Err(format!(
                "{what}: ours: {} {:?}, {name}: {} {:?}",
                ended(first),
                first.out(),
                ended(other),
                other.out()
            )
            .into());
        }
    }
    Ok(())
}

/// It failed with `code`, and said `words`.
fn refused(output: &Output, code: i32, words: &str, what: &str) -> Result {
    match output.code == Some(code) && output.err().contains(words) {
        true => Ok(()),
        false => Err(format!("{what}: not {code} with {words:?}: {}", ended(output)).into()),
    }
}
