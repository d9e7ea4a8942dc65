//! Helm renders a chart with a sealed values file.
//!
//! The plugin helm-secrets is not in any package registry, so it does not run here. What it does with sops does: the
//! search for sealed files, the command lines, their order, and that both outputs of sops are one. They stand in its files
//! `scripts/lib/backends/sops.sh` and `scripts/commands/{helm,decrypt}.sh`, as of version 4. Helm itself is real, and
//! it calls a getter plugin as it calls that of helm-secrets for `secrets://` addresses.

use support::canary::Canary;
use support::peers;
use support::run::Output;

use super::{PAIRS, Sops, Stage};
use crate::scene::{EVERYTHING, Result, ended};

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";

const TEMPLATE: &str = "apiVersion: v1
kind: Secret
metadata:
    name: {{ .Release.Name }}
stringData: {{- range $key, $value := .Values.database }}
    {{ $key }}: {{ $value | toString | quote }}
{{- end }}
";

/// The values, in the layout of sops so that either program gives back the same bytes.
const VALUES: &str = "# of the shop
database:
    # rotate in spring
    password: CANARY
    port: 5432
    code: \"0123\"
    tls: true
    key: |
        one
        two
replicas: 2
";

/// Renders the chart with the sealed file `$1`, as `helm secrets template` does.
const TEMPLATED: &str = r#"set -eu
grep -q 'mac.*,type:str]' "$1"
trap 'rm -f "$1.dec"' EXIT
sops --decrypt --input-type yaml --output-type yaml --output "$1.dec" "$1" 2>&1
"$HELM_BIN" template shop ./chart --values "$1.dec"
"#;

/// The plugin, in the form that Helm 4 shares with Helm 3.
const PLUGIN: &str =
    "name: secrets\nversion: 0.1.0\ndownloaders:\n    - command: get\n      protocols: [secrets]\n";

/// Helm calls it with three files of certificates and the address.
const GET: &str = "#!/bin/sh
exec sops --decrypt --input-type yaml --output-type yaml \"${4#secrets://}\"
";

const ENCRYPT: &str = "sops --encrypt --input-type yaml --output-type yaml --in-place values.yaml 2>&1";

/// A chart, its values still in clear, and what is in them.
struct Shop {
    stage: Stage,
    canary: Canary,
    values: String,
}

impl Shop {
    fn new(seed: u64) -> Result<Self> {
        let stage = Stage::new(EVERYTHING)?;
        let canary = Canary::new(seed);
        let values = VALUES.replace("CANARY", canary.text());
        stage.scene.write("chart/Chart.yaml", CHART)?;
        stage.scene.write("chart/templates/secret.yaml", TEMPLATE)?;
        stage.scene.write("plugins/secrets/plugin.yaml", PLUGIN)?;
        stage.script("plugins/secrets/get", GET)?;
        stage.scene.write("values.yaml", &values)?;
        Ok(Self {
            stage,
            canary,
            values,
        })
    }

    /// Runs a line of the shell.
    fn shell(&self, line: &str, sops: Sops) -> Result<Output> {
        let tool = self.stage.tool("/bin/sh", sops)?;
        let tool = tool.env("HELM_BIN", peers::helm()?);
        let tool = tool.env("HELM_PLUGINS", self.stage.scene.path("plugins"));
        Ok(tool.run(["-c", line, "sh", "values.yaml"])?)
    }

    /// Runs a line of the shell, which must succeed, and returns what it printed.
    fn must(&self, line: &str, sops: Sops) -> Result<String> {
        let output = self.shell(line, sops)?;
        if output.success() {
            return Ok(output.out());
        }
        Err(format!("{line}: {sops:?}: {}: {}", ended(&output), output.out()).into())
    }

