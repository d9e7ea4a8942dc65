//! What every command does with a file: read its metadata, find its data key, open it, seal it again.
//!
//! One workbench serves one run: identities are read once, policies once per folder, and keys that were
//! unwrapped before are remembered.

mod crew;
mod probe;
mod waiting;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use document::{Document, Form, Format, Limits, Value};
use key_providers::{DEFAULT_ORDER, Keyring};
use secret::SecretBytes;
use sops::config::CreationRule;
use sops::{
    BlockText, Checks, DataKey, KeyEntry, MasterKey, Metadata, Opened, Reuse, Rules, Sealed, Sealing, Warning,
};

use crate::args::{Global, ServiceArgs};
use crate::audit::{Action, Audit};
use crate::error::{Code, Error, Result};
use crate::keyring;
use crate::log::Level;
use crate::policy::{Policies, Policy, Start};
use crate::ui::{Manner, Ui};
pub(crate) use probe::Probe;
use waiting::Waiting;

/// The version that new files name: what any sops from 3.11 on reads.
pub(crate) const VERSION: &str = "3.11.0";

/// Everything a command works with.
pub(crate) struct Workbench {
    pub(crate) ui: Ui,
    pub(crate) global: Global,
    pub(crate) policies: Policies,
    /// The order in which kinds of key are tried.
    pub(crate) order: Vec<sops::KeyKind>,
    pub(crate) audit: Arc<Audit>,
    keyring: Arc<Keyring>,
    waiting: Waiting,
    /// What is recorded in place of the name that decides formats and rules.
    input: OnceCell<PathBuf>,
}

/// A sealed file, read and not yet opened.
pub(crate) struct SealedFile {
    pub(crate) document: Document,
    pub(crate) metadata: Metadata,
}

/// A sealed file, opened.
pub(crate) struct OpenFile {
    pub(crate) metadata: Metadata,
    pub(crate) key: DataKey,
    pub(crate) opened: Opened,
}

/// Who can open a new file, and what of it is sealed.
pub(crate) struct Recipe {
    pub(crate) groups: Vec<Vec<MasterKey>>,
    pub(crate) threshold: Option<u8>,
    pub(crate) rules: Rules,
    pub(crate) mac_only_encrypted: bool,
}

impl Workbench {
    /// A workbench with the identities that the environment names.
    pub(crate) fn new(ui: Ui, global: Global) -> Result<Self> {
        let keyring = Arc::new(keyring::with_services(ui.manner(), &global.services)?);
        for endpoint in global.services.endpoints()? {
            if endpoint.is_exposed() {
                let text = format!("data keys cross the network to {endpoint} in the clear");
                ui.warn(None, &text);
            }
        }
        Self::with(ui, global, Start::Target, keyring)
    }

    /// A workbench for the command line of sops, which looks for its policy from the current folder upwards.
    pub(crate) fn of_sops(config: Option<PathBuf>) -> Result<Self> {
        let global = Global::of_sops(config);
        let ui = Ui::new(global.manner());
        let keyring = Arc::new(keyring::from_env(ui.manner()));
        Self::with(ui, global, Start::CurrentDirectory, keyring)
    }

    /// A workbench for the command line of kubeseal, which asks no policy.
    pub(crate) fn of_kubeseal() -> Result<Self> {
        Self::of_sops(None)
    }

    /// The same workbench, which logs what sops logs with `--verbose`. Key services come after it.
    pub(crate) fn logging(self) -> Self {
        let manner = Manner {
            log: true,
            ..self.ui.manner()
        };
        Self {
            ui: Ui::new(manner),
            ..self
        }
    }

    /// The same workbench with other key services.
    ///
    /// # Errors
    /// When a service is not named as it must be.
    pub(crate) fn with_services(self, services: &ServiceArgs) -> Result<Self> {
        let keyring = Arc::new(keyring::with_services(self.ui.manner(), services)?);
        Ok(Self { keyring, ..self })
    }

    fn with(ui: Ui, global: Global, start: Start, keyring: Arc<Keyring>) -> Result<Self> {
        Ok(Self {
            policies: Policies::new(global.config(), start),
            order: DEFAULT_ORDER.to_vec(),
            audit: Arc::default(),
            keyring,
            waiting: Waiting::new(ui.manner())?,
            input: OnceCell::new(),
            ui,
            global,
        })
    }

    /// Whether it serves the command line of sops.
    pub(crate) fn as_sops(&self) -> bool {
        self.policies.start() == Start::CurrentDirectory
    }

    /// Says which file is read, where its name for formats and rules is another one.
    pub(crate) fn reads(&self, input: &Path) {
        // A command reads one such file.
        let _ = self.input.set(input.to_owned());
    }

