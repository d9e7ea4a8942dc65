//! Stands in for the table of a database in builds without the feature `postgres`: it refuses.

use super::{Refusal, config};

/// Never made.
pub(super) enum Table {}

impl super::Backend for Table {
    fn name(&self) -> String {
        match *self {}
    }

    fn record(&mut self, _: &super::Event) -> Result<(), super::Failure> {
        match *self {}
    }
}

/// # Errors
/// Always.
pub(super) fn open(_: &config::Postgres) -> Result<Table, Refusal> {
    Err(Refusal {
        who: "postgres".to_owned(),
        causes: vec!["this program was built without it".to_owned()],
    })
}