    /// What Helm makes of the values in clear.
    fn expected(&self) -> Result<String> {
        let rendered = self.must(r#""$HELM_BIN" template shop ./chart --values "$1""#, Sops::Real)?;
        assert!(rendered.contains(self.canary.text()), "{rendered}");
        Ok(rendered)
    }

    /// Renders with `line`, which must give what the plaintext gives; then, once the file was tampered with, nothing.
    fn renders(&self, line: &str, sealer: Sops, opener: Sops) -> Result {
        self.stage.scene.write("values.yaml", &self.values)?;
        let expected = self.expected()?;
        assert_eq!(self.must(ENCRYPT, sealer)?, "", "{sealer:?}");
        let sealed = self.stage.scene.read("values.yaml")?;
        assert_eq!(self.canary.find(&sealed), None, "{sealer:?}");
        assert_eq!(self.must(line, opener)?, expected, "{sealer:?} {opener:?}");

        self.stage.tamper("values.yaml")?;
        let output = self.shell(line, opener)?;
        assert!(!output.success() && !output.out().contains("kind:"), "{output:?}");
        assert_eq!(self.canary.find(&output.stdout), None);
        assert_eq!(self.canary.find(&output.stderr), None);
        Ok(())
    }
}

#[test]
fn helm_renders_a_values_file_that_helm_secrets_opened() -> Result {
    let shop = Shop::new(301)?;
    for (sealer, opener) in PAIRS {
        shop.renders(TEMPLATED, sealer, opener)?;
        assert!(!shop.stage.scene.path("values.yaml.dec").exists());
    }
    Ok(())
}

#[test]
fn helm_renders_a_values_file_that_its_plugin_opened() -> Result {
    let shop = Shop::new(302)?;
    let line = r#""$HELM_BIN" template shop ./chart --values "secrets://$1""#;
    PAIRS
        .iter()
        .try_for_each(|(sealer, opener)| shop.renders(line, *sealer, *opener))
}

/// The other ways in which helm-secrets calls sops. Each gives what was sealed, and not a word besides. (A value for
/// `--set-string` goes through the shell, which takes the last line feed away and here gives it back.)
#[test]
fn every_call_of_helm_secrets_is_answered() -> Result {
    let shop = Shop::new(303)?;
    let token = format!("{{\n\t\"token\": \"{}\"\n}}\n", shop.canary.text());
    let seal = format!(
        "set -e
        {ENCRYPT} && grep -xq 'sops:\\s*' values.yaml
        sops --encrypt --input-type json --output-type json --output token.enc token.json 2>&1
        sops --encrypt --input-type binary --output-type binary key 2>&1 > key.enc && grep -q '\"data\": \"ENC' key.enc"
    );
    let opened = [
        // helm secrets decrypt
        (
            "sops --decrypt --input-type yaml --output-type yaml values.yaml 2>&1",
            shop.values.as_str(),
        ),
        // --set-file
        (
            "sops --decrypt --input-type binary --output-type binary --output key.dec key.enc 2>&1 && cat key.dec",
            "\u{1}k\n",
        ),
        // --set-string with a sealed value
        (
            r#"printf %s "$(cat token.enc)" | sops --decrypt --input-type json --output-type json /dev/stdin >out 2>&1 && echo "$(cat out)""#,
            &token,
        ),
        // helm secrets edit
        (
            "EDITOR='sed -i s/5432/6543/' sops --input-type yaml --output-type yaml values.yaml 2>&1
            sops --decrypt --input-type yaml --output-type yaml values.yaml 2>&1 | grep -c 6543",
            "1\n",
        ),
        // helm secrets decrypt -i
        (
            "sops --decrypt --input-type yaml --output-type yaml --in-place values.yaml 2>&1 && grep -c 6543 values.yaml",
            "1\n",
        ),
    ];
    for (sealer, opener) in PAIRS {
        shop.stage.scene.write("values.yaml", &shop.values)?;
        shop.stage.scene.write("token.json", &token)?;
        shop.stage.scene.write("key", b"\x01k\n")?;
        assert_eq!(shop.must(&seal, sealer)?, "", "{sealer:?}");
        for (line, expected) in opened {
            assert_eq!(
                shop.must(line, opener)?,
                expected,
                "{line}: {sealer:?} {opener:?}"
            );
        }
    }
    Ok(())
}
