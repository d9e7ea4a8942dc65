//! The commands and flags of sops, as 3.11.0 has them; flags for kinds of key that are not built in stand here too, so
//! that a command line means the same.

use super::flags::{Flag, Takes};

const fn on(name: &'static str, alias: &'static str) -> Flag {
    Flag {
        name,
        alias,
        takes: Takes::Nothing,
        variable: "",
    }
}

const fn word(name: &'static str, alias: &'static str, variable: &'static str) -> Flag {
    Flag {
        name,
        alias,
        takes: Takes::Word,
        variable,
    }
}

const fn plain(name: &'static str) -> Flag {
    word(name, name, "")
}

const fn words(name: &'static str, alias: &'static str, variable: &'static str) -> Flag {
    Flag {
        name,
        alias,
        takes: Takes::Words,
        variable,
    }
}

const KEYSERVICE: [Flag; 2] = [
    Flag {
        variable: "SOPS_ENABLE_LOCAL_KEYSERVICE",
        ..on("enable-local-keyservice", "enable-local-keyservice")
    },
    words("keyservice", "keyservice", "SOPS_KEYSERVICE"),
];

const TYPES: [Flag; 2] = [plain("input-type"), plain("output-type")];

const KEYS: [Flag; 8] = [
    word("kms", "k", "SOPS_KMS_ARN"),
    plain("aws-profile"),
    word("gcp-kms", "gcp-kms", "SOPS_GCP_KMS_IDS"),
    word("hckms", "hckms", "SOPS_HUAWEICLOUD_KMS_IDS"),
    word("azure-kv", "azure-kv", "SOPS_AZURE_KEYVAULT_URLS"),
    word("hc-vault-transit", "hc-vault-transit", "SOPS_VAULT_URIS"),
    word("pgp", "p", "SOPS_PGP_FP"),
    word("age", "a", "SOPS_AGE_RECIPIENTS"),
];

const RULES: [Flag; 6] = [
    plain("unencrypted-suffix"),
    plain("encrypted-suffix"),
    plain("unencrypted-regex"),
    plain("encrypted-regex"),
    plain("unencrypted-comment-regex"),
    plain("encrypted-comment-regex"),
];

const ENCRYPTING: [Flag; 2] = [
    plain("encryption-context"),
    plain("shamir-secret-sharing-threshold"),
];

const ORDER: [Flag; 1] = [word(
    "decryption-order",
    "decryption-order",
    "SOPS_DECRYPTION_ORDER",
)];

const CHANGES: [Flag; 14] = [
    plain("add-kms"),
    plain("rm-kms"),
    plain("add-pgp"),
    plain("rm-pgp"),
    plain("add-gcp-kms"),
    plain("rm-gcp-kms"),
    plain("add-hckms"),
    plain("rm-hckms"),
    plain("add-azure-kv"),
    plain("rm-azure-kv"),
    plain("add-hc-vault-transit"),
    plain("rm-hc-vault-transit"),
    plain("add-age"),
    plain("rm-age"),
];

const IN_PLACE: Flag = on("in-place", "i");
const OUTPUT: Flag = plain("output");
const IGNORE_MAC: Flag = on("ignore-mac", "ignore-mac");
const NAME: Flag = plain("filename-override");
const HELP: Flag = on("help", "h");
const SHOW: Flag = on("show-master-keys", "s");
const IDEMPOTENT: Flag = on("idempotent", "idempotent");
/// Ours: decrypt prints what sops would, not the author's own bytes.
const SOPS_STYLE: Flag = Flag {
    variable: "SEAL_SOPS_STYLE",
    ..on("sops-style", "sops-style")
};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Encrypt,
    Decrypt,
    Rotate,
    Edit,
    Set,
    Unset,
    UpdateKeys,
    GroupsAdd,
    GroupsDelete,
    ExecEnv,
    ExecFile,
    Publish,
    FileStatus,
    KeyService,
    Completion,
}

/// The command that a line begins with, and how many words name it.
pub(super) fn command(words: &[&str]) -> Option<(Name, usize)> {
    Some(match words {
        ["encrypt", ..] => (Name::Encrypt, 1),
        ["decrypt", ..] => (Name::Decrypt, 1),
        ["rotate", ..] => (Name::Rotate, 1),
        ["edit", ..] => (Name::Edit, 1),
        ["set", ..] => (Name::Set, 1),
        ["unset", ..] => (Name::Unset, 1),
        ["updatekeys", ..] => (Name::UpdateKeys, 1),
        ["groups", "add", ..] => (Name::GroupsAdd, 2),
        ["groups", "delete", ..] => (Name::GroupsDelete, 2),
        ["exec-env", ..] => (Name::ExecEnv, 1),
        ["exec-file", ..] => (Name::ExecFile, 1),
        ["publish", ..] => (Name::Publish, 1),
        ["filestatus", ..] => (Name::FileStatus, 1),
        ["keyservice", ..] => (Name::KeyService, 1),
        ["completion", ..] => (Name::Completion, 1),
        _ => return None,
    })
}

