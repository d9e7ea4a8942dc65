//! `seal kube cert`: certificates of sealing keys.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealed_secrets::{Certificate, NewKey};

use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing, Target};
use crate::kube::{Certificates, now, random};
use crate::workbench::Workbench;

/// Show, fetch and make certificates of sealing keys
#[derive(clap::Args)]
pub(crate) struct Cert {
    #[command(subcommand)]
    command: CertCommand,
}

#[derive(clap::Subcommand)]
enum CertCommand {
    /// Show what a certificate says: its fingerprint, its dates, its key
    Show {
        /// Files or https, http or file URLs; by default the certificates of the policy's clusters
        sources: Vec<String>,
    },
    /// Fetch a certificate and keep it
    ///
    /// Over http its --fingerprint must be known beforehand.
    #[command(
        after_help = "Example:\n  seal kube cert fetch https://sealed.example.com/v1/cert.pem -o certs/eu.pem"
    )]
    Fetch {
        /// An https, http or file URL
        url: String,

        /// The fingerprint that it must have
        #[arg(long, value_name = "SHA256")]
        fingerprint: Option<String>,

        /// Where to keep it; else it is printed
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Make a sealing key with its certificate, as the controller makes them
    ///
    /// Given to a cluster as a Secret of type kubernetes.io/tls with the label
    /// sealedsecrets.bitnami.com/sealed-secrets-key=active, it is a key of that cluster.
    New {
        /// Where the private key goes
        #[arg(long, value_name = "FILE")]
        key: PathBuf,

        /// Where the certificate goes
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,

        /// 2048, 3072, 4096 or 8192
        #[arg(long, default_value_t = 4096)]
        bits: u32,

        /// For how long the certificate holds, in days
        #[arg(long, default_value_t = 3650)]
        days: u32,

        /// A name in the certificate
        #[arg(long, value_name = "NAME", default_value = "")]
        common_name: String,
    },
}

impl Cert {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        match self.command {
            CertCommand::Show { sources } => show(bench, sources),
            CertCommand::Fetch {
                url,
                fingerprint,
                output,
            } => fetch(bench, &url, fingerprint.as_deref(), output.as_deref()),
            CertCommand::New {
                key,
                cert,
                bits,
                days,
                common_name,
            } => new(bench, &key, &cert, (bits, days), &common_name),
        }
    }
}

fn show(bench: &Workbench, sources: Vec<String>) -> Result<ExitCode> {
    let mut certificates = Certificates::default();
    if !sources.is_empty() {
        for source in sources {
            let certificate = certificates.read(bench, &source, true)?;
            describe(bench, &source, &certificate)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let policy = bench.policy(Path::new("./file"))?;
    let Some(policy) = policy.filter(|policy| !policy.config.seal.clusters.is_empty()) else {
        return Err(Error::new(
            Code::ConfigNotFound,
            "no certificate is named, and no policy here names clusters",
        ));
    };
    for cluster in &policy.config.seal.clusters {
        let certificate = certificates.of_cluster(bench, cluster, policy.folder())?;
        describe(
            bench,
            &format!("{} ({})", cluster.name, cluster.certificate),
            &certificate,
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(bench: &Workbench, source: &str, certificate: &Certificate) -> Result<()> {
    let time = |seconds| {
        jiff::Timestamp::from_second(seconds).map_or_else(
            |_| "out of range".to_owned(),
            |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        )
    };
    let is_expired = certificate.is_expired(now());
    if bench.ui.manner().json {
        return bench.ui.record(&serde_json::json!({
            "source": source,
            "fingerprint": certificate.fingerprint().to_string(),
            "sshFingerprint": certificate.ssh_fingerprint(),
            "hint": certificate.fingerprint().short(),
            "bits": certificate.bits(),
            "notBefore": time(certificate.not_before()),
            "notAfter": time(certificate.not_after()),
            "expired": is_expired,
            "subject": certificate.subject(),
            "serial": certificate.serial(),
        }));
    }
    let say = |text: &str| bench.ui.say(text);
    say(source)?;
    say(&format!("  fingerprint  {}", certificate.fingerprint()))?;
    say(&format!(
        "  of the key   {} ({} bits)",
        certificate.ssh_fingerprint(),
        certificate.bits()
    ))?;
    let expired = if is_expired { ": it has expired" } else { "" };
    say(&format!(
        "  holds        {} to {}{expired}",
        time(certificate.not_before()),
        time(certificate.not_after())
    ))?;
    let subject = if certificate.subject().is_empty() {
        "nobody"
    } else {
        certificate.subject()
    };
    say(&format!(
        "  names        {subject}, serial {}",
        certificate.serial()
    ))
}

fn fetch(bench: &Workbench, url: &str, pin: Option<&str>, output: Option<&Path>) -> Result<ExitCode> {
    let certificate = Certificates::default().get(bench, url, pin)?;
    let pem = certificate.to_pem();
    let Some(output) = output else {
        files::write_stdout(pem.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    put(bench, output, pem.as_bytes())?;
    bench.ui.report("wrote", output, None)?;
    if pin.is_none() {
        bench
            .ui
            .say(&format!("fingerprint: {}", certificate.fingerprint()))?;
        bench
            .ui
            .hint("pin it: `fingerprint` of the cluster in .sops.yaml, or --fingerprint");
    }
    Ok(ExitCode::SUCCESS)
}

fn put(bench: &Workbench, path: &Path, bytes: &[u8]) -> Result<()> {
    if !path.exists() {
        return files::create_fresh(path, bytes, Access::Shared, Existing::Refuse);
    }
    let (target, _) = Target::open(path, bench.global.max_size)?;
    for warning in target.replace(bytes)? {
        bench.ui.warn(Some(path), &warning);
    }
    Ok(())
}

fn new(
    bench: &Workbench,
    key: &Path,
    cert: &Path,
    (bits, days): (u32, u32),
    common_name: &str,
) -> Result<ExitCode> {
    for path in [key, cert] {
        if std::fs::symlink_metadata(path).is_ok() {
            return Err(Error::new(Code::Write, "exists already, and is not overwritten").file(path));
        }
    }
    let asked = NewKey {
        bits,
        common_name,
        not_before: now(),
        lifetime: i64::from(days) * 24 * 60 * 60,
    };
    let made = asked.make(&mut random);
    let (private, certificate) = made.map_err(|error| Error::new(Code::Generic, error.to_string()))?;
    files::create_fresh(key, private.expose(), Access::Private, Existing::Refuse)?;
    files::create_fresh(
        cert,
        certificate.to_pem().as_bytes(),
        Access::Shared,
        Existing::Refuse,
    )?;
    bench.ui.report(
        "wrote",
        key,
        Some("whoever has it opens everything: keep it in a safe place"),
    )?;
    bench.ui.report("wrote", cert, None)?;
    bench
        .ui
        .say(&format!("fingerprint: {}", certificate.fingerprint()))?;
    Ok(ExitCode::SUCCESS)
}
