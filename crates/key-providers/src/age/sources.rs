//! Where age identities are looked for.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secret::SecretBytes;

use super::command::KeyCommand;
use super::identities::AgeIdentities;
use super::ssh_keys::SshKeys;

/// Identity files are cut off here, in bytes, as SOPS does.
const MAX_FILE_LEN: u64 = 16 * 1024 * 1024;

/// Every place that may hold age identities. All are read and merged; one that is broken or missing matters
/// only when decryption fails, and is then named.
#[derive(Debug, Default)]
pub struct AgeSources {
    /// Identities themselves (`SOPS_AGE_KEY`).
    pub inline: Option<SecretBytes>,
    /// Files that were asked for (`SOPS_AGE_KEY_FILE`); a missing one is a fault.
    pub files: Vec<PathBuf>,
    /// A program that prints identities (`SOPS_AGE_KEY_CMD`); it runs only if nothing else opens a file.
    pub command: Option<KeyCommand>,
    /// Files that may be absent (`keys.txt`).
    pub default_files: Vec<PathBuf>,
    /// SSH private keys that were asked for (`SOPS_AGE_SSH_PRIVATE_KEY_FILE`). No SSH key is read before a file turns
    /// up that is sealed for one.
    pub ssh_files: Vec<PathBuf>,
    /// A program that prints an SSH private key (`SOPS_AGE_SSH_PRIVATE_KEY_CMD`); it too runs last.
    pub ssh_command: Option<KeyCommand>,
    /// SSH private keys that may be absent (`~/.ssh/id_ed25519`, `~/.ssh/id_rsa`).
    pub default_ssh_files: Vec<PathBuf>,
    /// Where plugins are looked for (`PATH`).
    pub search_path: Option<OsString>,
    /// Shortens names of files in reports to `~/...`.
    pub home: Option<PathBuf>,
}

impl AgeSources {
    /// The places that SOPS knows, from the environment that `lookup` answers for. An empty variable counts
    /// as not set.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Self {
        Self::on_platform(std::env::consts::OS, lookup, home)
    }

    fn on_platform(os: &str, lookup: &dyn Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let config_folder = match os {
            "windows" => set("APPDATA").map(PathBuf::from),
            "macos" => set("XDG_CONFIG_HOME")
                .map(PathBuf::from)
                .or_else(|| home.map(|home| home.join("Library/Application Support"))),
            // A relative XDG_CONFIG_HOME would mean another place in every folder.
            _ => match set("XDG_CONFIG_HOME").map(PathBuf::from) {
                Some(folder) => Some(folder).filter(|folder| folder.has_root()),
                None => home.map(|home| home.join(".config")),
            },
        };
        let command = |name: &str| {
            set(name).map(|line| KeyCommand {
                line,
                search_path: set("PATH"),
            })
        };
        let ssh_folder = home.map(|home| home.join(".ssh"));
        Self {
            inline: set("SOPS_AGE_KEY").map(|value| SecretBytes::new(value.into_encoded_bytes())),
            files: set("SOPS_AGE_KEY_FILE").map(PathBuf::from).into_iter().collect(),
            command: command("SOPS_AGE_KEY_CMD"),
            default_files: config_folder
                .map(|folder| folder.join("sops/age/keys.txt"))
                .into_iter()
                .collect(),
            ssh_files: set("SOPS_AGE_SSH_PRIVATE_KEY_FILE")
                .map(PathBuf::from)
                .into_iter()
                .collect(),
            ssh_command: command("SOPS_AGE_SSH_PRIVATE_KEY_CMD"),
            default_ssh_files: ssh_folder
                .map(|folder| ["id_ed25519", "id_rsa"].map(|name| folder.join(name)))
                .into_iter()
                .flatten()
                .collect(),
            search_path: set("PATH"),
            home: home.map(Path::to_path_buf),
        }
    }

    /// Reads all places but the command and the SSH keys.
    pub(crate) fn load(&self) -> AgeIdentities {
        let mut found = AgeIdentities::default();
        match &self.inline {
            Some(text) => found.read(text, "SOPS_AGE_KEY"),
            None => found.empty("SOPS_AGE_KEY (not set)"),
        }
        if self.files.is_empty() {
            found.empty("SOPS_AGE_KEY_FILE (not set)");
        }
        if self.command.is_none() {
            found.empty("SOPS_AGE_KEY_CMD (not set)");
        }
        for (file, required) in required(&self.files, &self.default_files) {
            self.load_file(file, required, &mut found);
        }
        found
    }

    /// Reads the SSH keys, but for the command's.
    pub(super) fn load_ssh(&self) -> SshKeys {
        let mut found = SshKeys::default();
        if self.ssh_files.is_empty() {
            found.empty("SOPS_AGE_SSH_PRIVATE_KEY_FILE (not set)");
        }
        if self.ssh_command.is_none() {
            found.empty("SOPS_AGE_SSH_PRIVATE_KEY_CMD (not set)");
        }
        for (file, required) in required(&self.ssh_files, &self.default_ssh_files) {
            let name = self.display_name(file);
            match Self::read(file, required) {
                Ok(Some(text)) => found.read(&text, &name),
                Ok(None) => found.empty(&format!("{name} (not there)")),
                Err(reason) => found.fault(&name, reason),
            }
        }
        found
    }

    fn load_file(&self, file: &Path, required: bool, found: &mut AgeIdentities) {
        let name = self.display_name(file);
        match Self::read(file, required) {
            Ok(Some(text)) => found.read(&text, &name),
            Ok(None) => found.empty(&format!("{name} (not there)")),
            Err(reason) => found.fault(&name, None, reason),
        }
    }

    /// A file's text; `None` if it is absent and may be.
    fn read(file: &Path, required: bool) -> Result<Option<SecretBytes>, String> {
        match read_file(file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => match required {
                true => Err("it does not exist".to_owned()),
                false => Ok(None),
            },
            Err(error) => Err(format!("cannot be read: {}", error.kind())),
        }
    }

    fn display_name(&self, file: &Path) -> String {
        match self
            .home
            .as_deref()
            .filter(|home| home.has_root())
            .and_then(|home| file.strip_prefix(home).ok())
        {
            Some(rest) => Path::new("~").join(rest).display().to_string(),
            None => file.display().to_string(),
        }
    }
}