/// The flags of a command.
pub(super) fn flags(command: Name) -> Vec<Flag> {
    let group = |parts: &[&[Flag]]| parts.concat();
    let mut flags = match command {
        Name::Encrypt => group(&[&[IN_PLACE, OUTPUT, NAME], &KEYS, &TYPES, &RULES, &ENCRYPTING]),
        Name::Decrypt => group(&[
            &[IN_PLACE, OUTPUT, NAME, IGNORE_MAC, plain("extract"), SOPS_STYLE],
            &TYPES,
            &ORDER,
        ]),
        Name::Rotate => group(&[
            &[IN_PLACE, OUTPUT, NAME, IGNORE_MAC, plain("encryption-context")],
            &TYPES,
            &CHANGES,
            &ORDER,
        ]),
        Name::Edit => group(&[&[IGNORE_MAC, SHOW], &KEYS, &TYPES, &RULES, &ENCRYPTING, &ORDER]),
        Name::Set | Name::Unset => group(&[
            &[
                IGNORE_MAC,
                IDEMPOTENT,
                on("value-file", "value-file"),
                on("value-stdin", "value-stdin"),
                plain("shamir-secret-sharing-threshold"),
            ],
            &TYPES,
            &ORDER,
        ]),
        Name::UpdateKeys => vec![on("yes", "y"), plain("input-type")],
        Name::GroupsAdd => vec![
            word("file", "f", ""),
            IN_PLACE,
            words("pgp", "pgp", ""),
            words("kms", "kms", ""),
            plain("aws-profile"),
            words("gcp-kms", "gcp-kms", ""),
            words("hckms", "hckms", ""),
            words("azure-kv", "azure-kv", ""),
            words("hc-vault-transit", "hc-vault-transit", ""),
            words("age", "age", ""),
            plain("shamir-secret-sharing-threshold"),
            plain("encryption-context"),
        ],
        Name::GroupsDelete => vec![
            word("file", "f", ""),
            IN_PLACE,
            plain("shamir-secret-sharing-threshold"),
        ],
        Name::ExecEnv => group(&[
            &[
                on("background", "background"),
                on("pristine", "pristine"),
                on("same-process", "same-process"),
                plain("user"),
            ],
            &ORDER,
        ]),
        Name::ExecFile => group(&[
            &[
                on("background", "background"),
                on("no-fifo", "no-fifo"),
                plain("user"),
                plain("filename"),
            ],
            &TYPES,
            &ORDER,
        ]),
        Name::Publish => group(&[
            &[
                on("yes", "y"),
                on("omit-extensions", "omit-extensions"),
                on("recursive", "recursive"),
                on("verbose", "verbose"),
            ],
            &ORDER,
        ]),
        Name::FileStatus => vec![plain("input-type")],
        Name::KeyService => vec![
            word("network", "net", ""),
            word("address", "addr", ""),
            on("prompt", "prompt"),
            on("verbose", "verbose"),
        ],
        Name::Completion => Vec::new(),
    };
    // The service itself uses what works here.
    if command != Name::KeyService {
        flags.extend(KEYSERVICE);
    }
    flags.push(HELP);
    flags
}

/// The flags before a command, and of the form without one.
pub(super) fn global() -> Vec<Flag> {
    [
        &[
            on("decrypt", "d"),
            on("encrypt", "e"),
            on("rotate", "r"),
            on("disable-version-check", "disable-version-check"),
            on("check-for-updates", "check-for-updates"),
            on("verbose", "verbose"),
            on("version", "v"),
            on("mac-only-encrypted", "mac-only-encrypted"),
            IN_PLACE,
            OUTPUT,
            NAME,
            IGNORE_MAC,
            IDEMPOTENT,
            SHOW,
            SOPS_STYLE,
            HELP,
            plain("extract"),
            plain("set"),
            plain("indent"),
            word("config", "config", "SOPS_CONFIG"),
        ],
        &KEYS[..],
        &TYPES,
        &RULES,
        &ENCRYPTING,
        &CHANGES,
        &ORDER,
        &KEYSERVICE,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_names_a_flag_twice() {
        use Name::*;
        let commands = [
            Encrypt,
            Decrypt,
            Rotate,
            Edit,
            Set,
            Unset,
            UpdateKeys,
            GroupsAdd,
            GroupsDelete,
            ExecEnv,
            ExecFile,
            Publish,
            FileStatus,
            KeyService,
            Completion,
        ];
        for flags in commands.map(flags).into_iter().chain([global()]) {
            let mut names: Vec<&str> = flags.iter().flat_map(|flag| [flag.name, flag.alias]).collect();
            names.sort_unstable();
            let all = flags
                .iter()
                .map(|flag| if flag.name == flag.alias { 1 } else { 2 })
                .sum::<usize>();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }
}
