//! What keys of AWS KMS are used with.

use sops::MasterKey;

use crate::error::{Code, Error, Result};

/// Flags that belong to all keys of AWS KMS on a command line.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Keys")]
pub(crate) struct AwsArgs {
    /// The AWS profile to use the KMS keys with; the file names it
    #[arg(long, value_name = "PROFILE")]
    aws_profile: Option<String>,

    /// The encryption context of the KMS keys, as name:value pairs with commas between them; the file shows it
    #[arg(long, value_name = "PAIRS")]
    encryption_context: Option<String>,
}

impl AwsArgs {
    /// `keys`, those of AWS with the profile and the context that were given.
    ///
    /// # Errors
    /// Code 6 if the context does not read.
    pub(super) fn on(&self, keys: Vec<MasterKey>) -> Result<Vec<MasterKey>> {
        let context = context(self.encryption_context.as_deref().unwrap_or_default())?;
        let profile = self.aws_profile.as_deref().unwrap_or_default();
        Ok(keys
            .into_iter()
            .map(|key| key.with_aws(&context, profile))
            .collect())
    }

    /// The context that was given; empty for none.
    ///
    /// # Errors
    /// As [`Self::on`].
    pub(super) fn context(&self) -> Result<Vec<(String, String)>> {
        context(self.encryption_context.as_deref().unwrap_or_default())
    }
}

/// An encryption context in the form of the flag.
///
/// # Errors
/// Code 6 if it does not read.
pub(crate) fn context(text: &str) -> Result<Vec<(String, String)>> {
    MasterKey::parse_context(text).map_err(|error| {
        Error::new(Code::EncryptionContext, error.to_string()).hint("such as app:shop,stage:production")
    })
}
