//! Sealing: Secrets, or one value.

use std::io::IsTerminal as _;
use std::path::Path;

use sealed_secrets::{Certificate, Manifest, NewSealedSecret, Scope, Secret};
use secret::SecretBytes;

use super::{Input, Session, open, parse, refuse};
use crate::error::Result;
use crate::files::{self, Access};
use crate::kube::{manifest_error, random};
use crate::workbench::Workbench;

/// What stands instead of what the input says.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    /// The scope, whatever the flag and the annotations say; they may not say another one.
    pub(super) scope: Option<Scope>,
}

impl Session {
    /// Every Secret of the input becomes a SealedSecret. Nothing is printed if one cannot be sealed.
    pub(super) fn seal(&self, certificate: &Certificate) -> Result<()> {
        let overrides = Overrides {
            name: self.given.filled("name").map(str::to_owned),
            ..Overrides::default()
        };
        let sealed = self.sealed(certificate, &self.input()?, &overrides)?;
        let format = self.format()?;
        let mut output = SecretBytes::default();
        for one in sealed {
            output
                .expose_mut()
                .extend_from_slice(one.write_as_kubeseal(format).expose());
        }
        self.write(&output, Access::Shared)
    }

    /// The Secrets of `input`, sealed.
    pub(super) fn sealed(
        &self,
        certificate: &Certificate,
        input: &Input,
        overrides: &Overrides,
    ) -> Result<Vec<NewSealedSecret>> {
        let secrets = secrets(&self.bench, input)?;
        if secrets.is_empty() {
            return Err(refuse(
                "no secrets found. Ensure the input is valid and UTF-8 encoded",
            ));
        }
        let seal = |secret| {
            let (secret, scope) = self.placed(secret, overrides)?;
            NewSealedSecret::seal(&secret, scope, certificate, false, &mut random)
                .map_err(|cause| refuse("cannot seal").cause(&cause))
        };
        secrets.into_iter().map(seal).collect()
    }

    /// The Secret with the name and namespace that it is sealed for, and its scope.
    fn placed(&self, mut secret: Secret, overrides: &Overrides) -> Result<(Secret, Scope)> {
        if secret.data.is_empty() && !self.given.on("allow-empty-data") {
            return Err(refuse(
                "secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty data, --allow-empty-data can be used",
            ));
        }
        if let Some(name) = &overrides.name {
            secret.metadata.name.clone_from(name);
        }
        if secret.metadata.name.is_empty() {
            return Err(refuse("missing metadata.name in input Secret"));
        }
        if let Some(namespace) = &overrides.namespace {
            secret.metadata.namespace.clone_from(namespace);
        }
        let asked = match self.scope() {
            Scope::Strict => Scope::of_annotations(secret.metadata.annotations()),
            scope => scope,
        };
        let scope = match overrides.scope {
            Some(scope) if asked != Scope::Strict && asked != scope => {
                let (asked, scope) = (asked.word(), scope.word());
                let text = format!("the file's items are {scope}, and {asked} was asked for");
                return Err(refuse(text)
                    .hint("all items of a SealedSecret have one scope; seal it anew for another one"));
            }
            Some(scope) => scope,
            None => asked,
        };
        if scope != Scope::ClusterWide {
            self.place(&mut secret)?;
        }
        Ok((secret, scope))
    }

    /// Sees to the namespace of a Secret that is bound to it.
    fn place(&self, secret: &mut Secret) -> Result<()> {
        let kubeconfig = self.kubeconfig();
        let own = &mut secret.metadata.namespace;
        match kubeconfig.explicit() {
            Some(named) if !own.is_empty() && own != named => {
                let text = format!(
                    "namespace mismatch: input secret is in namespace {own:?} but {named:?} was specified"
                );
                return Err(refuse(text));
            }
            _ => {}
        }
        if own.is_empty() {
            *own = kubeconfig.namespace().map_err(|cause| {
                refuse("secret must declare a namespace")
                    .because(&cause.to_string())
                    .hint("-n names one")
            })?;
        }
        Ok(())
    }

    /// `--raw`: one value, its sealed form and no line break.
    pub(super) fn seal_value(&self, certificate: &Certificate) -> Result<()> {
        let scope = self.scope();
        let name = self.given.filled("name").unwrap_or_default();
        let mut namespace = String::new();
        if scope != Scope::ClusterWide {
            namespace = self.kubeconfig().namespace()?;
            if name.is_empty() && scope == Scope::Strict {
                return Err(refuse(
                    "must provide the --name flag with --raw and --scope strict",
                ));
            }
        }
        let value = self.value()?;
        let sealed = certificate
            .seal(value.expose(), &scope.label(&namespace, name), &mut random)
            .map_err(|cause| refuse("cannot seal").cause(&cause))?;
        self.write(&SecretBytes::new(sealed.into_bytes()), Access::Shared)
    }

    fn value(&self) -> Result<SecretBytes> {
        match self.given.all("from-file") {
            [] => {
                if std::io::stdin().is_terminal() {
                    self.say("(tty detected: expecting a secret to encrypt in stdin)");
                }
                files::read_stdin(self.bench.global.max_size)
            }
            [one] => {
                let path = one.split_once('=').map_or(one.as_str(), |(_, path)| path);
                open(&self.bench, Path::new(path))
            }
            _ => Err(refuse(
                "must provide only one --from-file when encrypting a single item with --raw",
            )),
        }
    }
}

/// The Secrets of an input. Empty documents are passed over; kinds are not looked at, as in kubeseal.
fn secrets(bench: &Workbench, input: &Input) -> Result<Vec<Secret>> {
    let (manifests, _) = parse(bench, &input.name, &input.source)?;
    let roots = manifests.iter().filter_map(Manifest::root);
    roots
        .map(|root| Secret::read(root).map_err(|error| manifest_error(&input.name, error)))
        .collect()
}
