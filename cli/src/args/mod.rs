//! Flags that several commands share, each declared once, under the names that sops gives them.
//!
//! A command takes a group with `#[command(flatten)]`. The doc comment of a field is its help text.

mod aws;
mod changes;
mod format;
mod global;
mod keys;
mod kube;
mod rules;
mod services;
mod value;

pub(crate) use aws::context as aws_context;
pub(crate) use changes::ChangeArgs;
pub(crate) use format::{InputFormat, OutputFormat};
pub(crate) use global::Global;
pub(crate) use keys::KeyArgs;
pub(crate) use kube::{CertificateArgs, SealingKeyArgs, scope};
pub(crate) use rules::RuleArgs;
pub(crate) use services::{ServiceArgs, pem};
pub(crate) use value::ValueArgs;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser as _};

    /// All groups at once: clap's own check finds a flag that is declared twice.
    #[derive(clap::Parser, Debug)]
    #[command(name = "all")]
    struct All {
        #[command(flatten)]
        global: Global,
        #[command(flatten)]
        keys: KeyArgs,
        #[command(flatten)]
        rules: RuleArgs,
        #[command(flatten)]
        input: InputFormat,
        #[command(flatten)]
        output: OutputFormat,
        #[command(flatten)]
        value: ValueArgs,
    }

    /// The group that no command has beside [`KeyArgs`]: both take what AWS keys are used with.
    #[derive(clap::Parser, Debug)]
    #[command(name = "changing")]
    struct Changing {
        #[command(flatten)]
        global: Global,
        #[command(flatten)]
        changes: ChangeArgs,
        #[command(flatten)]
        input: InputFormat,
    }

    fn parse(arguments: &[&str]) -> Result<All, clap::Error> {
        All::try_parse_from(std::iter::once(&"all").chain(arguments))
    }

    #[test]
    fn no_flag_is_declared_twice_and_every_flag_has_help() {
        for mut command in [All::command(), Changing::command()] {
            command.build();
            command.clone().debug_assert();
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} has no help", argument.get_id());
            }
        }
    }

    #[test]
    fn sops_names_are_understood() {
        let all = parse(&[
            "-a",
            "age1a, age1b,,",
            "--age",
            "age1c,age1a",
            "-p",
            "AB CD, EF",
            "--encrypted-regex",
            "^data$",
            "--mac-only-encrypted",
            "--shamir-secret-sharing-threshold",
            "2",
            "--input-type",
            "dotenv",
            "--output-type",
            "json",
            "--indent",
            "-1",
            "--config",
            "p.yaml",
            "--max-size",
            "1k",
            "-y",
        ])
        .expect("parsed");
        let shown: Vec<_> = all
            .keys
            .master_keys()
            .expect("keys")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(shown, ["age1a", "age1b", "age1c", "ABCD", "EF"]);
        assert_eq!(
            all.rules
                .rules()
                .expect("one")
                .expect("given")
                .encrypted_regex
                .as_deref(),
            Some("^data$")
        );
        assert!(all.rules.mac_only_encrypted && all.global.manner().yes);
        assert_eq!(all.rules.shamir_secret_sharing_threshold, Some(2));
        assert_eq!(
            all.input.of(std::path::Path::new("x.yaml")),
            document::Format::Dotenv
        );
        assert_eq!(
            (all.output.output_type, all.output.indent),
            (Some(document::Format::Json), Some(-1))
        );
        assert_eq!(all.global.max_size.limit(), 1024);
    }

    #[test]
    fn contradictions_are_refused() {
        let two = parse(&["--encrypted-regex", "a", "--unencrypted-suffix", "b"]).expect("parsed");
        let error = two.rules.rules().expect_err("two rules");
        assert_eq!(error.code(), crate::error::Code::Conflict);
        assert!(
            error.to_string().contains("--encrypted-regex")
                && error.to_string().contains("--unencrypted-suffix")
        );
        for bad in [
            &["--quiet", "--verbose"][..],
            &["--value-stdin", "--value-file", "x"],
            &["--value-stdin", "x"],
            &["--value-file"],
            &["--max-size", "12q"],
            &["--max-size", "99999999999G"],
            &["--input-type", "toml"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
