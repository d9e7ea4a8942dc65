//! Names, places and files. What the service answers, and every kind of credential, are tried with the whole program.

use super::*;
use crate::rest::tests::{Server, answer};

fn key(resource_id: &str) -> MasterKey {
    MasterKey::GcpKms {
        resource_id: resource_id.to_owned(),
    }
}

const NAME: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";

/// NW-13
#[test]
fn a_name_cannot_be_another_path() {
    for fine in [
        NAME,
        "projects/example.com:p-1/locations/europe-west1/keyRings/r_1/cryptoKeys/K",
    ] {
        assert_eq!(resource(&key(fine)).expect(fine), fine);
    }
    for bad in [
        "",
        "projects/p",
        "projects/p/locations/l/keyRings/r/cryptoKeys/",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
        "projects/../locations/l/keyRings/r/cryptoKeys/k",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k?x=y",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k#x",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k%2f",
        "projects/p/locations/l/keyRings/r/cryptoKeys/a b",
        "projects/p/locations/l/keyRings/r/cryptoKeys/ä",
        "projekte/p/locations/l/keyRings/r/cryptoKeys/k",
    ] {
        assert!(
            matches!(resource(&key(bad)), Err(ProviderError::InvalidKey(_))),
            "{bad}"
        );
    }
}

#[test]
fn the_service_is_where_the_sources_say() {
    let place = |endpoint: &str, universe: &str, own: Option<&str>| {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let sources = GcpSources {
            endpoint: text(endpoint),
            universe: text(universe),
            ..GcpSources::default()
        };
        sources.endpoint(own).map(|url| url.to_string()).ok()
    };
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(place("", "", None), is("https://cloudkms.googleapis.com/"));
    assert_eq!(
        place("", "", Some("x.example.org")),
        is("https://cloudkms.x.example.org/")
    );
    assert_eq!(place("", "x.org", None), is("https://cloudkms.x.org/"));
    assert_eq!(place("", "x.org", Some("googleapis.com")), None);
    assert_eq!(place("", "x.org/y?", None), None);
    assert_eq!(
        place("kms.example.org:8443", "", None),
        is("https://kms.example.org:8443/")
    );
    assert_eq!(
        place("https://kms.example.org/", "", None),
        is("https://kms.example.org/")
    );
    assert_eq!(
        place("http://127.0.0.1:8080", "", None),
        is("http://127.0.0.1:8080/")
    );
    assert_eq!(place("http://kms.example.org", "", None), None);
    assert_eq!(place("https://kms.example.org/v1", "", None), None);
}

/// A provider whose service is `server`.
fn provider(server: &Server) -> GcpKms {
    let sources = GcpSources {
        access_token: Some("token".into()),
        endpoint: Some(server.url.to_string()),
        ..GcpSources::default()
    };
    GcpKms::new(sources, Network::default())
}

#[tokio::test]
async fn what_changed_on_the_way_is_not_taken() {
    let sum = crc32c(b"sealed");
    let good = format!(
        "{{\"ciphertext\":\"c2VhbGVk\",\"ciphertextCrc32c\":\"{sum}\",\"verifiedPlaintextCrc32c\":true}}"
    );
    let server = Server::start(vec![answer("200 OK", &good)]).await;
    assert_eq!(
        provider(&server)
            .wrap(&key(NAME), b"plain")
            .await
            .expect("wrapped"),
        "c2VhbGVk"
    );
    let request = server.requests().remove(0);
    assert!(
        request.starts_with(&format!("POST /v1/{NAME}:encrypt HTTP/1.1\r\n")),
        "{request}"
    );
    let body = format!(
        "{{\"plaintext\":\"cGxhaW4=\",\"plaintextCrc32c\":\"{}\"}}",
        crc32c(b"plain")
    );
    assert!(request.ends_with(&body), "{request}");
    for bad in [
        good.replace("true", "false"),
        good.replace(&sum.to_string(), "1"),
        good.replace("c2Vh", "c2Vi"),
    ] {
        let server = Server::start(vec![answer("200 OK", &bad)]).await;
        let error = provider(&server)
            .wrap(&key(NAME), b"plain")
            .await
            .expect_err(&bad);
        assert!(error.to_string().contains("checksum"), "{error}");
    }
    let opened = format!(
        "{{\"plaintext\":\"cGxhaW4=\",\"plaintextCrc32c\":\"{}\"}}",
        crc32c(b"plain")
    );
    let server = Server::start(vec![answer("200 OK", &opened)]).await;
    let plain = provider(&server)
        .unwrap(&key(NAME), "c2VhbGVk\n")
        .await
        .expect("opened");
    assert_eq!(plain.expose(), b"plain");
    let server = Server::start(vec![answer("200 OK", &opened.replace("cGxh", "cGxi"))]).await;
    assert!(provider(&server).unwrap(&key(NAME), "c2VhbGVk").await.is_err());
    let error = provider(&server)
        .unwrap(&key(NAME), "c2Vh*")
        .await
        .expect_err("no Base64");
    assert!(matches!(error, ProviderError::Damaged(_)));
}
