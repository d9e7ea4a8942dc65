//! Real-looking manifests: the files of `testdata/manifests`, each as it stands and in every mutation that keeps its
//! meaning.
//!
//! The files were written by hand for these tests: Kubernetes objects, Helm values, Kustomize, compose, Ansible, CI and
//! configuration files, with comments, anchors, aliases, merge keys, every chomping, quotes, flow collections, several
//! documents and odd numbers. Released and newest SOPS accept all of them but those whose root is a list.

mod lines;
mod mutate;

pub use mutate::Mutation;

use std::io;
use std::path::{Path, PathBuf};

/// One manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The file's name without its extension; `+MUTATION` is added to a mutated one.
    pub name: String,
    /// The text.
    pub text: String,
    /// Whether the root of the first document is a list, which SOPS refuses.
    pub list_at_root: bool,
}

/// The folder of the manifests.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/manifests")
}

/// The manifests as they stand, by name.
///
/// # Errors
/// If the folder or a file in it cannot be read.
pub fn originals() -> io::Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let list_at_root = lines::list_at_root(&text);
        manifests.push(Manifest {
            name,
            text,
            list_at_root,
        });
    }
    manifests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(manifests)
}

/// The manifests as they stand and mutated: more than 400.
///
/// # Errors
/// If the folder or a file in it cannot be read.
pub fn all() -> io::Result<Vec<Manifest>> {
    let mut all = Vec::new();
    for manifest in originals()? {
        for mutation in Mutation::ALL {
            let text = mutation.apply(&manifest.text);
            // Not every mutation finds something to change in every file.
            if let Some(text) = text.filter(|text| *text != manifest.text) {
                let name = format!("{}+{}", manifest.name, mutation.name());
                all.push(Manifest {
                    name,
                    text,
                    list_at_root: manifest.list_at_root,
                });
            }
        }
        all.push(manifest);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeSet;

    fn meaning(text: &str) -> Result<Vec<serde_yaml::Value>, serde_yaml::Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // The second opinion knows no directive but 1.2's.
        let text = text.strip_prefix("%YAML 1.1").unwrap_or(text);
        serde_yaml::Deserializer::from_str(text)
            .map(serde_yaml::Value::deserialize)
            .collect()
    }

    #[test]
    fn the_corpus_is_large_and_its_names_are_unique() -> io::Result<()> {
        let (originals, all) = (originals()?, all()?);
        let names: BTreeSet<&str> = all.iter().map(|manifest| manifest.name.as_str()).collect();
        assert!(originals.len() >= 60, "{}", originals.len());
        assert!(
            all.len() >= 400 && names.len() == all.len(),
            "{} of {}",
            names.len(),
            all.len()
        );
        for mutation in Mutation::ALL {
            let suffix = format!("+{}", mutation.name());
            let count = names.iter().filter(|name| name.ends_with(&suffix)).count();
            assert!(count >= 15, "{suffix}: {count}");
        }
        Ok(())
    }

    #[test]
    fn a_mutation_keeps_the_meaning() -> Result<(), Box<dyn std::error::Error>> {
        let mut wrong = Vec::new();
        for original in originals()? {
            let expected = meaning(&original.text).map_err(|error| format!("{}: {error}", original.name))?;
            for mutation in Mutation::ALL {
                let Some(text) = mutation.apply(&original.text) else {
                    continue;
                };
                // Without its last line break a final block scalar is another value; it still has to be valid.
                let same = match meaning(&text) {
                    Ok(found) => mutation == Mutation::NoFinalLineBreak || found == expected,
                    Err(_) => false,
                };
                if !same {
                    wrong.push(format!(
                        "{}+{}: {:?}",
                        original.name,
                        mutation.name(),
                        meaning(&text).err()
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    }

    #[test]
    fn both_versions_of_sops_encrypt_the_corpus() -> Result<(), Box<dyn std::error::Error>> {
        let recipient = crate::keys::Identity::from_seed(1)?.recipient;
        let manifests = if crate::tier::is_campaign() {
            all()?
        } else {
            originals()?
        };
        for program in [crate::peers::sops_3_11()?, crate::peers::sops_3_13()?] {
            let sops = crate::run::Tool::new(program)?;
            for manifest in &manifests {
                std::fs::write(sops.home().join("m.yaml"), &manifest.text)?;
                let output = sops.run(["-e", "--age", &recipient, "m.yaml"])?;
                assert_eq!(
                    output.success(),
                    !manifest.list_at_root,
                    "{}: {}",
                    manifest.name,
                    output.err()
                );
            }
        }
        Ok(())
    }
}
