//! `seal groups`: key groups of one file.

use std::path::PathBuf;
use std::process::ExitCode;

use sops::MasterKey;

use crate::args::{InputFormat, KeyArgs};
use crate::error::{Code, Error, Result};
use crate::files::Target;
use crate::rekey::{groups_of_file, rekeyed};
use crate::workbench::Workbench;

/// Add or delete a key group of a sealed file
///
/// With several groups the data key is split: keys of as many groups as the threshold says are needed to open the file.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal groups add --file app.yaml --age age1... --shamir-secret-sharing-threshold 2\n  seal groups delete --file app.yaml 1"
)]
pub(crate) struct Groups {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Add a group
    Add {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        keys: KeyArgs,
    },
    /// Delete a group
    Delete {
        /// Its number, from 0
        index: usize,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(clap::Args)]
struct Place {
    /// The sealed file
    #[arg(long, short)]
    file: PathBuf,

    /// How many groups are needed to open the file; all of them if not given and the file does not say
    #[arg(long, value_name = "N")]
    shamir_secret_sharing_threshold: Option<u8>,

    /// Keep a recipient that the policy does not name
    #[arg(long, value_name = "RECIPIENT")]
    accept_recipient: Vec<String>,

    #[command(flatten)]
    input: InputFormat,
}

impl Groups {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        match self.what {
            What::Add { place, keys } => {
                let keys = keys.master_keys()?;
                if keys.is_empty() {
                    return Err(Error::new(Code::NoEncryptionKey, "a group needs a key")
                        .hint("name its recipients with --age"));
                }
                place.change(bench, |groups| {
                    groups.push(keys);
                    Ok(())
                })
            }
            What::Delete { index, place } => place.change(bench, |groups| {
                if index >= groups.len() {
                    let text = format!("there is no group {index}: the last one is {}", groups.len() - 1);
                    return Err(Error::new(Code::Generic, text));
                }
                groups.remove(index);
                Ok(())
            }),
        }
    }
}

impl Place {
    fn change(
        self,
        bench: &Workbench,
        change: impl FnOnce(&mut Vec<Vec<MasterKey>>) -> Result<()>,
    ) -> Result<ExitCode> {
        let path = self.file.as_path();
        let (target, source) = Target::open(path, bench.global.max_size)?;
        let file = bench
            .read_sealed(path, self.input.of(path), source)?
            .ok_or_else(|| super::not_sealed(path))?;
        let mut groups = groups_of_file(bench, path, &file.metadata, &[], &self.accept_recipient)?;
        change(&mut groups).map_err(|error| error.file(path))?;
        let threshold = self
            .shamir_secret_sharing_threshold
            .or(file.metadata.shamir_threshold);
        check(&groups, threshold).map_err(|error| error.file(path))?;
        let bytes = rekeyed(bench, path, file, &groups, threshold.filter(|_| groups.len() > 1))?;
        for text in target.replace(bytes.expose())? {
            bench.ui.warn(Some(path), &text);
        }
        let detail = match groups.len() {
            1 => "1 group".to_owned(),
            count => format!("{count} groups, {} needed", threshold.map_or(count, usize::from)),
        };
        bench.ui.report("updated", path, Some(&detail))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses what nobody could open.
fn check(groups: &[Vec<MasterKey>], threshold: Option<u8>) -> Result<()> {
    if groups.is_empty() {
        return Err(Error::new(
            Code::Generic,
            "the last group cannot be deleted: nobody could open the file",
        )
        .hint("`seal groups add` adds the one that is to stay"));
    }
    match threshold.map(usize::from) {
        Some(threshold) if groups.len() > 1 && threshold < 2 => Err(Error::new(
            Code::Conflict,
            "with several groups at least 2 must be needed: 1 would give every group the whole key",
        )),
        Some(threshold) if groups.len() < threshold => {
            let text = format!(
                "{threshold} groups are needed to open the file, and {} would be left",
                groups.len()
            );
            Err(Error::new(Code::Generic, text).hint("lower it with --shamir-secret-sharing-threshold"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_could_open_is_refused() {
        let group = || {
            vec![MasterKey::Age {
                recipient: "a".to_owned(),
            }]
        };
        assert!(check(&[], None).is_err());
        assert!(check(&[group()], None).is_ok());
        assert!(check(&[group()], Some(2)).is_err());
        assert!(check(&[group(), group()], Some(1)).is_err());
        assert!(check(&[group(), group()], Some(2)).is_ok());
        assert!(check(&[group(), group()], Some(3)).is_err());
    }
}