    /// Tells the audit log what is about to be done to a file.
    ///
    /// # Errors
    /// Code 1 if it is not taken: then it must not be done.
    pub(crate) fn record(&self, action: Action, path: &Path) -> Result<()> {
        let file = self.input.get().map_or(path, PathBuf::as_path);
        self.audit.record(action, file)
    }

    /// Bounds for reading documents.
    pub(crate) fn limits(&self) -> Limits {
        let bytes = usize::try_from(self.global.max_size.limit()).unwrap_or(usize::MAX);
        Limits {
            bytes,
            ..Limits::default()
        }
    }

    /// The policy for a file; its warnings are printed once.
    pub(crate) fn policy(&self, path: &Path) -> Result<Option<Rc<Policy>>> {
        let policy = self.policies.for_target(path)?;
        for warning in self.policies.warnings() {
            self.ui.warn(Some(&warning.file), &warning.text);
        }
        Ok(policy)
    }

    /// The policy and the rule for a file.
    pub(crate) fn rule(&self, path: &Path) -> Result<Option<(Rc<Policy>, Option<CreationRule>)>> {
        self.policy(path)?
            .map(|policy| {
                let rule = policy.rule_for(path)?.cloned();
                Ok((policy, rule))
            })
            .transpose()
    }

    /// Whether the policy for a file asks for an `integrity` field.
    pub(crate) fn requires_integrity(&self, path: &Path) -> Result<bool> {
        Ok(self
            .rule(path)?
            .is_some_and(|(policy, _)| policy.config.seal.require_integrity))
    }

    /// Reads a sealed file; `None` if it has no metadata.
    pub(crate) fn read_sealed(
        &self,
        path: &Path,
        format: Format,
        source: SecretBytes,
    ) -> Result<Option<SealedFile>> {
        let refuse = |error: document::Error| Error::from((path, error));
        let document = Document::parse(format, Form::Sealed, source, &self.limits()).map_err(refuse)?;
        let Some(block) = document.block().map_err(refuse)? else {
            return Ok(None);
        };
        let metadata = metadata(&block, format).map_err(|error| metadata_error(path, &error))?;
        Ok(Some(SealedFile { document, metadata }))
    }

    /// The data key of a sealed file.
    pub(crate) fn unwrap(&self, path: &Path, metadata: &Metadata) -> Result<DataKey> {
        self.audit.ready()?;
        let check = |key: &DataKey| sops::is_data_key(metadata, key);
        let keys = metadata.groups.iter().flatten().filter_map(KeyEntry::master_key);
        let opened = self
            .waiting
            .for_keys(keys, self.keyring.unwrap(metadata, &self.order, &check))
            .map_err(|failure| {
                let code = if failure.exit_code() == 111 {
                    Code::NoEncryptionKey
                } else {
                    Code::DataKey
                };
                Error::report(code, &failure.to_string()).file(path)
            })?;
        for group in opened.bad_groups {
            let text = format!("the share of key group {group} is wrong: it was damaged or replaced");
            self.ui.warn(Some(path), &text);
        }
        self.ui
            .log("SOPS", Level::Info, "Data key recovered successfully", &[]);
        Ok(opened.data_key)
    }

    /// Waits for an answer of `whom`; others can work meanwhile.
    pub(crate) fn wait<T>(&self, whom: &str, answer: impl Future<Output = T>) -> T {
        self.waiting.block_on(|| whom.to_owned(), answer)
    }

    /// Opens a sealed file with all checks, except those that `ignore_mac` switches off.
    pub(crate) fn open(
        &self,
        path: &Path,
        mut file: SealedFile,
        ignore_mac: bool,
        keep_texts: bool,
    ) -> Result<OpenFile> {
        let key = self.unwrap_or_correct(path, &mut file.metadata)?;
        self.open_with(path, file, key, ignore_mac, keep_texts)
    }

    /// As [`Self::open`], with a data key that is known already.
    pub(crate) fn open_with(
        &self,
        path: &Path,
        file: SealedFile,
        key: DataKey,
        ignore_mac: bool,
        keep_texts: bool,
    ) -> Result<OpenFile> {
        if ignore_mac {
            self.ui
                .warn(Some(path), "the MAC and the integrity field are not checked");
        }
        let require_integrity = !ignore_mac && self.requires_integrity(path)?;
        let checks = Checks {
            mac: !ignore_mac,
            require_integrity,
            keep_texts,
            ..Checks::default()
        };
        self.ui.log("SOPS", Level::Debug, "Decrypting tree", &[]);
        self.record(Action::Decrypt, path)?;
        let opened = sops::open(&file.document, &file.metadata, &key, &checks)
            .map_err(|error| Error::from((path, error)))?;
        self.warn(path, &opened.warnings);
        Ok(OpenFile {
            metadata: file.metadata,
            key,
            opened,
        })
    }

