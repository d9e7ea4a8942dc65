//! Credentials that the container or the machine gives, over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use support::canary::Canary;
use support::cloud::{Asked, Cloud, Told};
use support::moto::Access;
use support::run::Tool;

use super::refused::silence;
use super::{Account, refused};
use crate::keys::{PLAIN, program, seal};
use crate::scene::{Result, Scene, ended};

/// The metadata service of a container and of an instance, which give out `access`; its address. It ends with the tests.
fn service(access: &Access) -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = format!("http://{}", listener.local_addr()?);
    let given = json!({
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": access.id,
        "SecretAccessKey": access.secret,
        "Token": "token",
        "Expiration": "2099-01-01T00:00:00Z",
        "LastUpdated": "2026-01-01T00:00:00Z",
    });
    let given = given.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever hangs up has to ask again.
            let _ = answer(stream, &given);
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, given: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request);
    let body = match request.split(' ').nth(1) {
        Some("/latest/api/token") => "token",
        Some("/latest/meta-data/iam/security-credentials/") => "role",
        _ => given,
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nx-aws-ec2-metadata-token-ttl-seconds: 600\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn containers_and_instances_give_credentials() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    account.sealed(&scene, &["--kms", &account.key])?;
    // A session's token is part of them, and the emulation knows only those that it made itself.
    account.server.enforce(1_000)?;
    let service = service(&account.user)?;
    let container = format!("{service}/credentials");
    for (name, value) in [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service),
    ] {
        let tool = program(&scene, seal(), None)?.env("AWS_ENDPOINT_URL", &account.server.address);
        let opened = tool.env(name, value).run(["decrypt", "sealed.json"])?;
        if opened.stdout != PLAIN {
            return Err(format!("{name}: {}", ended(&opened)).into());
        }
    }
    Ok(())
}

/// Where nothing gives credentials, an address that swallows what is sent to it is asked once, and briefly: not for
/// every file.
#[test]
fn metadata_that_is_not_there_costs_a_moment() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    account.sealed(&scene, &["--kms", &account.key])?;
    let sealed = scene.read("sealed.json")?;
    let files: Vec<String> = (0..6).map(|number| format!("{number}.json")).collect();
    for file in &files {
        scene.write(file, &sealed)?;
    }
    let (_silence, address) = silence()?;
    let tool = program(&scene, seal(), None)?
        .env("AWS_ENDPOINT_URL", &account.server.address)
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", address);
    let start = Instant::now();
    let arguments = ["decrypt", "--output-dir", "opened"].map(str::to_owned);
    let output = tool.run(arguments.iter().chain(&files))?;
    let words = "AWS_CONTAINER_CREDENTIALS_*_URI, instance metadata";
    refused(&output, 128, words, "no credentials")?;
    assert_eq!(
        output.err().matches(words).count(),
        files.len(),
        "{}",
        output.err()
    );
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    Ok(())
}

/// `sha1` of the start address below, by which the AWS CLI names the file of a login.
const LOGIN: &str = "e8be5486177c5b5392bd9aa76563515b29358e6e.json";

/// What `aws sso login` left is shown to the portal, which gives the credentials of a role.
#[test]
fn a_login_with_sso_gives_credentials() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    account.sealed(&scene, &["--kms", &account.key])?;
    // A session's token is part of them, and the emulation knows only those that it made itself.
    account.server.enforce(1_000)?;
    let given = json!({ "roleCredentials": {
        "accessKeyId": account.user.id, "secretAccessKey": account.user.secret,
        "sessionToken": "token", "expiration": 4_070_908_800_000_u64,
    }});
    let canary = Canary::new(94);
    let login = canary.text().to_owned();
    let portal = move |asked: &Asked| {
        let right = asked.path == "/federation/credentials"
            && asked.parameter("account_id").as_deref() == Some("123456789012")
            && asked.parameter("role_name").as_deref() == Some("sealer")
            && asked.header("x-amz-sso_bearer_token") == Some(login.as_str());
        match right {
            true => Told::json(200, &given),
            false => Told::json(401, &json!({ "message": "Session token not found or invalid" }))
                .with("x-amzn-errortype", "UnauthorizedException"),
        }
    };
    let cloud = Cloud::start(&["portal.sso.eu-west-1.amazonaws.com"], Box::new(portal))?;
    let config = "[default]\nsso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\n\
                  sso_account_id = 123456789012\nsso_role_name = sealer\nregion = eu-west-1\n";
    let with_login = |token: &str| -> Result<Tool> {
        let tool = program(&scene, seal(), None)?.env("AWS_ENDPOINT_URL_KMS", &account.server.address);
        let tool = cloud
            .environment()
            .into_iter()
            .fold(tool, |tool, (name, value)| tool.env(name, value));
        let cache = tool.home().join(".aws/sso/cache");
        std::fs::create_dir_all(&cache)?;
        std::fs::write(tool.home().join(".aws/config"), config)?;
        let login = json!({
            "accessToken": token, "expiresAt": "2099-01-01T00:00:00Z",
            "region": "eu-west-1", "startUrl": "https://example.awsapps.com/start",
        });
        std::fs::write(cache.join(LOGIN), login.to_string())?;
        Ok(tool)
    };
    let opened = with_login(canary.text())?.run(["decrypt", "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}: {:?}", ended(&opened), cloud.seen());
    let expired = with_login("over")?.run(["decrypt", "-vv", "sealed.json"])?;
    refused(
        &expired,
        128,
        "aws sso login --profile default",
        "a login that is over",
    )?;
    let half = with_login(canary.text())?;
    let config = config.replace("sso_account_id = 123456789012\n", "");
    std::fs::write(half.home().join(".aws/config"), config)?;
    let half = half.run(["decrypt", "sealed.json"])?;
    refused(
        &half,
        128,
        "the AWS profile default, or the file",
        "a profile without its account",
    )?;
    Ok(())
}
