//! What went wrong, in our words: whose move is next, and nothing that AWS or a file of credentials said that could be
//! a secret.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

use crate::provider::ProviderError;

/// A request to a service of AWS, for reports about it.
pub(crate) struct Call<'a> {
    /// As policies name it.
    pub(crate) action: &'static str,
    pub(crate) service: &'static str,
    pub(crate) region: &'a str,
    /// Where the service is, if it is not where AWS has it.
    pub(crate) at: Option<&'a str>,
    pub(crate) total: Duration,
    /// The names of the encryption context, never its values.
    pub(crate) context: Vec<&'a str>,
}

/// A failure that stands for a while.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Whether it may go away by itself.
    passing: bool,
    text: String,
}

impl Refusal {
    pub(crate) fn of(error: ProviderError) -> Self {
        Self {
            passing: matches!(
                error,
                ProviderError::Unavailable(_) | ProviderError::Unreachable(_)
            ),
            text: error.to_string(),
        }
    }

    fn lasting(text: impl Into<String>) -> Self {
        Self {
            passing: false,
            text: text.into(),
        }
    }

    pub(crate) fn error(&self) -> ProviderError {
        match self.passing {
            true => ProviderError::Unavailable(self.text.clone()),
            false => ProviderError::NotUsable(self.text.clone()),
        }
    }
}

impl Call<'_> {
    /// The service as a report names it.
    fn server(&self) -> String {
        match self.at {
            Some(address) => format!("{} at {address}", self.service),
            None => format!("{} in {}", self.service, self.region),
        }
    }

    /// There was no answer within the time for all attempts.
    pub(crate) fn too_long(&self) -> ProviderError {
        ProviderError::Unreachable(format!(
            "{} did not answer within {}",
            self.server(),
            seconds(self.total)
        ))
    }

    /// An answer without what was asked for.
    pub(crate) fn no_answer(&self) -> ProviderError {
        ProviderError::Unavailable(format!("the answer of {} cannot be read", self.server()))
    }

    /// Our own error out of the SDK's.
    pub(crate) fn failure<E>(&self, error: &SdkError<E, HttpResponse>) -> ProviderError
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match error {
            SdkError::TimeoutError(_) => self.too_long(),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(error) if error.is_timeout() => self.too_long(),
                Some(error) if error.is_user() => {
                    ProviderError::NotUsable(format!("{}: {}", self.server(), root(error)))
                }
                Some(error) => ProviderError::Unreachable(format!(
                    "{} cannot be reached: {}",
                    self.server(),
                    root(error)
                )),
                None => ProviderError::Unreachable(format!("{} cannot be reached", self.server())),
            },
            SdkError::ServiceError(answer) => {
                self.refused(answer.err().code(), answer.raw().status().as_u16())
            }
            SdkError::ResponseError(_) => self.no_answer(),
            _ => ProviderError::NotUsable(format!(
                "the request to {} could not be made: look at AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_KMS",
                self.server()
            )),
        }
    }

    /// What an error code of AWS means. The messages that come with codes are not repeated: they are long, and say who
    /// asked for what.
    fn refused(&self, code: Option<&str>, status: u16) -> ProviderError {
        let Self { action, region, .. } = self;
        let code = code.map(|code| code.rsplit('#').next().unwrap_or(code));
        let not_usable = |text: String| ProviderError::NotUsable(text);
        match code.unwrap_or_default() {
            "AccessDeniedException" | "AccessDenied" => not_usable(self.denied()),
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken" => not_usable(
                "AWS does not accept these credentials: the access key or its secret is wrong".into(),
            ),
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => {
                not_usable("the AWS credentials have expired: log in again".into())
            }
            "InvalidCiphertextException" => ProviderError::Damaged(self.damaged()),
            "IncorrectKeyException" => ProviderError::Damaged("another KMS key wrapped it".into()),
            "DisabledException" => not_usable("the KMS key is disabled".into()),
            "KMSInvalidStateException" => not_usable(
                "the state of the KMS key forbids it: it waits for deletion or for its material".into(),
            ),
            "InvalidKeyUsageException" => not_usable("the KMS key is not for encryption".into()),
            "NotFoundException" => not_usable(format!(
                "there is no such KMS key or alias in {region}, or not in that account"
            )),
            "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "LimitExceededException"
            | "RequestLimitExceeded" => {
                ProviderError::Unavailable(format!("{} takes no more requests for now", self.server()))
            }
            "KeyUnavailableException" | "DependencyTimeoutException" | "KMSInternalException" => {
                ProviderError::Unavailable(format!("{} cannot use the key for now", self.server()))
            }
            // Names that are not in this list, and answers that are not the service's own.
            "" if matches!(status, 401 | 403) => not_usable(format!(
                "AWS denies {action}: these credentials are wrong, or may not do it"
            )),
            "" if status < 300 => self.no_answer(),
            _ if status >= 500 || status == 429 => {
                ProviderError::Unavailable(format!("{} failed with status {status}", self.server()))
            }
            "" => not_usable(format!("{} refuses {action} with status {status}", self.server())),
            code => not_usable(format!("{} refuses {action}: {}", self.server(), word(code))),
        }
    }

    fn denied(&self) -> String {
        match self.action {
            "sts:AssumeRole" => {
                "AWS denies sts:AssumeRole for the key's role: these credentials may not take it".to_owned()
            }
            action => format!("AWS denies {action} on this key: these credentials may not use it"),
        }
    }

    fn damaged(&self) -> String {
        let mut text = "KMS refuses it: the text or its encryption context was changed".to_owned();
        if !self.context.is_empty() {
            let mut names = self.context.clone();
            names.sort_unstable();
            let _ = write!(text, " (names: {})", names.join(", "));
        }
        text
    }
}

