//! `ymp check`: every problem of a configuration, before a node runs on it.

use serde_json::{Value, json};

use super::{
    output::{CliError, Out, Outcome},
    rooms,
    settings::ConfigFile,
};
use crate::config::finding::{Finding, Findings, Place};

/// Read the configuration and its certificates as `serve` would, and print every problem
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  ymp check --config /etc/ymp/ymp.toml\n\n\
    Each line is FILE:LINE: KEY: what is wrong; what would be right. Exit code 1 if there is any problem; \
    warnings alone are none.")]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        out.verdict();
        let (findings, host) = match self.config.load() {
            Ok((config, mut warnings)) => {
                let certificates = rooms::certificates(&config);
                warnings.extend(certificates.warnings);
                (Findings { problems: certificates.problems, warnings }, Some(config.node.host))
            }
            Err(error) => (error.0, None),
        };
        let good = findings.problems.is_empty();
        if self.json {
            out.line(in_json(&findings, good))?;
        } else {
            findings.problems.iter().try_for_each(|problem| out.line(problem))?;
            findings.warnings.iter().try_for_each(|warning| out.line(warning_line(warning)))?;
            let file = self.config.name().display();
            match host {
                Some(host) if good => out.line(format!("{file}: good, for host {host}"))?,
                _ => out.line(format!("{file}: not usable, {} to mend", findings.problems.len()))?,
            }
        }
        if good { Ok(()) } else { Err(CliError::Said) }
    }
}

/// A warning is told from a problem by one word after its place.
fn warning_line(warning: &Finding) -> String {
    let line = warning.to_string();
    let place = warning.place.to_string();
    line.strip_prefix(&place).map_or(line.clone(), |rest| format!("{place}: warning{rest}"))
}

fn in_json(findings: &Findings, good: bool) -> Value {
    let all = |list: &[Finding]| list.iter().map(finding).collect::<Vec<_>>();
    json!({"ok": good, "problems": all(&findings.problems), "warnings": all(&findings.warnings)})
}

fn finding(finding: &Finding) -> Value {
    let (file, line, variable) = match &finding.place {
        Place::File { path, line } => (Some(path.display().to_string()), *line, None),
        Place::Variable(name) => (None, None, Some(name)),
    };
    json!({
        "file": file, "line": line, "variable": variable,
        "key": finding.key, "what": finding.what, "mend": finding.mend,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_told_from_a_problem() {
        let place = Place::File { path: "ymp.toml".into(), line: Some(3) };
        let warning = Finding { place, key: "a.b".into(), what: "is odd".into(), mend: "mend it".into() };
        assert_eq!(warning.to_string(), "ymp.toml:3: a.b: is odd; mend it");
        assert_eq!(warning_line(&warning), "ymp.toml:3: warning: a.b: is odd; mend it");
        assert_eq!(finding(&warning)["line"], 3);
    }
}
