//! How much a test does: the small form on every push, the full counts in a campaign.
//!
//! A test that repeats something asks [`count`] how often. `cargo xtask campaign NAME` sets `SEALWRIGHT_TIER=campaign`.

/// The variable that `cargo xtask campaign` sets.
pub const VARIABLE: &str = "SEALWRIGHT_TIER";

/// `push` on every push, `campaign` in a campaign.
pub fn count(push: usize, campaign: usize) -> usize {
    if is_campaign() { campaign } else { push }
}

/// Whether the full counts are asked for.
pub fn is_campaign() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|tier| tier == "campaign")
}