/// Credentials did not come in time.
pub(crate) fn no_credentials_in(total: Duration) -> ProviderError {
    ProviderError::Unavailable(format!(
        "the AWS credentials were not there within {}",
        seconds(total)
    ))
}

/// Why there are no credentials. `profile` is the one that was looked at; `named` if the key names it, so that nothing
/// came before it.
///
/// The SDK's texts are not repeated: they can hold what a program printed or what a variable was set to.
pub(crate) fn of_credentials(error: &CredentialsError, profile: &str, named: bool) -> Refusal {
    let metadata = find::<ImdsError>(error).is_some();
    match error {
        CredentialsError::CredentialsNotLoaded(_) => Refusal::lasting(nowhere(profile, named)),
        _ if metadata => Refusal::lasting(nowhere(profile, named)),
        CredentialsError::ProviderTimedOut(_) => Refusal {
            passing: true,
            text: "the AWS credentials did not come in time".to_owned(),
        },
        _ if says(error, "external process") => Refusal::lasting(format!(
            "the credential_process of the AWS profile {profile} failed or printed no credentials"
        )),
        _ if says(error, "ProfileFile provider could not be built") => Refusal::lasting(format!(
            "the AWS profile {profile}, or the file that it stands in, is not valid"
        )),
        _ if says(error, "SSO") || says(error, "UnauthorizedException") => Refusal::lasting(format!(
            "the SSO login of the AWS profile {profile} is missing or expired: aws sso login --profile {profile}"
        )),
        _ => Refusal::lasting(format!(
            "the AWS credentials could not be loaded: what the environment or the profile {profile} names did not give them"
        )),
    }
}

/// Every place that was looked at.
fn nowhere(profile: &str, named: bool) -> String {
    let (first, identity) = if named {
        ("", "")
    } else {
        ("AWS_ACCESS_KEY_ID, ", "AWS_WEB_IDENTITY_TOKEN_FILE, ")
    };
    format!(
        "no AWS credentials in {first}profile {profile}, {identity}AWS_CONTAINER_CREDENTIALS_*_URI, instance metadata"
    )
}

/// Whether some error in the chain is a `T`.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether some error in the chain says `words`.
fn says(error: &(dyn StdError + 'static), words: &str) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string().contains(words) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What the system, or TLS, says about a connection.
fn root(error: &(dyn StdError + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// A code as a word.
fn word(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(60)
        .collect()
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        whole if whole >= 1.0 => format!("{whole:.0} s"),
        part => format!("{part:.1} s"),
    }
}
