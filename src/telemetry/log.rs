//! Where the log goes: standard error, one line per event.
//!
//! `YMP_LOG` says what is logged, as in `info,ymp::node=debug` (default `info`); `YMP_LOG_FORMAT=json` writes objects for
//! machines instead of lines for people, which are coloured only on a terminal.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::{EnvFilter, fmt};

/// Why the log was not started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// `YMP_LOG` is no filter.
    #[error("YMP_LOG is no log filter: {0}; write a level such as `info`, or `info,ymp::node=debug`")]
    Filter(String),
    /// `YMP_LOG_FORMAT` is neither of its words.
    #[error("YMP_LOG_FORMAT does not know `{0}`; write `text` or `json`")]
    Format(String),
    /// There is a log already.
    #[error("the log was started before")]
    Started,
}

/// Starts the log of this process as the environment says. Once.
///
/// # Errors
/// `LogError` names the variable at fault.
pub fn start() -> Result<(), LogError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let filter = filter(set("YMP_LOG").as_deref())?;
    let json = is_json(set("YMP_LOG_FORMAT").as_deref())?;
    let log = fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    let started = if json { log.json().flatten_event(true).try_init() } else { log.compact().try_init() };
    started.map_err(|_| LogError::Started)
}

fn filter(text: Option<&str>) -> Result<EnvFilter, LogError> {
    let filter =
        EnvFilter::try_new(text.unwrap_or("info")).map_err(|error| LogError::Filter(error.to_string()))?;
    // Below these levels the libraries tell what they send and receive: headers with tokens must never be in a log.
    Ok(["h2=info", "hyper=info", "hyper_util=info", "rustls=info"]
        .iter()
        .filter_map(|quiet| quiet.parse().ok())
        .fold(filter, EnvFilter::add_directive))
}

fn is_json(text: Option<&str>) -> Result<bool, LogError> {
    match text {
        None | Some("text") => Ok(false),
        Some("json") => Ok(true),
        Some(other) => Err(LogError::Format(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_info_unless_said_otherwise() {
        assert!(filter(None).unwrap().to_string().split(',').any(|part| part == "info"));
        assert!(filter(Some("ymp::node=debug")).unwrap().to_string().contains("ymp::node=debug"));
        assert!(matches!(filter(Some("ymp=loud")), Err(LogError::Filter(_))));
    }

    #[test]
    fn libraries_that_see_headers_stay_quiet_whatever_is_asked() {
        for asked in ["trace", "h2=trace", "info,hyper=debug"] {
            let text = filter(Some(asked)).unwrap().to_string();
            assert!(text.contains("h2=info") && text.contains("hyper=info"), "{asked}: {text}");
            assert!(!text.contains("h2=trace") && !text.contains("hyper=debug"), "{asked}: {text}");
        }
    }

    #[test]
    fn the_format_is_text_or_json() {
        assert_eq!(
            (is_json(None), is_json(Some("text")), is_json(Some("json"))),
            (Ok(false), Ok(false), Ok(true))
        );
        assert_eq!(is_json(Some("xml")), Err(LogError::Format("xml".into())));
    }
}
