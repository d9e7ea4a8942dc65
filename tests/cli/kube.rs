//! `seal kube`: what it takes, what it refuses before anything is written, and that nothing it says shows a value.

mod changes;
mod clusters;
mod mistakes;
mod refusals;
mod reseal;
mod verify;

use support::run::Output;

use crate::scene::{EVERYTHING, Result, Scene, ended};

/// A file of `testdata/sealed-secrets/keys`.
fn key_file(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/sealed-secrets/keys/");
    format!("{folder}{name}")
}

/// Stands in every value, and in no output but that of `unseal`.
const CANARY: &str = "c4narY7hunter2Value";

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\n  namespace: prod\nstringData:\n  password: c4narY7hunter2Value\n  user: c4narY7hunter2Value-2\n";

/// A folder with `secret.yaml` and `sealed.yaml`, and two keys: `old` is RSA-2048, `new` is RSA-4096.
struct Kube {
    scene: Scene,
}

impl Kube {
    fn new() -> Result<Self> {
        Self::under(EVERYTHING)
    }

    fn under(policy: &str) -> Result<Self> {
        let scene = Scene::new(policy)?;
        for (name, of) in [
            ("old.crt", "rsa-2048.crt"),
            ("old.key", "rsa-2048.key"),
            ("new.crt", "rsa-4096.crt"),
            ("new.key", "rsa-4096.key"),
        ] {
            scene.write(name, std::fs::read(key_file(of))?)?;
        }
        scene.write("secret.yaml", SECRET)?;
        let kube = Self { scene };
        let sealed = kube.must(&["seal", "--cert", "old.crt", "secret.yaml"])?;
        kube.scene.write("sealed.yaml", sealed)?;
        Ok(kube)
    }

    /// Runs `seal kube`.
    fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.scene.seal(&[&["kube"], arguments].concat())?)
    }

    fn must(&self, arguments: &[&str]) -> Result<String> {
        let output = self.scene.must(&[&["kube"], arguments].concat())?;
        Ok(String::from_utf8(output)?)
    }

    fn text(&self, name: &str) -> Result<String> {
        Ok(String::from_utf8(self.scene.read(name)?)?)
    }

    /// What opens with a key, as lines of `key: value`.
    fn opened(&self, file: &str, key: &str) -> Result<String> {
        self.must(&["unseal", "--key", key, file])
    }

    /// Every file of the folder with its bytes.
    fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut folders = vec![self.scene.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.to_string_lossy().into_owned(), std::fs::read(&path)?));
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Looks for the canary in what a program said.
fn shows_nothing(output: &Output) -> Result {
    let canary = support::canary::Canary::of(CANARY.to_owned());
    for said in [&output.stdout, &output.stderr] {
        if let Some(form) = canary.find(said) {
            return Err(format!("a value is shown ({form:?}): {}", ended(output)).into());
        }
    }
    Ok(())
}
