//! A binary file: the one text under `data`.

use super::{EmitError, Item, behind, entry};
use crate::scalar::Scalar;

pub(super) fn document(items: &[Item<'_>], out: &mut Vec<u8>) -> Result<(), EmitError> {
    if behind(items, 0) != items.len() || items.first() != Some(&Item::Map) {
        return Err(EmitError::NotBinary);
    }
    match entry(items, 0, b"data").and_then(|at| items.get(at)) {
        Some(Item::Scalar(Scalar::Str(text))) => out.extend_from_slice(text),
        _ => return Err(EmitError::NotBinary),
    }
    Ok(())
}
