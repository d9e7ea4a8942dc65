//! Which values to seal, and how the file is proved.

use sops::Rules;

use crate::error::{Code, Error, Result};

/// Selection rules for a new file; they win over the policy's.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "What is sealed")]
pub(crate) struct RuleArgs {
    /// Leave clear what stands under a key with this ending
    #[arg(long, value_name = "SUFFIX")]
    unencrypted_suffix: Option<String>,

    /// Seal only what stands under a key with this ending
    #[arg(long, value_name = "SUFFIX")]
    encrypted_suffix: Option<String>,

    /// Leave clear what stands under a key in which this pattern is found
    #[arg(long, value_name = "REGEX")]
    unencrypted_regex: Option<String>,

    /// Seal only what stands under a key in which this pattern is found
    #[arg(long, value_name = "REGEX")]
    encrypted_regex: Option<String>,

    /// Leave clear what stands under a comment in which this pattern is found
    #[arg(long, value_name = "REGEX")]
    unencrypted_comment_regex: Option<String>,

    /// Seal only what stands under a comment in which this pattern is found
    #[arg(long, value_name = "REGEX")]
    encrypted_comment_regex: Option<String>,

    /// Prove only the sealed values, so that clear ones may be edited
    #[arg(long)]
    pub(crate) mac_only_encrypted: bool,

    /// How many key groups are needed to open the file
    #[arg(long, value_name = "N")]
    pub(crate) shamir_secret_sharing_threshold: Option<u32>,
}

impl RuleArgs {
    /// The selection rule that was given; `None` leaves it to the policy. An empty one counts as not given.
    ///
    /// # Errors
    /// Code 8 if more than one was given.
    pub(crate) fn rules(&self) -> Result<Option<Rules>> {
        let given = |rule: &Option<String>| rule.clone().filter(|text| !text.is_empty());
        let rules = Rules {
            unencrypted_suffix: given(&self.unencrypted_suffix),
            encrypted_suffix: given(&self.encrypted_suffix),
            unencrypted_regex: given(&self.unencrypted_regex),
            encrypted_regex: given(&self.encrypted_regex),
            unencrypted_comment_regex: given(&self.unencrypted_comment_regex),
            encrypted_comment_regex: given(&self.encrypted_comment_regex),
        };
        let names: Vec<_> = [
            ("--unencrypted-suffix", &rules.unencrypted_suffix),
            ("--encrypted-suffix", &rules.encrypted_suffix),
            ("--unencrypted-regex", &rules.unencrypted_regex),
            ("--encrypted-regex", &rules.encrypted_regex),
            ("--unencrypted-comment-regex", &rules.unencrypted_comment_regex),
            ("--encrypted-comment-regex", &rules.encrypted_comment_regex),
        ]
        .into_iter()
        .filter_map(|(name, rule)| rule.as_ref().map(|_| name))
        .collect();
        match names.len() {
            0 => Ok(None),
            1 => Ok(Some(rules)),
            _ => Err(Error::new(
                Code::Conflict,
                format!("{} exclude each other", names.join(" and ")),
            )),
        }
    }
}
