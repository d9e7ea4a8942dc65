//! Real programs that call sops, with `seal` in its place: on their `PATH` the name `sops` leads to our program.
//!
//! What they give is measured against what the same program gives for the plaintext, and against real sops 3.11.0 under
//! the same name.

mod helm;
mod kustomize;
mod pre_commit;
mod redis;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use support::peers;
use support::run::Tool;

use crate::scene::{Result, Scene};

/// Who answers to the name `sops`.
#[derive(Clone, Copy, Debug)]
enum Sops {
    Ours,
    Real,
}

/// Who seals and who opens what was sealed.
const PAIRS: [(Sops, Sops); 3] = [
    (Sops::Ours, Sops::Ours),
    (Sops::Ours, Sops::Real),
    (Sops::Real, Sops::Ours),
];

/// A scene and, for other programs, both programs under the name `sops`.
struct Stage {
    scene: Scene,
}

impl Stage {
    fn new(policy: &str) -> Result<Self> {
        let scene = Scene::new(policy)?;
        for (sops, program) in [
            (Sops::Ours, PathBuf::from(env!("CARGO_BIN_EXE_seal"))),
            (Sops::Real, peers::sops_3_11()?),
        ] {
            let bin = scene.path(bin(sops));
            fs::create_dir_all(&bin)?;
            symlink(program, bin.join("sops"))?;
        }
        symlink(
            env!("CARGO_BIN_EXE_seal"),
            scene.path(bin(Sops::Ours)).join("seal"),
        )?;
        Ok(Self { scene })
    }

    /// A program that finds this `sops`, and person 0's identity for it.
    fn tool(&self, program: impl Into<PathBuf>, sops: Sops) -> Result<Tool> {
        let path = std::env::var("PATH")?;
        let bin = self.scene.path(bin(sops));
        let tool = self.scene.tool(program, &[0])?;
        Ok(tool.env("PATH", format!("{}:{path}", bin.display())))
    }

    /// Writes a program of the shell.
    fn script(&self, name: &str, text: &str) -> Result {
        self.scene.write(name, text)?;
        Ok(fs::set_permissions(
            self.scene.path(name),
            fs::Permissions::from_mode(0o755),
        )?)
    }

    /// Changes one byte of the first sealed value of a file. (Sops lets a comment pass that was tampered with.)
    fn tamper(&self, name: &str) -> Result {
        let text = String::from_utf8(self.scene.read(name)?)?;
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let sealed = lines
            .iter_mut()
            .find(|line| line.contains(",data:") && !line.trim_start().starts_with('#'))
            .ok_or("nothing is sealed")?;
        let at = sealed.find("data:").unwrap_or_default() + "data:".len();
        let other = if sealed[at..].starts_with('A') { "B" } else { "A" };
        sealed.replace_range(at..=at, other);
        Ok(self.scene.write(name, lines.join("\n"))?)
    }
}

fn bin(sops: Sops) -> &'static str {
    match sops {
        Sops::Ours => "bin/ours",
        Sops::Real => "bin/real",
    }
}
