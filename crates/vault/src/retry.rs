//! Doing it again: after how long, and how often.

use std::time::Duration;

use crate::error::{Error, Retry};

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// No pause is longer, whatever a server asks for.
const LONGEST: Duration = Duration::from_secs(2);

/// How long to wait before the attempt `number` (the first one is 0), or `None` if there is none.
///
/// Half of a pause is fixed and half is chance, so that many clients do not come back at once. A server that could not
/// be reached is asked again only once: others may have the key.
pub(crate) fn pause(error: &Error, number: u32, attempts: u32, chance: u8) -> Option<Duration> {
    let most = match error {
        Error::Unreachable { .. } | Error::TimedOut { .. } => attempts.min(2),
        _ => attempts,
    };
    if error.retry() != Retry::Later || number + 1 >= most {
        return None;
    }
    if let Error::Throttled { wait: Some(wait), .. } = error {
        return Some((*wait).min(LONGEST) + FIRST.mul_f64(f64::from(chance) / 255.0));
    }
    let pause = FIRST.saturating_mul(1 << number.min(16)).min(LONGEST);
    Some(pause.mul_f64(0.5 + f64::from(chance) / 510.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Error {
        Error::Failed {
            address: String::new(),
            status: 502,
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_end() {
        let pauses: Vec<_> = (0..8).map(|number| pause(&failed(), number, 8, 255)).collect();
        let milliseconds: Vec<_> = pauses.iter().flatten().map(Duration::as_millis).collect();
        assert_eq!(milliseconds, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(pauses[7], None);
        assert_eq!(pause(&failed(), 0, 8, 0), Some(FIRST / 2));
    }

    #[test]
    fn only_what_may_recover_is_asked_again() {
        let denied = Error::Denied {
            address: String::new(),
            what: String::new(),
        };
        assert_eq!(pause(&denied, 0, 4, 0), None);
        let address = String::new();
        assert!(
            pause(
                &Error::Unreachable {
                    address,
                    why: String::new()
                },
                1,
                4,
                0
            )
            .is_none()
        );
        let hour = Error::Throttled {
            address: String::new(),
            wait: Some(Duration::from_secs(3600)),
        };
        assert_eq!(pause(&hour, 0, 4, 0), Some(LONGEST));
    }
}