    /// Opens a sealed file in which an author may have left plaintext; nothing is checked but single values.
    pub(crate) fn open_draft(&self, path: &Path, file: &SealedFile, key: &DataKey) -> Result<SecretBytes> {
        let checks = Checks {
            mac: false,
            allow_plaintext: true,
            ..Checks::default()
        };
        self.record(Action::Decrypt, path)?;
        let opened = sops::open(&file.document, &file.metadata, key, &checks)
            .map_err(|error| Error::from((path, error)))?;
        Ok(opened.plaintext)
    }

    /// Seals a file that was not sealed before. `None` if nothing in it is selected.
    pub(crate) fn seal_new(
        &self,
        path: &Path,
        format: Format,
        source: SecretBytes,
        recipe: &Recipe,
    ) -> Result<Sealed> {
        let document = self.parse_plain(path, format, source)?;
        let mut rules = recipe.rules.clone();
        let mut mac_only_encrypted = recipe.mac_only_encrypted;
        if format == Format::Binary {
            if rules != Rules::default() || mac_only_encrypted {
                self.ui.warn(
                    Some(path),
                    "rules do not apply to a binary file: all of it is sealed",
                );
            }
            (rules, mac_only_encrypted) = (Rules::default(), false);
        } else if rules == Rules::default() {
            rules.unencrypted_suffix = Some(sops::DEFAULT_UNENCRYPTED_SUFFIX.to_owned());
        }
        let key = new_data_key()?;
        let metadata = self.wrap(&recipe.groups, recipe.threshold, &key, rules, mac_only_encrypted)?;
        self.seal_document(path, &document, metadata, &key, None)
    }

    /// Seals the changed plaintext of a file that was opened.
    pub(crate) fn seal_again(
        &self,
        path: &Path,
        format: Format,
        plaintext: SecretBytes,
        metadata: Metadata,
        key: &DataKey,
        kept: Option<(Reuse, BlockText)>,
    ) -> Result<Sealed> {
        let document = self.parse_plain(path, format, plaintext)?;
        self.seal_document(path, &document, metadata, key, kept)
    }

    /// Wraps `key` for `groups` and makes the metadata of a file that is sealed under it.
    pub(crate) fn wrap(
        &self,
        groups: &[Vec<MasterKey>],
        threshold: Option<u8>,
        key: &DataKey,
        rules: Rules,
        mac_only_encrypted: bool,
    ) -> Result<Metadata> {
        self.audit.ready()?;
        let now = now();
        let mut random = |buffer: &mut [u8]| getrandom::fill(buffer).map_err(|_| sops::shamir::RandomFailed);
        let keys = groups.iter().flatten();
        let wrapped = self
            .waiting
            .for_keys(
                keys,
                self.keyring.wrap(groups, threshold, key, &now, &mut random),
            )
            .map_err(|failure| {
                Error::report(Code::NoEncryptionKey, &failure.to_string()).hint(
                    "what is sealed must open for everyone who is named: put right what stands above, or remove that recipient",
                )
            })?;
        let mut metadata = Metadata::new(wrapped.groups, rules, now, VERSION.to_owned());
        metadata.shamir_threshold = wrapped.shamir_threshold;
        metadata.mac_only_encrypted = mac_only_encrypted;
        Ok(metadata)
    }

    /// An author's text, about to be sealed.
    pub(crate) fn parse_plain(&self, path: &Path, format: Format, source: SecretBytes) -> Result<Document> {
        if source.is_empty() && format == Format::Yaml {
            return Err(Error::new(
                Code::NeedsDocument,
                "the file is empty: there is no document in it",
            )
            .file(path));
        }
        let refuse = |error: document::Error| Error::from((path, error));
        let document = Document::parse(format, Form::Plain, source, &self.limits()).map_err(refuse)?;
        if let Some(place) = document.block_key() {
            return Err(Error::new(
                Code::AlreadyEncrypted,
                "the file has a `sops` entry: it is sealed already",
            )
            .file(path)
            .at(place)
            .hint("to change a value use `seal set`, to open the file `seal decrypt`"));
        }
        Ok(document)
    }

