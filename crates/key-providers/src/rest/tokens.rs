//! Access tokens: one for all requests of a run, fetched once however many wait for it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secret::SecretBytes;
use tokio::sync::Mutex;

use crate::provider::ProviderError;

/// A token is not used in its last moments: it may expire on the way.
const MARGIN: Duration = Duration::from_secs(60);
/// How long it is remembered that there is none: the files of a run need not each find out.
const REMEMBERED: Duration = Duration::from_secs(10);

/// What a service wants to see.
pub struct Token {
    /// What stands behind `Bearer`.
    pub(crate) bearer: SecretBytes,
    until: Option<Instant>,
}

impl Token {
    /// A token that is valid for `seconds`; for as long as it is taken, if that is not known.
    pub(crate) fn new(bearer: SecretBytes, seconds: Option<u64>) -> Self {
        let until = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        Self { bearer, until }
    }

    fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() + MARGIN < until)
    }
}

/// The token in use.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<Held>);

#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Token(Arc<Token>),
    Missing(Instant, String),
}

impl Tokens {
    /// The token in use, or the one that `fetch` brings. Others wait for it meanwhile.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub(crate) async fn get(
        &self,
        fetch: impl Future<Output = Result<Token, ProviderError>>,
    ) -> Result<Arc<Token>, ProviderError> {
        let mut held = self.0.lock().await;
        match &*held {
            Held::Token(token) if token.is_fresh() => return Ok(token.clone()),
            Held::Missing(since, why) if since.elapsed() < REMEMBERED => {
                return Err(ProviderError::NotUsable(why.clone()));
            }
            _ => {}
        }
        match fetch.await {
            Ok(token) => {
                let token = Arc::new(token);
                *held = Held::Token(token.clone());
                Ok(token)
            }
            Err(error) => {
                *held = match &error {
                    ProviderError::NotUsable(why) => Held::Missing(Instant::now(), why.clone()),
                    _ => Held::Nothing,
                };
                Err(error)
            }
        }
    }

    /// Forgets `refused`, unless somebody has a newer one already.
    pub(crate) async fn forget(&self, refused: &Arc<Token>) {
        let mut held = self.0.lock().await;
        if matches!(&*held, Held::Token(token) if Arc::ptr_eq(token, refused)) {
            *held = Held::Nothing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn token(seconds: u64) -> Token {
        Token::new(SecretBytes::copy_from(b"t"), Some(seconds))
    }

    #[tokio::test]
    async fn a_token_is_fetched_once_while_it_is_fresh() {
        let (tokens, fetched) = (Tokens::default(), Cell::new(0));
        let fetch = |seconds| {
            let fetched = &fetched;
            async move {
                fetched.set(fetched.get() + 1);
                Ok(token(seconds))
            }
        };
        let first = tokens.get(fetch(3600)).await.expect("a token");
        let second = tokens.get(fetch(3600)).await.expect("a token");
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(fetched.get(), 1);
        tokens.forget(&first).await;
        // In its last minute already.
        let third = tokens.get(fetch(30)).await.expect("a token");
        tokens.forget(&first).await;
        let fourth = tokens.get(fetch(3600)).await.expect("a token");
        assert!(!Arc::ptr_eq(&third, &fourth));
        assert_eq!(fetched.get(), 3);
    }

    #[tokio::test]
    async fn that_there_is_none_is_found_out_once() {
        let (tokens, asked) = (Tokens::default(), Cell::new(0));
        let fetch = |error: fn(String) -> ProviderError| {
            let asked = &asked;
            async move {
                asked.set(asked.get() + 1);
                Err(error("why".to_owned()))
            }
        };
        assert!(tokens.get(fetch(ProviderError::Unavailable)).await.is_err());
        assert!(tokens.get(fetch(ProviderError::NotUsable)).await.is_err());
        let again = tokens.get(fetch(ProviderError::NotUsable)).await;
        assert!(matches!(again, Err(ProviderError::NotUsable(why)) if why == "why"));
        assert_eq!(asked.get(), 2);
    }
}
