//! `seal demo`: the whole story in a temporary folder, with this very program and nothing else.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use similar::{ChangeTag, TextDiff};

use crate::error::{Code, Error, Result};
use crate::workbench::Workbench;

/// Show the whole story in a temporary folder
///
/// Keys, sealing, a minimal diff, tampering caught, rotation. Nothing outside the folder is touched, and the
/// folder is removed at the end.
#[derive(clap::Args)]
pub(crate) struct Demo {}

const MANIFEST: &str = "\
# The database of the shop
apiVersion: v1
kind: Secret
metadata: {name: shop-db, namespace: shop}
stringData:
  user: shop          # not very secret
  password: 'correct horse'
  port: \"5432\"

  ca.pem: |
    -----BEGIN CERTIFICATE-----
    MIIBszCCAVmgAwIBAgIUD
    -----END CERTIFICATE-----
type: Opaque
";

impl Demo {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let folder = tempfile::tempdir()
            .map_err(|cause| Error::new(Code::Write, "cannot make a folder").cause(&cause))?;
        Story {
            bench,
            folder: folder.path(),
        }
        .tell()?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Story<'a> {
    bench: &'a Workbench,
    folder: &'a Path,
}

impl Story<'_> {
    fn tell(&self) -> Result<()> {
        self.title(
            "1. A key. Its public half, the recipient, goes into the policy; the other half stays with you.",
        )?;
        self.seal(&["keys", "new"], 0)?;
        self.seal(&["init", "--yes", "--quiet"], 0)?;
        self.show(".sops.yaml")?;

        self.title("2. A manifest as a person wrote it, and `seal`: only the values change.")?;
        self.write("secret.yaml", MANIFEST)?;
        self.seal(&[], 0)?;
        self.diff(MANIFEST, &self.read("secret.yaml")?)?;

        self.title("3. It opens to the very same bytes.")?;
        let opened = self.seal(&["decrypt", "secret.yaml"], 0)?;
        if opened != MANIFEST {
            return Err(Error::new(
                Code::Generic,
                "the opened file is not the one that was sealed",
            ));
        }
        self.line("identical, comments, quotes and blank lines included")?;

        self.title("4. One value changes: its line and the metadata, nothing else.")?;
        let before = self.read("secret.yaml")?;
        self.seal(
            &["set", "secret.yaml", "[\"stringData\"][\"port\"]", "\"6432\""],
            0,
        )?;
        let after = self.read("secret.yaml")?;
        self.diff(&before, &after)?;

        self.title("5. Somebody without a key swaps two names. sops would see nothing: its MAC does not cover names.")?;
        self.write(
            "secret.yaml",
            &after.replace("name: shop-db, namespace: shop", "namespace: shop-db, name: shop"),
        )?;
        self.seal(&["decrypt", "secret.yaml"], 51)?;
        self.write("secret.yaml", &after)?;

        self.title("6. Rotation: a new data key for the same recipients, and a check that needs no key.")?;
        self.seal(&["rotate", "secret.yaml"], 0)?;
        self.seal(&["check"], 0)?;
        let value = self.seal(&["get", "secret.yaml", "[\"stringData\"][\"port\"]"], 0)?;
        self.line(&value)?;
        self.title(
            "That was it. The same commands work in your own folder: `seal keys new`, `seal init`, `seal`.",
        )
    }

    /// Runs this program in the folder, shows what was typed and what it said, and wants this exit code.
    fn seal(&self, arguments: &[&str], code: i32) -> Result<String> {
        self.line(&format!(
            "$ seal {}",
            arguments
                .iter()
                .map(|word| shown(word))
                .collect::<Vec<_>>()
                .join(" ")
        ))?;
        let program = std::env::current_exe()
            .map_err(|cause| Error::new(Code::Generic, "cannot find myself").cause(&cause))?;
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.folder)
            .env_clear()
            .envs(
                ["PATH", "TMPDIR"]
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env("HOME", self.folder)
            .env("NO_COLOR", OsStr::new("1"))
            .stdin(Stdio::null())
            .output()
            .map_err(|cause| Error::new(Code::Generic, "cannot run myself").cause(&cause))?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let folder = format!("{}/", self.folder.display());
        if !matches!(arguments.first(), Some(&"decrypt" | &"get")) {
            for line in out.lines() {
                self.line(&line.replace(&folder, ""))?;
            }
        }
        for line in err.lines() {
            self.line(&line.replace(&folder, ""))?;
        }
        if output.status.code() != Some(code) {
            let text = format!("expected exit code {code}, got {:?}", output.status.code());
            return Err(Error::new(Code::Generic, text));
        }
        Ok(out.into_owned())
    }

    fn diff(&self, before: &str, after: &str) -> Result<()> {
        let diff = TextDiff::from_lines(before, after);
        for change in diff.iter_all_changes() {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => continue,
            };
            let line: String = change.value().trim_end().chars().take(96).collect();
            let rest = if change.value().trim_end().chars().count() > 96 {
                "…"
            } else {
                ""
            };
            self.line(&format!("{sign} {line}{rest}"))?;
        }
        Ok(())
    }

    fn show(&self, name: &str) -> Result<()> {
        for line in self.read(name)?.lines() {
            self.line(&format!("  {line}"))?;
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.folder.join(name), text)
            .map_err(|cause| Error::new(Code::Write, "cannot write").cause(&cause))
    }

    fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.folder.join(name))
            .map_err(|cause| Error::new(Code::Read, "cannot read").cause(&cause))
    }

    fn title(&self, text: &str) -> Result<()> {
        self.line("")?;
        self.line(text)
    }

    fn line(&self, text: &str) -> Result<()> {
        self.bench.ui.say(text)
    }
}

fn shown(word: &str) -> String {
    if word.contains(['"', '[', ' ']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}
