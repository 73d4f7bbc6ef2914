//! Where the log goes: standard error, one line per event.
//!
//! The filter says what is logged, as in `info,ymp::node=debug`, and can be changed while the process runs. The format is
//! lines for people, which are coloured only on a terminal, or objects for machines.

use std::{
    fmt,
    io::{IsTerminal as _, stderr},
    str::FromStr,
};

use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, fmt::layer, layer::SubscriberExt as _, registry, reload,
    util::SubscriberInitExt as _,
};

/// How the log is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What is logged. Default: `info`.
    pub filter: Filter,
    /// For whom. Default: people.
    pub format: Format,
}

/// What is logged: a level, or levels by target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

/// For whom the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines, for people.
    #[default]
    Text,
    /// Objects, for machines.
    Json,
}

/// Why a text says nothing about the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It is no filter.
    #[error("it is no log filter: {0}")]
    Filter(String),
    /// It is no format.
    #[error("there is no such format")]
    Format,
    /// The process has a log already.
    #[error("the log was started before")]
    Started,
}

impl Default for Filter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for Filter {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        EnvFilter::try_new(text).map_err(|error| LogError::Filter(error.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

impl Filter {
    fn layer(&self) -> EnvFilter {
        // It was read before; were it not, the default would hold.
        let filter = EnvFilter::try_new(&self.0).unwrap_or_else(|_| EnvFilter::new("info"));
        // Below these levels the libraries tell what they send and receive: headers with tokens must never be in a log.
        ["h2=info", "hyper=info", "hyper_util=info", "rustls=info"]
            .iter()
            .filter_map(|quiet| quiet.parse().ok())
            .fold(filter, EnvFilter::add_directive)
    }
}

impl FromStr for Format {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(LogError::Format),
        }
    }
}

/// The log of this process. Cheap to clone.
#[derive(Clone)]
pub struct Log(reload::Handle<EnvFilter, Registry>);

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Log").finish_non_exhaustive()
    }
}

impl Log {
    /// Starts the log of this process. Once.
    ///
    /// # Errors
    /// `Started`.
    pub fn start(settings: &Settings) -> Result<Self, LogError> {
        let (filter, handle) = reload::Layer::new(settings.filter.layer());
        let lines = layer().with_writer(stderr).with_ansi(stderr().is_terminal());
        let lines = match settings.format {
            Format::Text => lines.compact().boxed(),
            Format::Json => lines.json().flatten_event(true).boxed(),
        };
        registry().with(filter).with(lines).try_init().map_err(|_| LogError::Started)?;
        Ok(Self(handle))
    }

    /// Another filter holds from here on.
    pub fn renew(&self, filter: &Filter) {
        // It fails only where the log is gone, and then there is nobody to tell.
        let _ = self.0.reload(filter.layer());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> String {
        text.parse::<Filter>().unwrap().layer().to_string()
    }

    #[test]
    fn the_filter_is_info_unless_said_otherwise() {
        assert!(Filter::default().layer().to_string().split(',').any(|part| part == "info"));
        assert!(layer("ymp::node=debug").contains("ymp::node=debug"));
        assert!(matches!("ymp=loud".parse::<Filter>(), Err(LogError::Filter(_))));
    }

    #[test]
    fn libraries_that_see_headers_stay_quiet_whatever_is_asked() {
        for asked in ["trace", "h2=trace", "info,hyper=debug"] {
            let text = layer(asked);
            assert!(text.contains("h2=info") && text.contains("hyper=info"), "{asked}: {text}");
            assert!(!text.contains("h2=trace") && !text.contains("hyper=debug"), "{asked}: {text}");
        }
    }

    #[test]
    fn the_format_is_text_or_json() {
        assert_eq!(("text".parse(), "json".parse()), (Ok(Format::Text), Ok(Format::Json)));
        assert_eq!("xml".parse::<Format>(), Err(LogError::Format));
    }
}
