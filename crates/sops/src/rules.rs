//! Which rule says what is sealed, as it is written: in the metadata block and in `.sops.yaml` the same six
//! names. Nothing is checked here; [`crate::Selector`] compiles it.

/// The six selection fields as text. At most one may be set; none means `unencrypted_suffix: _unencrypted`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Clear if any key on the path ends with it.
    pub unencrypted_suffix: Option<String>,
    /// Sealed only if any key on the path ends with it.
    pub encrypted_suffix: Option<String>,
    /// Clear if the pattern (RE2 syntax) is found in any key on the path.
    pub unencrypted_regex: Option<String>,
    /// Sealed only if the pattern is found in any key on the path.
    pub encrypted_regex: Option<String>,
    /// Clear if the pattern is found in a governing comment.
    pub unencrypted_comment_regex: Option<String>,
    /// Sealed only if the pattern is found in a governing comment.
    pub encrypted_comment_regex: Option<String>,
}

impl Rules {
    /// The fields that are set, by name, in the order above. Empty text counts as not set.
    pub fn set(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("unencrypted_suffix", &self.unencrypted_suffix),
            ("encrypted_suffix", &self.encrypted_suffix),
            ("unencrypted_regex", &self.unencrypted_regex),
            ("encrypted_regex", &self.encrypted_regex),
            ("unencrypted_comment_regex", &self.unencrypted_comment_regex),
            ("encrypted_comment_regex", &self.encrypted_comment_regex),
        ]
        .into_iter()
        .filter_map(|(name, field)| Some((name, field.as_deref().filter(|text| !text.is_empty())?)))
    }
}
