//! The command line of kubeseal, case by case: `seal` called as `kubeseal` against real kubeseal 0.36.6.
//!
//! The cases are the lines of `testdata/kubeseal/cases.txt`; its head says what is compared. Sealed items are new in every
//! run: they are opened first, and compared by label and plaintext.

mod others;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::cloud::{Asked, Cloud, Told};
use support::peers;
use support::run::{Output, capture};
use support::sealed_items::Opener;

use crate::case_lines::{self, Case};
use crate::command_line::copy;
use crate::scene::{Result, verdict};

const CASES: &str = include_str!("../../testdata/kubeseal/cases.txt");
const FIXTURES: &str = include_str!("../../testdata/kubeseal/fixtures.sh");
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/sealed-secrets/keys");
const LIMIT: Duration = Duration::from_secs(60);

const NAMESPACES: [&str; 8] = ["ns", "other", "x", "zz", "default", "fromctx", "second", "n4"];
const NAMES: [&str; 5] = ["s", "t", "x", "other", "1"];

#[test]
fn seal_as_kubeseal_does_what_kubeseal_does() -> Result {
    let stage = Stage::new()?;
    let cases = case_lines::read(CASES)?;
    let wrong = case_lines::wrong(&cases, |case, worker| stage.check(case, worker));
    let (differ, _) = case_lines::differences(&cases);
    println!(
        "command line: {} cases against kubeseal 0.36.6, {differ} of them deliberate differences",
        cases.len()
    );
    verdict(&wrong, cases.len(), 250)
}

/// The fixtures, both programs, and a server with a certificate.
struct Stage {
    folder: tempfile::TempDir,
    server: Cloud,
    opener: Opener,
}

impl Stage {
    fn new() -> Result<Self> {
        let stage = Self {
            folder: tempfile::tempdir()?,
            server: server()?,
            opener: Opener::new(
                &fs::read_to_string(format!("{KEYS}/rsa-2048.pkcs8.key"))?,
                &NAMESPACES,
                &NAMES,
            )?,
        };
        let root = stage.folder.path();
        let real = peers::kubeseal()?;
        for (bin, program) in [
            ("theirs", real.clone()),
            ("ours", PathBuf::from(env!("CARGO_BIN_EXE_seal"))),
        ] {
            fs::create_dir(root.join(bin))?;
            symlink(program, root.join(bin).join("kubeseal"))?;
            symlink(&real, root.join(bin).join("real"))?;
        }
        fs::create_dir(root.join("files"))?;
        stage
            .run("theirs", &root.join("files"), FIXTURES)?
            .expect_success()?;
        Ok(stage)
    }

    /// Runs `line` in `folder` with the program of `bin` as `kubeseal`.
    fn run(&self, bin: &str, folder: &Path, line: &str) -> io::Result<Output> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", line])
            .current_dir(folder)
            .env_clear()
            .env(
                "PATH",
                format!("{}:{path}", self.folder.path().join(bin).display()),
            )
            .env("HOME", folder)
            .env("KEYS", KEYS)
            .env("URL", self.server.url())
            .env("PROXY", self.server.url())
            .env("CA", self.server.certificates());
        let mut output = capture(command, b"", LIMIT)?;
        output.stdout = self.opener.reveal(&output.out()).into_bytes();
        Ok(output)
    }

    /// What is wrong, if anything is. The folder is always at the same place, for paths may be printed.
    fn check(&self, case: Case, worker: usize) -> Result<Option<String>> {
        let folder = self.folder.path().join(format!("run{worker}"));
        let fresh = |bin| {
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            copy(&self.folder.path().join("files"), &folder)?;
            self.run(bin, &folder, case.line)
        };
        let ours = fresh("ours")?;
        if ours.err().contains("canary") {
            return Ok(Some(format!("an error of ours holds a secret: {}", ours.err())));
        }
        case_lines::compare(case, &ours, || fresh("theirs"))
    }
}

/// Answers with the certificate, or leads elsewhere.
fn server() -> Result<Cloud> {
    let certificate = fs::read(format!("{KEYS}/rsa-2048.crt"))?;
    let answer = move |asked: &Asked| {
        let told = |status, body: &[u8]| Told {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        };
        match asked.path.as_str() {
            // The second one is what is asked of a proxy.
            "/cert.pem" | "http://certs.example/cert.pem" => told(200, &certificate),
            "/moved" => told(302, b"").with("location", "/cert.pem"),
            "/loop" => told(301, b"").with("location", "/loop"),
            "/downgraded" => told(302, b"").with("location", "http://certs.example/cert.pem"),
            _ => told(404, b""),
        }
    };
    Ok(Cloud::start(&["certs.example"], Box::new(answer))?)
}
