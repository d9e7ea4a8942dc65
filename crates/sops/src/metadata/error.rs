//! What can be wrong with a metadata block.

/// Why a metadata block is refused. Names of fields are shown, their contents never.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The block, or a part of it, has another shape than this.
    #[error("{at} must be {wanted}")]
    Shape {
        /// The field, like `sops.age[0].recipient`.
        at: String,
        /// What is due there.
        wanted: &'static str,
    },
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// A name stands twice in one map.
    #[error("{0} stands twice")]
    Twice(String),
    /// An unknown name that would read as a path once the block is flattened.
    #[error("{0} has a name with __map_ or __list_ in it")]
    ReservedName(String),
    /// Lists and maps inside each other beyond any use.
    #[error("{0} is nested too deeply")]
    TooDeep(String),
    /// Two selection rules in one file.
    #[error("sops has both {0} and {1}: at most one selection rule is possible")]
    TwoRules(&'static str, &'static str),
    /// No key at all.
    #[error("sops names no key")]
    NoKeys,
    /// A group that nobody can open.
    #[error("sops.key_groups[{0}] has no keys")]
    EmptyGroup(usize),
    /// More groups than a share's number can tell apart.
    #[error("sops.key_groups has more than 255 groups")]
    TooManyGroups,
    /// A threshold that does not fit the groups.
    #[error("sops.shamir_threshold is {threshold}, but must be from 2 to the number of key groups, {groups}")]
    Threshold {
        /// What the file says.
        threshold: u8,
        /// How many groups it has.
        groups: u8,
    },
    /// A list step of a flat name that is no position.
    #[error("sops field {0:?} has no number behind __list_")]
    ListIndex(String),
    /// A list of flat names with a gap.
    #[error("sops field {0:?} belongs to a list that is not complete")]
    IncompleteList(String),
    /// A flat name that is both a value and a parent, or both a list and a map.
    #[error("sops field {0:?} stands where another field says there is something else")]
    Conflict(String),
}
