//! The audit log: `seal` and real sops obey the same `/etc/sops/audit.yaml`.
//!
//! That path is the programs' own. Each run sees an `/etc` in which a folder of the test lies over the system's, in a
//! mount namespace that ends with it; a machine on which nobody may make one fails these tests.
//!
//! Small form and campaign are the same.

mod backends;
mod refusals;
mod table;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use support::peers;
use support::postgres::{PASSWORD, Postgres};
use support::run::Tool;

use crate::scene::{Result, Scene};

const PLAIN: &str = "a: hunter2\nc: d\n";
const POLICY: &str = "creation_rules:\n  - age: PERSON0\n";

/// Where the file lies below the scene.
const CONFIG: &str = "etc/sops/audit.yaml";

/// Somebody who works under the audit log of a scene.
#[derive(Clone, Debug)]
struct Program {
    path: PathBuf,
    /// What makes it speak as sops does.
    first: &'static [&'static str],
}

impl Program {
    fn seal() -> Self {
        Self {
            path: env!("CARGO_BIN_EXE_seal").into(),
            first: &[],
        }
    }

    fn seal_as_sops() -> Self {
        Self {
            first: &["sops"],
            ..Self::seal()
        }
    }

    fn sops() -> Result<[Self; 2]> {
        let real = |path| Self { path, first: &[] };
        Ok([real(peers::sops_3_11()?), real(peers::sops_3_13()?)])
    }

    /// It, in the scene, with person 0's identity, and the scene's `etc` over the system's.
    fn tool(&self, scene: &Scene) -> Result<Tool> {
        audited(scene, &self.path, self.first)
    }
}

/// `program` as [`Program::tool`] starts it.
fn audited(scene: &Scene, program: &Path, first: &[&str]) -> Result<Tool> {
    let etc = scene.path("etc");
    std::fs::create_dir_all(&etc)?;
    let script = format!(
        "mount -t overlay overlay -o lowerdir={}:/etc /etc && exec \"$@\"",
        etc.display()
    );
    let user = ["--map-current-user", "--keep-caps"];
    let words = (!is_root()?).then_some(user).into_iter().flatten();
    let words = words.chain(["--mount", "sh", "-c", &script, "sh"]);
    let words: Vec<&OsStr> = words.map(OsStr::new).chain([program.as_os_str()]).collect();
    let tool = scene.tool("unshare", &[0])?.first(words).first(first);
    Ok(tool.env("PWD", scene.folder()))
}

fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

/// A scene under the audit log of `server`, with a sealed file `e.yaml`.
fn scene_of(server: &Postgres) -> Result<Scene> {
    let scene = Scene::with_identities(POLICY, &[0])?;
    scene.write("p.yaml", PLAIN)?;
    scene.write("e.yaml", scene.must(&["encrypt", "p.yaml"])?)?;
    let connection = connection(server, "127.0.0.1", "sslmode=disable");
    scene.write(CONFIG, postgres(&connection))?;
    Ok(scene)
}

fn connection(server: &Postgres, host: &str, more: &str) -> String {
    let password = PASSWORD.replace('\'', "\\'");
    let port = server.port;
    format!("host={host} port={port} user=sops password='{password}' dbname=audit {more}")
}

/// The file for one table.
fn postgres(connection: &str) -> String {
    let connection = serde_json::Value::from(connection);
    format!("backends:\n  postgres:\n    - connection_string: {connection}\n")
}