/// Files that must be there, then files that may be.
fn required<'a>(must: &'a [PathBuf], may: &'a [PathBuf]) -> impl Iterator<Item = (&'a Path, bool)> {
    let of = |files: &'a [PathBuf], required| files.iter().map(move |file| (file.as_path(), required));
    of(must, true).chain(of(may, false))
}

fn read_file(file: &Path) -> std::io::Result<SecretBytes> {
    let file = File::open(file)?;
    // Sized first, so that no growth leaves copies behind; a pipe has no size.
    let len = file.metadata().map_or(0, |facts| facts.len().min(MAX_FILE_LEN));
    let mut text = SecretBytes::new(Vec::with_capacity(
        usize::try_from(len).unwrap_or(0).max(1024) + 1,
    ));
    file.take(MAX_FILE_LEN + 1).read_to_end(text.expose_mut())?;
    match text.len() as u64 > MAX_FILE_LEN {
        true => Err(std::io::ErrorKind::FileTooLarge.into()),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

    fn default_file(os: &str, variables: &[(&str, &str)]) -> Vec<PathBuf> {
        let lookup = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.into());
        AgeSources::on_platform(os, &lookup, Some(Path::new("/home/x"))).default_files
    }

    #[test]
    fn keys_txt_is_where_each_platform_keeps_it() {
        let path = |text: &str| vec![PathBuf::from(text)];
        assert_eq!(
            default_file("linux", &[]),
            path("/home/x/.config/sops/age/keys.txt")
        );
        assert_eq!(
            default_file("linux", &[("XDG_CONFIG_HOME", "/c")]),
            path("/c/sops/age/keys.txt")
        );
        assert_eq!(default_file("linux", &[("XDG_CONFIG_HOME", "c")]), path("")[1..]);
        assert_eq!(
            default_file("linux", &[("XDG_CONFIG_HOME", "")]),
            path("/home/x/.config/sops/age/keys.txt")
        );
        assert_eq!(
            default_file("macos", &[]),
            path("/home/x/Library/Application Support/sops/age/keys.txt")
        );
        assert_eq!(
            default_file("macos", &[("XDG_CONFIG_HOME", "/c")]),
            path("/c/sops/age/keys.txt")
        );
        assert_eq!(
            default_file("windows", &[("APPDATA", "/a")]),
            path("/a/sops/age/keys.txt")
        );
        assert_eq!(default_file("windows", &[]), path("")[1..]);
    }

    #[test]
    fn without_a_home_nothing_is_guessed() {
        let sources = AgeSources::from_env(&|_| None, None);
        assert!(sources.inline.is_none() && sources.command.is_none());
        assert!(sources.files.is_empty() && sources.default_files.is_empty());
    }

    #[test]
    fn all_places_are_merged_and_named() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".config/sops/age");
        std::fs::create_dir_all(&folder).unwrap();
        let (other, _) = super::super::generate().unwrap();
        std::fs::write(folder.join("keys.txt"), other.expose()).unwrap();
        let missing = home.path().join("missing");
        let variables = [
            ("SOPS_AGE_KEY", OsString::from(IDENTITY)),
            ("SOPS_AGE_KEY_FILE", missing.into()),
        ];
        let lookup = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.clone());

        let found = AgeSources::on_platform("linux", &lookup, Some(home.path())).load();
        let held: Vec<&str> = found
            .inventory()
            .held
            .iter()
            .map(|held| held.source.as_str())
            .collect();
        assert_eq!(held, ["SOPS_AGE_KEY", "~/.config/sops/age/keys.txt"]);
        assert_eq!(
            found.inventory().faults[0].to_string(),
            "~/missing: it does not exist"
        );
        assert_eq!(found.inventory().empty, ["SOPS_AGE_KEY_CMD (not set)"]);
    }

    #[test]
    fn a_missing_default_file_is_no_fault_but_an_unreadable_one_is() {
        let home = tempfile::tempdir().unwrap();
        let sources = AgeSources {
            default_files: vec![home.path().join("keys.txt")],
            ..AgeSources::default()
        };
        assert_eq!(sources.load().inventory().faults, []);
        let folder = AgeSources {
            default_files: vec![home.path().into()],
            ..AgeSources::default()
        };
        assert_eq!(folder.load().inventory().faults.len(), 1);
    }
}
