//! The person who may be asked: for a passphrase, or for what a plugin wants to know.

use secret::SecretBytes;

/// Asks a person. Every method waits for the answer, and nothing else of the same run happens meanwhile, so two
/// questions never stand on the terminal at once. `None` means that nobody answered: there is no terminal, or
/// the person declined.
pub trait Prompt: Send + Sync {
    /// Asks for a secret, not showing what is typed.
    fn secret(&self, question: &str) -> Option<SecretBytes>;

    /// Asks for a line of text.
    fn line(&self, question: &str) -> Option<String>;

    /// Asks to choose between `yes` and, if there is another choice, `no`.
    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool>;

    /// Tells something, such as which device waits to be touched.
    fn message(&self, text: &str);
}

/// There is nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Prompt for Nobody {
    fn secret(&self, _: &str) -> Option<SecretBytes> {
        None
    }

    fn line(&self, _: &str) -> Option<String> {
        None
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn message(&self, _: &str) {}
}

/// For tests: somebody who gives prepared answers in order, then none, and notes what was asked and told.
#[cfg(test)]
pub(crate) mod scripted {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    pub(crate) struct Scripted {
        answers: Mutex<VecDeque<&'static str>>,
        seen: Mutex<Vec<String>>,
    }

    impl Scripted {
        pub(crate) fn new<const COUNT: usize>(answers: [&'static str; COUNT]) -> Arc<Self> {
            Arc::new(Self {
                answers: Mutex::new(answers.into()),
                seen: Mutex::default(),
            })
        }

        pub(crate) fn seen(&self) -> Vec<String> {
            self.seen.lock().unwrap().clone()
        }

        fn answer(&self, text: String) -> Option<&'static str> {
            self.seen.lock().unwrap().push(text);
            self.answers.lock().unwrap().pop_front()
        }
    }

    impl Prompt for Scripted {
        fn secret(&self, question: &str) -> Option<SecretBytes> {
            let answer = self.answer(format!("secret: {question}"));
            answer.map(|answer| SecretBytes::copy_from(answer.as_bytes()))
        }

        fn line(&self, question: &str) -> Option<String> {
            self.answer(format!("line: {question}")).map(str::to_owned)
        }

        fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool> {
            let answer = self.answer(format!("confirm: {question} {yes} {no:?}"))?;
            Some(answer == yes)
        }

        fn message(&self, text: &str) {
            self.seen.lock().unwrap().push(format!("message: {text}"));
        }
    }
}
