//! `reseal`: every item that is not on the newest certificate, and not one byte else.

use super::{CANARY, Kube, shows_nothing};
use crate::scene::{Result, ended};

const RESEAL: [&str; 7] = [
    "reseal", "--key", "old.key", "--key", "new.key", "--cert", "new.crt",
];

/// The text with every item cut out: they are the only words of that length.
fn frame(text: &str) -> String {
    let is_sign = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '+' | '/' | '=');
    let mut frame = String::new();
    let mut word = String::new();
    for sign in text.chars().chain(['\n']) {
        if is_sign(sign) {
            word.push(sign);
            continue;
        }
        frame.push_str(if word.len() > 60 { "ITEM" } else { &word });
        word.clear();
        frame.push(sign);
    }
    frame
}

/// Two items of the scene's `sealed.yaml`.
fn items(kube: &Kube) -> Result<[String; 2]> {
    let sealed = kube.text("sealed.yaml")?;
    let item = |name: &str| {
        let line = sealed.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(str::to_owned).ok_or("no item")
    };
    Ok([item("password: ")?, item("user: ")?])
}

const HEAD: &str =
    "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {namespace: prod, name: app}\n";

/// Every way to write items that YAML and JSON have.
fn spellings(kube: &Kube) -> Result<Vec<(&'static str, String)>> {
    let [one, two] = items(kube)?;
    let lines = |item: &str| {
        let bytes: Vec<char> = item.chars().collect();
        let lines = bytes.chunks(76).map(|line| line.iter().collect::<String>());
        lines.collect::<Vec<_>>()
    };
    let block = lines(&one).join("\n      ");
    let folded = lines(&two).join("\n\n      ");
    let comments = "# above\nspec: # behind\n  # between\n  encryptedData:\n";
    Ok(vec![
        (
            "comments.yaml",
            format!(
                "# head\n\n{HEAD}{comments}    # first\n    user: {two} # second\n\n    password: \"{one}\"\n  # end\n# tail"
            ),
        ),
        (
            "quotes.yaml",
            format!(
                "{HEAD}spec:\n    encryptedData:\n        'password': '{one}'\n        \"user\": \"{two}\"\n    template:\n        type: Opaque\n"
            ),
        ),
        (
            "flow.yaml",
            format!("{HEAD}spec: {{encryptedData: {{password: {one}, user: '{two}'}}, template: {{}}}}\n"),
        ),
        (
            "block.yaml",
            format!(
                "{HEAD}spec:\n  encryptedData:\n    password: |\n      {block}\n    user: >-\n      {folded}\n  template: {{}}\n"
            ),
        ),
        (
            "crlf.yaml",
            format!("{HEAD}spec:\n  encryptedData:\n    password: {one}\n    user: {two}\n")
                .replace('\n', "\r\n"),
        ),
        (
            "documents.yaml",
            format!(
                "---\nkind: ConfigMap\ndata: {{x: y}}\n---\n# sealed\n{HEAD}spec: {{encryptedData: {{password: {one}}}}}\n...\n---\nkind: List\nitems:\n- kind: Service\n- {}  spec:\n    encryptedData:\n      user: {two}\n",
                HEAD.replace('\n', "\n  ").trim_end_matches(' ')
            ),
        ),
        (
            "compact.json",
            format!(
                "{{\"kind\":\"SealedSecret\",\"apiVersion\":\"bitnami.com/v1alpha1\",\"metadata\":{{\"name\":\"app\",\"namespace\":\"prod\"}},\"spec\":{{\"encryptedData\":{{\"password\":\"{one}\",\"user\":\"{two}\"}}}}}}"
            ),
        ),
        (
            "escaped.json",
            format!(
                "{{\n\t\"kind\": \"SealedSecret\", \"apiVersion\": \"bitnami.com/v1alpha1\",\n\t\"metadata\": {{\"name\": \"app\", \"namespace\": \"prod\"}},\n\t\"spec\": {{\"encryptedData\": {{\"password\": \"{}\"}}}}}}\n\n",
                one.replace('/', "\\/")
            ),
        ),
    ])
}

