//! The keyring of a run: what the environment names, and the terminal for what has to be asked.

use std::ffi::OsString;
use std::io::{BufRead as _, IsTerminal as _};
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;

use key_providers::age::{AgeProvider, AgeSources};
use key_providers::aws_kms::{AwsKms, AwsSources};
use key_providers::azure_kv::{AzureKeyVault, AzureSources};
use key_providers::gcp_kms::{GcpKms, GcpSources};
use key_providers::pgp::{Gpg, PgpProvider};
use key_providers::vault_transit::{VaultSources, VaultTransit};
use key_providers::{KeyProvider, Keyring, Network, Prompt};
use secret::SecretBytes;

use crate::args::ServiceArgs;
use crate::error::Result;
use crate::home::home;
use crate::log::Logged;
use crate::sockets;
use crate::ui::{Manner, Ui};

/// All kinds of key that work here. Nothing is read or started before it is needed.
pub(crate) fn from_env(manner: Manner) -> Keyring {
    let home = home();
    let variable = |name: &str| std::env::var_os(name);
    let age = AgeSources::from_env(&variable, home.as_deref());
    let mut gpg = Gpg::from_env(&variable);
    if Gpg::wants_terminal(&variable) {
        gpg.terminal = terminal();
    }
    let host = rustix::system::uname();
    let aws = AwsSources::from_env(&variable, &host.nodename().to_string_lossy());
    let vault = VaultSources::from_env(&variable, home.as_deref());
    let gcp = GcpSources::from_env(&variable, home.as_deref());
    let azure = AzureSources::from_env(&variable);
    let network = Network::default();
    let providers: Vec<Box<dyn KeyProvider>> = vec![
        Box::new(AgeProvider::new(age).asking(Arc::new(Terminal(manner)))),
        Box::new(PgpProvider::new(gpg)),
        Box::new(AwsKms::new(aws, network.clone())),
        Box::new(GcpKms::new(gcp, network.clone())),
        Box::new(AzureKeyVault::new(azure, network.clone())),
        Box::new(VaultTransit::new(vault, network)),
    ];
    let providers = providers.into_iter();
    Keyring::new(
        providers
            .map(|provider| Logged::if_wanted(provider, manner))
            .collect(),
    )
}

/// The agent, what works here, unless that is switched off, then the key services that were named.
///
/// # Errors
/// When a service is not named as it must be.
pub(crate) fn with_services(manner: Manner, services: &ServiceArgs) -> Result<Keyring> {
    let remote = services.providers()?;
    let local = match services.local() {
        true => from_env(manner),
        false => Keyring::default(),
    };
    Ok(local.and(remote).behind(sockets::agent()))
}

/// The name of the terminal in front of which somebody sits.
fn terminal() -> Option<OsString> {
    let name = rustix::termios::ttyname(std::io::stderr(), Vec::new())
        .or_else(|_| rustix::termios::ttyname(std::io::stdin(), Vec::new()));
    name.ok().map(|name| OsString::from_vec(name.into_bytes()))
}

/// The person at the terminal. Without a terminal, or where JSON is asked for, nobody is there.
struct Terminal(Manner);

impl Terminal {
    fn ui(&self) -> Option<Ui> {
        (!self.0.json).then(|| Ui::new(self.0))
    }

    /// A line that is shown while it is typed.
    fn ask(&self, question: &str) -> Option<String> {
        let ui = self.ui()?;
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        ui.question(question);
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).ok()?;
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl Prompt for Terminal {
    fn secret(&self, question: &str) -> Option<SecretBytes> {
        self.ui()?.prompt(question, "").ok()
    }

    fn line(&self, question: &str) -> Option<String> {
        self.ask(question)
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let choice = match no {
            Some(no) => format!("{question} (1: {yes}, 2: {no}) "),
            None => format!("{question} (1: {yes}) "),
        };
        match self.ask(&choice)?.trim() {
            "1" => Some(true),
            "2" if no.is_some() => Some(false),
            _ => None,
        }
    }

    fn message(&self, text: &str) {
        Ui::new(self.0).notice(text);
    }
}
