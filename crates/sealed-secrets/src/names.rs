//! Names as Kubernetes takes them, and the sizes it takes.

/// Most bytes that the values of one Secret may have, all together.
pub const SECRET_BYTES: usize = 1 << 20;
/// Most bytes that an object may have as etcd stores it: its default bound on a request, less room for what the API server
/// adds.
pub const OBJECT_BYTES: usize = (3 << 19) - 8192;
/// Longest name of an object or key.
const LONGEST: usize = 253;
/// Longest name of a namespace.
const LONGEST_LABEL: usize = 63;

/// What a name of an object must be.
///
/// # Errors
/// A sentence fragment that says what a name may be.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let whole = !name.is_empty() && name.len() <= LONGEST && name.split('.').all(is_label_text);
    whole
        .then_some(())
        .ok_or("a name has lower-case letters, digits, `-` and `.`, begins and ends each part with a letter or digit, and has at most 253 characters")
}

/// What a name of a namespace must be.
///
/// # Errors
/// As [`check_name`].
pub fn check_namespace(name: &str) -> Result<(), &'static str> {
    let whole = name.len() <= LONGEST_LABEL && is_label_text(name);
    whole
        .then_some(())
        .ok_or("a namespace has lower-case letters, digits and `-`, begins and ends with a letter or digit, and has at most 63 characters")
}

/// What a key of a Secret's data must be.
///
/// # Errors
/// As [`check_name`].
pub fn check_key(key: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let whole = !key.is_empty()
        && key.len() <= LONGEST
        && key.bytes().all(allowed)
        && key != "."
        && !key.starts_with("..");
    whole
        .then_some(())
        .ok_or("a key has letters, digits, `-`, `_` and `.`, does not begin with `..`, and has at most 253 characters")
}

fn is_label_text(text: &str) -> bool {
    let alphanumeric =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_api_server_takes() {
        for name in ["a", "a.b-c.0", &"a".repeat(253)] {
            check_name(name).expect("a name");
        }
        for name in [
            "",
            "A",
            "a_b",
            "-a",
            "a-",
            "a..b",
            ".a",
            "a b",
            "ä",
            &"a".repeat(254),
        ] {
            check_name(name).expect_err("no name");
        }
        check_namespace("team-1").expect("a namespace");
        for name in ["", "a.b", "Team", &"a".repeat(64)] {
            check_namespace(name).expect_err("no namespace");
        }
        for key in [
            ".dockerconfigjson",
            "tls.crt",
            "A_b-9",
            "..."[..1].replace('.', "x").as_str(),
        ] {
            check_key(key).expect("a key");
        }
        for key in ["", ".", "..", "..a", "a b", "a/b", "ä", &"a".repeat(254)] {
            check_key(key).expect_err("no key");
        }
    }
}