    /// Seals an author's text under `metadata`.
    pub(crate) fn seal_document(
        &self,
        path: &Path,
        document: &Document,
        metadata: Metadata,
        key: &DataKey,
        kept: Option<(Reuse, BlockText)>,
    ) -> Result<Sealed> {
        let (mut reuse, block) = kept.unzip();
        let limits = Limits {
            bytes: usize::MAX,
            ..self.limits()
        };
        let now = now();
        let sealing = Sealing {
            key,
            now: &now,
            fields: self.writes_fields(path, &metadata)?,
            reuse: reuse.as_mut(),
            block: block.as_ref(),
            limits: &limits,
        };
        let mut random = |buffer: &mut [u8]| getrandom::fill(buffer).map_err(|_| sops::shamir::RandomFailed);
        self.record(Action::Encrypt, path)?;
        let sealed = sops::seal(document, metadata, sealing, &mut random)
            .map_err(|error| Error::from((path, error)))?;
        self.warn(path, &sealed.warnings);
        Ok(sealed)
    }

    /// Whether `integrity` and `layout` are written: always, but in the place of sops only where the file has them or
    /// the policy has a `seal:` part.
    fn writes_fields(&self, path: &Path, metadata: &Metadata) -> Result<bool> {
        let has = metadata.integrity.is_some() || metadata.layout.is_some();
        let asked = || -> Result<bool> {
            let policy = self.rule(path)?;
            Ok(policy.is_some_and(|(policy, _)| policy.config.seal.present))
        };
        Ok(!self.as_sops() || has || asked()?)
    }

    fn warn(&self, path: &Path, warnings: &[Warning]) {
        for warning in warnings {
            self.ui.warn(Some(path), &warning.to_string());
        }
    }
}

/// The metadata that a block says, in whichever shape the format has it.
fn metadata(block: &Value, format: Format) -> Result<Metadata, sops::MetadataError> {
    let nested = match (format, block) {
        (Format::Dotenv | Format::Ini, Value::Map(fields)) => {
            let fields: Vec<(String, String)> = fields
                .iter()
                .filter_map(|(name, value)| match value {
                    Value::Str(text) => Some((name.clone(), text.clone())),
                    _ => None,
                })
                .collect();
            &sops::unflatten(&fields)?
        }
        _ => block,
    };
    Metadata::from_value(nested)
}

fn metadata_error(path: &Path, error: &sops::MetadataError) -> Error {
    let code = match error {
        sops::MetadataError::NoKeys | sops::MetadataError::EmptyGroup(_) => Code::NoEncryptionKey,
        sops::MetadataError::Threshold { .. } | sops::MetadataError::TooManyGroups => Code::DataKey,
        sops::MetadataError::TwoRules(..) => Code::Conflict,
        _ => Code::Read,
    };
    Error::new(code, error.to_string()).file(path).hint(
        "the `sops` block was edited, cut off or merged: `git diff HEAD -- FILE` shows what changed, `git checkout HEAD -- FILE` drops it",
    )
}

/// 32 bytes from the operating system's random source.
pub(crate) fn new_data_key() -> Result<DataKey> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_| Error::new(Code::Generic, "the system's random source failed"))?;
    Ok(DataKey::new(bytes))
}

/// Now, in UTC and whole seconds.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl From<(&Path, sops::Error)> for Error {
    fn from((file, error): (&Path, sops::Error)) -> Self {
        use sops::Error as E;
        match error {
            E::Document(error) => Self::from((file, error)),
            E::Value { at, path, why } => Self::new(Code::DecryptTree, why.to_string())
                .at(at)
                .path(path)
                .hint("`git diff HEAD -- FILE` shows what changed, `git checkout HEAD -- FILE` drops it"),
            E::Unsealed { at, path } => {
                Self::new(Code::DecryptTree, "plaintext stands where a sealed value is due")
                    .at(at)
                    .path(path)
                    .hint("whoever can open the file seals it with `seal FILE`")
            }
            E::Unsealable { at, path, why } => Self::new(Code::EncryptTree, why).at(at).path(path),
            E::NotRestorable { at, path } => Self::new(
                Code::EncryptTree,
                "this spelling cannot be sealed and restored byte for byte",
            )
            .at(at)
            .path(path)
            .hint("write the value in another style, for example in quotes"),
            E::Rule(error @ sops::RuleError::Conflict { .. }) => Self::new(Code::Conflict, error.to_string()),
            E::Rule(error) => Self::new(Code::Config, error.to_string()).cause(&error),
            E::Paths => Self::new(Code::Read, error.to_string()),
            E::Random => Self::new(Code::Generic, error.to_string()),
            _ => Self::new(Code::MacMismatch, error.to_string())
                .hint("compare with the last version in git; do not trust the values of this one"),
        }
        .file(file)
    }
}
