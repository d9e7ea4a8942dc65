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
