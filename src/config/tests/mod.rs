//! The rules of the configuration, one by one.

use std::path::Path;

use super::{Config, ConfigError, finding::Finding};

mod again;
mod defaults;
mod environment;
mod rules;

const APP: &str = "[[apps]]\nname = \"a\"\ntoken = \"0123456789abcdef\"\nadmin = true\n";

pub(super) fn read_with(text: &str, env: &[(&str, &str)]) -> Result<(Config, Vec<Finding>), ConfigError> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::read(Path::new("/etc/ymp/ymp.toml"), text, env)
}

/// A configuration of `host`, this, and an app.
pub(super) fn with(text: &str) -> Result<(Config, Vec<Finding>), ConfigError> {
    read_with(&format!("host = \"alpha.test\"\n{text}\n{APP}"), &[])
}

/// The problems as `line key: what; mend`.
fn problems(result: Result<(Config, Vec<Finding>), ConfigError>) -> Vec<String> {
    result.map(|_| ()).unwrap_err().0.problems.iter().map(ToString::to_string).collect()
}

fn one_problem(text: &str) -> String {
    let all = problems(with(text));
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all[0].strip_prefix("/etc/ymp/ymp.toml:").unwrap().to_owned()
}

fn one_warning(text: &str) -> String {
    let (_, all) = with(text).unwrap();
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all[0].to_string()
}
