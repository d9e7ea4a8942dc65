//! Every input that a fuzzer ever broke a property with, held against all properties again: without a fuzzer.
#![allow(clippy::disallowed_methods)] // A test that reads its inputs.

#[path = "properties/lib.rs"]
mod properties;

use std::fs;
use std::path::Path;

#[test]
fn what_was_found_stays_mended() -> std::io::Result<()> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz");
    for (name, property) in properties::TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(kept.join(name))? {
            let path = entry?.path();
            let data = fs::read(&path)?;
            // Read by whoever looks at the output of a failure.
            println!("{}", path.display());
            property(&data);
            inputs += 1;
        }
        assert!(inputs > 0, "{name}: nothing to begin with");
    }
    Ok(())
}
