//! `--recovery-unseal`: a SealedSecret is opened with sealing keys of a backup.

use std::path::Path;

use sealed_secrets::{ItemError, OpenError, Owner, SealedSecret, SealingKeys, Unopened};

use super::merging::sealed_secret;
use super::{Session, open, parse, refuse};
use crate::audit::Action;
use crate::error::{Error, Result};
use crate::files::Access;
use crate::kube::manifest_error;

/// The template's annotation by which its Secret belongs to nobody.
const NO_OWNER: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";

impl Session {
    pub(super) fn recover(&self) -> Result<()> {
        let keys = self.keys()?;
        let input = self.input()?;
        let name = &input.name;
        let (manifests, _) = parse(&self.bench, name, &input.source)?;
        let mut objects = Vec::new();
        for manifest in manifests.iter() {
            objects.extend(manifest.objects().map_err(|error| manifest_error(name, error))?);
        }
        let [object] = &objects[..] else {
            let text = format!(
                "there are {} objects in it; one SealedSecret is opened at a time",
                objects.len()
            );
            return Err(refuse(text).file(name));
        };
        let sealed = sealed_secret(name, object.clone())?;
        self.bench.record(Action::Decrypt, name)?;
        let secret = sealed
            .unseal(&keys)
            .map_err(|error| manifest_error(name, error))?;
        let secret = secret.map_err(|unopened| not_opened(&sealed, &unopened))?;
        let uid = sealed
            .object
            .field
            .get("metadata")
            .and_then(|metadata| metadata.text_at("uid"));
        let owner = Owner {
            name: sealed.metadata.name.clone(),
            uid: uid.unwrap_or_default(),
        };
        let owned = secret.metadata.annotation(NO_OWNER) != Some("true");
        let output = secret.write_as_kubeseal(self.format()?, owned.then_some(&owner));
        self.write(&output, Access::Private)
    }

    /// All keys of all files. A file without one is told of, and may be there: backups hold certificates, too.
    fn keys(&self) -> Result<SealingKeys> {
        let mut keys = SealingKeys::default();
        for file in self.given.all("recovery-private-key") {
            let path = Path::new(file);
            if let Err(error) = keys.read(open(&self.bench, path)?, &self.bench.limits()) {
                self.bench.ui.warn(Some(path), &error.to_string());
            }
        }
        Ok(keys)
    }
}

/// Items that failed for the same reason stand together, as in kubeseal.
fn not_opened(sealed: &SealedSecret<'_>, unopened: &[Unopened]) -> Error {
    let (unread, locked): (Vec<&Unopened>, Vec<&Unopened>) =
        unopened.iter().partition(|one| is_no_base64(&one.error));
    let said = |text: &str, items: &[&Unopened]| {
        let keys: Vec<&str> = items.iter().map(|one| one.key.as_str()).collect();
        (!keys.is_empty()).then(|| format!("{text} ({})", keys.join(", ")))
    };
    let parts = [
        said("no key could decrypt secret", &locked),
        said("illegal base64 data", &unread),
    ];
    let error = refuse(parts.into_iter().flatten().collect::<Vec<_>>().join("; "));
    if locked.is_empty() {
        return error;
    }
    let label = String::from_utf8_lossy(&sealed.label()).into_owned();
    error.hint(format!(
        "if the key is the right one: an item opens only under the name, namespace and scope that it was sealed for; here it is {} {label:?}",
        sealed.scope.word()
    ))
}

fn is_no_base64(error: &OpenError) -> bool {
    matches!(error, OpenError::Item(ItemError::NotBase64 | ItemError::Padding))
}
