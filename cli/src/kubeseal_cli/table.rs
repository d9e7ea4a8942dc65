//! The flags of kubeseal 0.36.6. Those that only choose a user or a server of a cluster stand here too, so that a command
//! line means the same.

use super::flags::{Flag, Takes};

const fn flag(name: &'static str, letter: char, takes: Takes) -> Flag {
    Flag {
        name,
        letter,
        takes,
        variable: true,
    }
}

const fn on(name: &'static str) -> Flag {
    flag(name, ' ', Takes::Nothing)
}

const fn word(name: &'static str) -> Flag {
    flag(name, ' ', Takes::Word)
}

/// Of the log library: read, and not used.
const fn log(name: &'static str, letter: char, takes: Takes) -> Flag {
    Flag {
        name,
        letter,
        takes,
        variable: false,
    }
}

/// All of them.
pub(super) const FLAGS: [Flag; 55] = [
    // its own
    word("cert"),
    word("controller-namespace"),
    word("controller-name"),
    flag("format", 'o', Takes::Word),
    flag("sealed-secret-file", 'w', Takes::Word),
    flag("secret-file", 'f', Takes::Word),
    on("fetch-cert"),
    on("allow-empty-data"),
    on("validate"),
    word("merge-into"),
    on("raw"),
    word("name"),
    flag("from-file", ' ', Takes::List),
    word("kubeconfig"),
    flag("scope", ' ', Takes::Scope),
    on("rotate"),
    on("re-encrypt"),
    on("recovery-unseal"),
    flag("recovery-private-key", ' ', Takes::List),
    on("help"),
    on("version"),
    // those of kubectl
    word("as"),
    flag("as-group", ' ', Takes::List),
    word("as-uid"),
    word("certificate-authority"),
    word("client-certificate"),
    word("client-key"),
    word("cluster"),
    word("context"),
    on("disable-compression"),
    on("insecure-skip-tls-verify"),
    flag("namespace", 'n', Takes::Word),
    word("password"),
    word("proxy-url"),
    word("request-timeout"),
    word("server"),
    word("tls-server-name"),
    word("token"),
    word("user"),
    word("username"),
    // those of the log library
    log("add_dir_header", ' ', Takes::Nothing),
    log("alsologtostderr", ' ', Takes::Nothing),
    log("alsologtostderrthreshold", ' ', Takes::Word),
    log("legacy_stderr_threshold_behavior", ' ', Takes::Nothing),
    log("log_backtrace_at", ' ', Takes::Word),
    log("log_dir", ' ', Takes::Word),
    log("log_file", ' ', Takes::Word),
    log("log_file_max_size", ' ', Takes::Number),
    log("logtostderr", ' ', Takes::Nothing),
    log("one_output", ' ', Takes::Nothing),
    log("skip_headers", ' ', Takes::Nothing),
    log("skip_log_headers", ' ', Takes::Nothing),
    log("stderrthreshold", ' ', Takes::Word),
    log("v", 'v', Takes::Number),
    log("vmodule", ' ', Takes::Word),
];

/// What `--help` prints.
pub(super) const HELP: &str = "\
Usage of kubeseal:
  kubeseal --cert FILE|URL [-f SECRET] [-o json|yaml] [-w FILE]            seal Secrets
  kubeseal --cert FILE|URL --raw [--from-file [KEY=]FILE]                  seal one value
  kubeseal --cert FILE|URL [-f SECRET] --merge-into FILE                   add values to a sealed file
  kubeseal --recovery-unseal --recovery-private-key FILE [-f SEALED]       open with keys of a backup
  kubeseal --cert FILE|URL --fetch-cert                                    print a certificate

The command line of kubeseal, served by seal. Secrets are read from stdin where -f is not given.

      --allow-empty-data               seal a Secret without values
      --cert FILE|URL                  whom to seal for: the controller's certificate
      --context NAME                   the context of the kubeconfig whose namespace is taken
  -o, --format json|yaml               how to print; -w with .yaml or .yml decides by itself
      --from-file [KEY=]FILE           with --raw: the value
      --help                           this text
      --kubeconfig FILE                where the context stands
      --merge-into FILE                put the values into this file
      --name NAME                      the name of the Secret
  -n, --namespace NAME                 the namespace of a Secret that names none
      --raw                            seal one value, print nothing else
      --recovery-private-key FILES     sealing keys: PEM, or Secrets or Lists of a backup
      --recovery-unseal                open a SealedSecret
      --scope SCOPE                    strict, namespace-wide or cluster-wide
  -w, --sealed-secret-file FILE        the output
  -f, --secret-file FILE               the input
      --version                        the version that this stands for

Every flag has a variable: SEALED_SECRETS_CERT, SEALED_SECRETS_SCOPE and so on. `seal kube --help` tells of more.
";
