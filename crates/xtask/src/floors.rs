//! Floors: a crate imports only from strictly lower ones.
//!
//! Each member names its floor as `floor` in `[package.metadata]`. What tests import is exempt, and so is this crate.

use crate::Failure;
use crate::cargo::{self, Member};

/// The highest floor whose crates are pure: no file, clock, environment, network or random source.
pub(crate) const HIGHEST_PURE: u64 = 4;

/// Fails on a member without a floor and on an import that does not go down.
pub(crate) fn check() -> Result<(), Failure> {
    let members = cargo::members()?;
    let wrong = wrong(&members);
    if wrong.is_empty() {
        println!("floors: {} crates, every import goes down", members.len());
        return Ok(());
    }
    Err(wrong.join("\n").into())
}

fn wrong(members: &[Member]) -> Vec<String> {
    let mut wrong = Vec::new();
    for member in members.iter().filter(|member| member.name != "xtask") {
        let Some(floor) = member.floor else {
            wrong.push(format!("{}: no `floor` in [package.metadata]", member.name));
            continue;
        };
        for import in members
            .iter()
            .filter(|other| member.imports.contains(&other.name))
        {
            match import.floor {
                Some(lower) if lower < floor => {}
                other => wrong.push(format!(
                    "{} (floor {floor}) imports {} (floor {}): imports go to strictly lower floors",
                    member.name,
                    import.name,
                    other.map_or("none".to_owned(), |floor| floor.to_string())
                )),
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, floor: Option<u64>, imports: &[&str]) -> Member {
        Member {
            name: name.into(),
            floor,
            imports: imports.iter().map(|&import| import.into()).collect(),
        }
    }

    #[test]
    fn an_import_must_go_strictly_down() {
        let low = member("low", Some(1), &["serde"]);
        let peer = member("peer", Some(1), &["low"]);
        let high = member("high", Some(2), &["low"]);
        let upward = member("upward", Some(0), &["high"]);
        let none = member("none", None, &[]);
        let xtask = member("xtask", None, &["high"]);
        let found = wrong(&[low, peer, high, upward, none, xtask]);
        let about: Vec<&str> = found
            .iter()
            .filter_map(|text| text.split([' ', ':']).next())
            .collect();
        assert_eq!(about, ["peer", "upward", "none"], "{found:?}");
    }
}
