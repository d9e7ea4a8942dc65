//! Files that hold credentials, and checksums.

use super::*;

/// The check value of the polynomial, and one of RFC 3720, B.4.
#[test]
fn checksums_are_crc_32c() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
    assert_eq!(crc32c(b""), 0);
}

#[test]
fn what_is_wrong_with_a_file_is_told_without_what_stands_in_it() {
    for (json, is) in [
        ("canary", "it is neither a file nor the JSON of a credential"),
        ("{\"canary\":\"canary\"}", "it has no type"),
        ("{\"type\":\"canary\"}", "its type is not known"),
        ("{\"type\":\"service_account\"}", "it has no private_key"),
        (
            "{\"type\":\"service_account\",\"private_key\":\"canary\"}",
            "no RSA key in PEM",
        ),
        (
            "{\"type\":\"authorized_user\",\"client_id\":\"canary\"}",
            "it has no client_secret",
        ),
        (
            "{\"type\":\"external_account\",\"credential_source\":{}}",
            "neither a file nor a url",
        ),
        (
            "{\"type\":\"external_account\",\"credential_source\":{\"environment_id\":\"aws1\",\"url\":\"x\"}}",
            "tokens of AWS are not supported",
        ),
        (
            "{\"type\":\"external_account\",\"credential_source\":{\"executable\":{\"command\":\"canary\"}}}",
            "programs and certificates are not supported",
        ),
        (
            "{\"type\":\"external_account\",\"credential_source\":{\"file\":\"f\"},\"token_url\":\"http://canary\",\
             \"audience\":\"a\",\"subject_token_type\":\"t\"}",
            "no https address",
        ),
        (
            "{\"type\":\"impersonated_service_account\"}",
            "it has no service_account_impersonation_url",
        ),
        ("{\"type\":\"gdch_service_account\"}", "Distributed Cloud"),
    ] {
        let error = Login::parse(json.as_bytes(), "the file")
            .err()
            .expect(is)
            .to_string();
        assert!(error.contains(is), "{json}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
    let mut nested = "{\"type\":\"service_account\"}".to_owned();
    for _ in 0..5 {
        nested = format!(
            "{{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":\"https://h\",\
             \"source_credentials\":{nested}}}"
        );
    }
    let error = Login::parse(nested.as_bytes(), "f")
        .err()
        .expect("too deep")
        .to_string();
    assert!(error.contains("too many accounts"), "{error}");
}