#[test]
fn only_the_items_change_however_they_are_written() -> Result {
    let kube = Kube::new()?;
    let spellings = spellings(&kube)?;
    for (name, text) in &spellings {
        kube.scene.write(name, text)?;
    }
    let names: Vec<&str> = spellings.iter().map(|(name, _)| *name).collect();
    let before = kube.files()?;
    let plan = kube.run(&[&RESEAL[..], &["--plan"], &names].concat())?;
    assert!(plan.success(), "{}", ended(&plan));
    assert!(
        plan.out().contains("15 items in 8 files to reseal"),
        "{}",
        plan.out()
    );
    assert_eq!(kube.files()?, before, "a plan writes");
    let done = kube.run(&[&RESEAL[..], &names].concat())?;
    assert!(done.success(), "{}", ended(&done));
    shows_nothing(&done)?;
    for (name, text) in &spellings {
        let after = kube.text(name)?;
        if *name == "block.yaml" {
            // A block of one line stands where one of many stood.
            let without_blocks = |text: &str| {
                frame(text)
                    .replace("ITEM\n\n      ", "")
                    .replace("ITEM\n      ", "")
            };
            assert!(without_blocks(text).contains("password: |"), "{name}: {text}");
            assert!(without_blocks(&after).contains("template: {}"), "{name}: {after}");
        } else {
            assert_eq!(frame(&after), frame(&text.replace("\\/", "/")), "{name}");
        }
        let opened = kube.opened(name, "new.key")?;
        assert!(opened.contains(CANARY), "{name}: {opened}");
    }
    let after = kube.files()?;
    let again = kube.run(&[&RESEAL[..], &names].concat())?;
    assert!(again.success(), "{}", ended(&again));
    assert!(again.err().contains("nothing to reseal"), "{}", ended(&again));
    assert_eq!(
        kube.files()?,
        after,
        "what is on the newest certificate is sealed again"
    );
    Ok(())
}

/// Of an object with items of two keys only those of the old one are sealed again, and the hint says so.
#[test]
fn what_is_on_the_newest_certificate_stays_as_it_is() -> Result {
    let kube = Kube::new()?;
    kube.scene.write("value", CANARY)?;
    kube.must(&[
        "set",
        "user",
        "--value-file",
        "value",
        "--cert",
        "new.crt",
        "sealed.yaml",
    ])?;
    let mixed = kube.text("sealed.yaml")?;
    assert!(
        mixed
            .lines()
            .any(|line| line.contains("sealed-with") && line.contains(';')),
        "{mixed}"
    );
    let line = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.contains(name));
        line.map(str::to_owned).unwrap_or_default()
    };
    let said = kube.must(&[&RESEAL[..], &["sealed.yaml"]].concat())?;
    assert!(said.contains("1 item in 1 file resealed"), "{said}");
    let after = kube.text("sealed.yaml")?;
    assert_eq!(line(&mixed, " user:"), line(&after, " user:"));
    assert_ne!(line(&mixed, " password:"), line(&after, " password:"));
    assert!(!line(&after, "sealed-with").contains(';'), "{after}");
    assert!(kube.opened("sealed.yaml", "new.key")?.contains(CANARY));
    // Without the new key, an object whose hint names the newest certificate is believed, and that is told.
    let only_old = kube.run(&["reseal", "--key", "old.key", "--cert", "new.crt", "sealed.yaml"])?;
    assert!(
        only_old.success() && only_old.err().contains("2 items were not opened"),
        "{}",
        ended(&only_old)
    );
    assert_eq!(kube.text("sealed.yaml")?, after);
    Ok(())
}

#[test]
fn hints_are_written_where_that_is_asked_for() -> Result {
    let kube = Kube::new()?;
    let plain = kube.must(&["seal", "--cert", "old.crt", "--no-hint", "secret.yaml"])?;
    assert!(!plain.contains("sealed-with"), "{plain}");
    kube.scene.write("plain.yaml", &plain)?;
    kube.must(&[&RESEAL[..], &["plain.yaml"]].concat())?;
    assert!(!kube.text("plain.yaml")?.contains("sealed-with"));
    kube.must(&[&RESEAL[..], &["--hint", "plain.yaml"]].concat())?;
    let hinted = kube.text("plain.yaml")?;
    assert!(hinted.contains("sealwright.dev/sealed-with: "), "{hinted}");
    kube.must(&["verify", "--key", "new.key", "plain.yaml"])?;
    Ok(())
}

/// One file with an item that does not open is left alone; the others are done, and the exit code says it.
#[test]
fn a_file_that_does_not_open_is_left_as_it_is() -> Result {
    let kube = Kube::new()?;
    let sealed = kube.text("sealed.yaml")?;
    kube.scene.write("tree/good.yaml", &sealed)?;
    kube.scene.write(
        "tree/bad.yaml",
        sealed.replace("namespace: prod", "namespace: dev"),
    )?;
    kube.scene.write("tree/notes.yaml", "kind: ConfigMap\n")?;
    let before = kube.text("tree/bad.yaml")?;
    let output = kube.run(&[&RESEAL[..], &["tree"]].concat())?;
    assert_eq!(output.code, Some(128), "{}", ended(&output));
    assert!(
        output
            .err()
            .contains("it was sealed for the name \"app\" in the namespace \"prod\""),
        "{}",
        ended(&output)
    );
    assert_eq!(kube.text("tree/bad.yaml")?, before);
    assert!(kube.opened("tree/good.yaml", "new.key")?.contains(CANARY));
    shows_nothing(&output)
}
