//! Peers: what the tests talk to is found or installed, and it is said where.

use crate::Failure;
use std::time::Instant;
use support::peers;

/// Installs what is missing and prints where each peer is. All failures are told, then the task fails.
pub(crate) fn check() -> Result<(), Failure> {
    println!("servers: cache folder {}", peers::cache::root()?.display());
    let mut missing: Vec<String> = peers::install_debian()
        .err()
        .iter()
        .map(ToString::to_string)
        .collect();
    for peer in peers::PEERS {
        let start = Instant::now();
        match (peer.locate)() {
            Ok(path) => {
                let seconds = start.elapsed().as_secs();
                let took = if seconds > 0 {
                    format!(" ({seconds} s)")
                } else {
                    String::new()
                };
                println!("servers: {}: {}{took}", peer.name, path.display());
            }
            Err(error) => missing.push(format!("{error} (it is needed for: {})", peer.purpose)),
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing.join("\n").into())
    }
}
