//! `verify`: what is wrong without keys, and with them for whom a value was sealed.

use super::{CANARY, Kube, shows_nothing};
use crate::scene::{Result, ended};

#[test]
fn what_is_wrong_is_found_without_keys() -> Result {
    let kube = Kube::new()?;
    let sealed = kube.text("sealed.yaml")?;
    let item = sealed
        .lines()
        .find_map(|line| line.trim().strip_prefix("password: "));
    let item = item.ok_or("no item")?;
    for (change, words, is_error) in [
        (sealed.clone(), "1 SealedSecret in 1 file, 0 problems", false),
        (sealed.replace(item, CANARY), "may stand here in the clear", true),
        // It reads as base64.
        (
            sealed.replace(item, "hunter22"),
            "may stand here in the clear",
            true,
        ),
        (sealed.replace(item, &item[..300]), "cut off", true),
        (
            sealed.replace("    user:", "    password:"),
            "stands more than once",
            true,
        ),
        (
            sealed.replace("    user:", "    us/er:"),
            "a key has letters",
            true,
        ),
        (
            sealed.replace("v1alpha1", "v1"),
            "is not bitnami.com/v1alpha1",
            true,
        ),
        (
            sealed.replace("name: app", "name: App"),
            "a name has lower-case",
            true,
        ),
        (
            sealed.replacen("  namespace: prod\n", "", 1),
            "is missing: the value opens only",
            false,
        ),
        (
            sealed.replace(
                "  annotations:\n",
                "  annotations:\n    sealedsecrets.bitnami.com/cluster-wide: 'True'\n",
            ),
            "only the text \"true\" counts",
            false,
        ),
    ] {
        kube.scene.write("sealed.yaml", &change)?;
        let output = kube.run(&["verify", "sealed.yaml"])?;
        assert_eq!(
            output.code,
            Some(i32::from(is_error)),
            "{words}: {}",
            ended(&output)
        );
        assert!(
            output.err().contains(words) || output.out().contains(words),
            "{words}: {}",
            ended(&output)
        );
        shows_nothing(&output)?;
    }
    Ok(())
}

/// Whatever was renamed, the error says for whom the value was sealed.
#[test]
fn a_renamed_object_says_what_it_was_sealed_for() -> Result {
    let kube = Kube::new()?;
    let strict = kube.text("sealed.yaml")?;
    let wide = |scope| kube.must(&["seal", "--cert", "old.crt", "--scope", scope, "secret.yaml"]);
    let (namespace_wide, cluster_wide) = (wide("namespace-wide")?, wide("cluster-wide")?);
    // The template still says who it was, for somebody changed the object's own head only.
    let renamed = |text: &str, of: &str, by: &str| text.replacen(of, by, 1);
    let without = |text: &str| -> String {
        let mut first = true;
        let keep = |line: &&str| !line.contains("-wide: \"true\"") || !std::mem::replace(&mut first, false);
        text.lines()
            .filter(keep)
            .map(|line| format!("{line}\n"))
            .collect()
    };
    for (text, words) in [
        (
            renamed(&strict, "name: app", "name: shop"),
            "sealed for the name \"app\" in the namespace \"prod\" (strict)",
        ),
        (
            renamed(&strict, "namespace: prod", "namespace: dev"),
            "sealed for the name \"app\" in the namespace \"prod\" (strict)",
        ),
        (
            renamed(&namespace_wide, "namespace: prod", "namespace: dev"),
            "sealed for the namespace \"prod\" (namespace-wide)",
        ),
        (
            without(&namespace_wide),
            "the object lacks the annotation sealedsecrets.bitnami.com/namespace-wide",
        ),
        (
            without(&cluster_wide),
            "the object lacks the annotation sealedsecrets.bitnami.com/cluster-wide",
        ),
        (
            renamed(
                &strict,
                "annotations:\n",
                "annotations:\n    sealedsecrets.bitnami.com/cluster-wide: \"true\"\n",
            ),
            "the object says cluster-wide, which the value was not sealed for",
        ),
    ] {
        kube.scene.write("moved.yaml", &text)?;
        for command in [
            ["verify", "--key", "old.key", "moved.yaml"],
            ["unseal", "--key", "old.key", "moved.yaml"],
        ] {
            let output = kube.run(&command)?;
            let code = if command[0] == "verify" { 1 } else { 128 };
            assert_eq!(output.code, Some(code), "{text}{}", ended(&output));
            assert!(output.err().contains(words), "{words}: {}", ended(&output));
            shows_nothing(&output)?;
        }
    }
    Ok(())
}

/// A tree: other manifests are passed over, and what another file or a folder is called helps to say for whom.
#[test]
fn a_tree_is_looked_at_with_and_without_keys() -> Result {
    let kube = Kube::new()?;
    let sealed = kube.text("sealed.yaml")?;
    kube.scene.write("tree/prod/good.yaml", &sealed)?;
    kube.scene
        .write("tree/list.yml", format!("kind: ConfigMap\n---\n{sealed}"))?;
    kube.scene.write("tree/other.yaml", "kind: ConfigMap\n")?;
    let output = kube.run(&["verify", "--json", "tree"])?;
    let last: serde_json::Value = serde_json::from_str(output.out().lines().last().unwrap_or_default())?;
    assert_eq!(last["objects"], 2, "{}", ended(&output));
    assert_eq!(
        (output.code, &last["problems"]),
        (Some(0), &0.into()),
        "{}",
        ended(&output)
    );
    // The folder `prod` is the namespace that nothing else names here.
    kube.scene.write(
        "tree/prod/moved.yaml",
        sealed.replace("namespace: prod", "namespace: dev"),
    )?;
    let output = kube.run(&["verify", "--key", "old.key", "tree"])?;
    assert_eq!(output.code, Some(1), "{}", ended(&output));
    assert!(
        output.err().contains("in the namespace \"prod\""),
        "{}",
        ended(&output)
    );
    shows_nothing(&output)
}
