use super::*;

use std::time::Duration;

use aws_credential_types::Credentials;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn access(region: &str, endpoint: Option<&str>) -> aws::Access {
    aws::Access {
        credentials: Credentials::new("AKIAIOSFODNN7EXAMPLE", SECRET, None, None, "test"),
        region: region.to_owned(),
        endpoint: endpoint.map(str::to_owned),
        fips: false,
        dual_stack: false,
    }
}

/// The addresses that the AWS SDK for Go comes to, which sops uses.
#[test]
fn objects_are_where_the_sdks_look_for_them() {
    for (region, endpoint, bucket, key, is) in [
        (
            "eu-west-1",
            None,
            "bucket",
            "pre/a b+ü.yaml",
            "https://bucket.s3.eu-west-1.amazonaws.com/pre/a%20b%2B%C3%BC.yaml",
        ),
        (
            "us-east-1",
            None,
            "a.b",
            "k",
            "https://s3.us-east-1.amazonaws.com/a.b/k",
        ),
        (
            "cn-north-1",
            None,
            "bucket",
            "k",
            "https://bucket.s3.cn-north-1.amazonaws.com.cn/k",
        ),
        (
            "eu-west-1",
            Some("http://127.0.0.1:5000"),
            "bucket",
            "k",
            "http://127.0.0.1:5000/bucket/k",
        ),
        (
            "eu-west-1",
            Some("http://[::1]:5000/x/"),
            "bucket",
            "k",
            "http://[::1]:5000/x/bucket/k",
        ),
        (
            "eu-west-1",
            Some("https://minio.example.org"),
            "bucket",
            "k",
            "https://bucket.minio.example.org/k",
        ),
        (
            "eu-west-1",
            Some("https://minio.example.org:9000"),
            "a.b",
            "k",
            "https://minio.example.org:9000/a.b/k",
        ),
        (
            "eu-west-1",
            Some("http://minio.example.org:9000"),
            "a.b",
            "k",
            "http://a.b.minio.example.org:9000/k",
        ),
        (
            "eu-west-1",
            Some("https://minio.example.org"),
            "Bucket_1",
            "//k",
            "https://minio.example.org/Bucket_1///k",
        ),
    ] {
        let url = address::of(&access(region, endpoint), bucket, key).expect(is);
        assert_eq!(url.as_str(), is);
    }
    let mut other = access("us-gov-west-1", None);
    (other.fips, other.dual_stack) = (true, true);
    let url = address::of(&other, "bucket", "k").expect("an address");
    assert_eq!(
        url.as_str(),
        "https://bucket.s3-fips.dualstack.us-gov-west-1.amazonaws.com/k"
    );
    for region in ["", "eu-west-1.evil.example/", "a@b"] {
        assert!(
            address::of(&access(region, None), "bucket", "k").is_err(),
            "{region}"
        );
    }
    for endpoint in ["ftp://h", "https://u:hunter2@h", "h:80", "https://h?x=y"] {
        let error = address::of(&access("eu-west-1", Some(endpoint)), "bucket", "k").expect_err(endpoint);
        let text = error.to_string();
        assert!(
            text.contains("AWS_ENDPOINT_URL") && !text.contains("hunter2"),
            "{text}"
        );
    }
}

#[test]
fn names_that_others_would_read_as_another_are_refused() {
    for bucket in ["bucket", "a.b", "Old_One", "alias-of-a-point-s3alias"] {
        assert!(address::check_bucket(bucket).is_ok(), "{bucket}");
    }
    for bucket in [
        "",
        "..",
        "a/b",
        "a?b",
        "a b",
        "arn:aws:s3:eu-west-1:1:accesspoint/x",
    ] {
        assert!(address::check_bucket(bucket).is_err(), "{bucket}");
    }
    for key in ["a", "/a//b/", "..a", "%2e%2e/a", "a b"] {
        assert!(address::check_key(key).is_ok(), "{key}");
    }
    for key in ["..", "a/../b", "./a", "a/."] {
        assert!(address::check_key(key).is_err(), "{key}");
    }
    assert!(address::check_key(&"a".repeat(1025)).is_err());
}

/// The example of the documentation of AWS Signature Version 4 ("PUT Object") has other headers, so this is a signature
/// counted once by hand with Python's hmac; moto checks more of them.
#[test]
fn the_secret_is_in_no_header_and_the_signature_covers_what_counts() {
    let url =
        Url::parse("https://examplebucket.s3.us-east-1.amazonaws.com/test%24file.text").expect("an address");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
    let content = SecretBytes::copy_from(b"Welcome to Amazon S3.");
    let request = signed(&access("us-east-1", None), url, content, now).expect("signed");
    let header = |name: &str| {
        let value = request.header(name).expect(name);
        String::from_utf8(value.to_vec()).expect("text")
    };
    assert_eq!(header("x-amz-date"), "20130524T000000Z");
    assert_eq!(
        header("x-amz-content-sha256"),
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
    );
    assert_eq!(header(CHECKSUM), "RM591nyVng01JP+sF3Hfu6h9K2tLTpnkIDSouAP4sHI=");
    let authorization = header("authorization");
    for part in [
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request",
        "SignedHeaders=content-type;host;x-amz-checksum-sha256;x-amz-content-sha256;x-amz-date",
        "Signature=40d3b566c94a891595cfc49130e949c2ed505777f7c25da152e34188604238fb",
    ] {
        assert!(authorization.contains(part), "{authorization}");
    }
    assert!(!authorization.contains(SECRET));
}

#[test]
fn a_refusal_says_whose_move_is_next() {
    let text = |status, code: &str, elsewhere: Option<&str>| {
        refusal::text_of("h", status, code, elsewhere, ("bucket", "eu-west-1")).to_string()
    };
    for (status, code, elsewhere, words) in [
        (
            403,
            "AccessDenied",
            None,
            "denies s3:PutObject in the bucket bucket",
        ),
        (403, "", None, "denies s3:PutObject"),
        (
            403,
            "SignatureDoesNotMatch",
            None,
            "does not accept these credentials",
        ),
        (400, "ExpiredToken", None, "log in again"),
        (403, "RequestTimeTooSkewed", None, "clock"),
        (404, "NoSuchBucket", None, "no bucket bucket at h"),
        (
            301,
            "PermanentRedirect",
            Some("us-east-2"),
            "set AWS_REGION=us-east-2",
        ),
        (
            400,
            "AuthorizationHeaderMalformed",
            Some("us-east-2"),
            "set AWS_REGION=us-east-2",
        ),
        (301, "", None, "another region than eu-west-1"),
        (409, "OperationAborted", None, "OperationAborted (status 409)"),
        (400, "<script>", None, "no code (status 400)"),
        (400, "", None, "status 400"),
    ] {
        let text = text(status, code, elsewhere);
        assert!(text.contains(words), "{status} {code}: {text}");
    }
}
