//! Why a call got no answer, in words that a person can act on.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError};

use super::answer::Secrets;
use crate::wire::{
    answer::{CallError, CallStage},
    host::PeerHost,
};

/// A `CallError`.
pub(super) fn fault(stage: CallStage, detail: String) -> CallError {
    CallError { stage, detail }
}

/// A handshake that failed; `name` is whom we wanted to meet.
pub(super) fn tls(name: &str, error: &io::Error) -> CallError {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let detail = match cause {
        Some(rustls::Error::InvalidCertificate(wrong)) => certificate(name, wrong),
        Some(rustls::Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            format!("what answers there has no certificate for {name}")
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("{name} refuses the TLS handshake: {alert:?}"),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("what answers as {name} speaks no TLS on this port")
        }
        Some(other) => format!("no TLS with {name}: {other}"),
        None => format!("the TLS handshake with {name} broke: {error}"),
    };
    fault(CallStage::Tls, detail)
}

fn certificate(name: &str, wrong: &CertificateError) -> String {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are rare and rustls's own words serve for them"
    )]
    match wrong {
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            format!("the certificate that answers for {name} is for no name at all")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().take(5).map(|name| bare(name)).collect();
            format!("the certificate is for {}, not for {name}", names.join(", "))
        }
        CertificateError::NotValidForName => format!("the certificate is not for {name}"),
        CertificateError::UnknownIssuer => {
            format!(
                "the certificate of {name} comes from an authority that is not trusted here (see trust.roots)"
            )
        }
        CertificateError::BadSignature => format!(
            "the certificate of {name} is not signed by the trusted authority that it names (another one of the same name?)"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate of {name} has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {name} is not valid yet, or this machine's clock is wrong")
        }
        CertificateError::Revoked => format!("the certificate of {name} is revoked"),
        other => format!("the certificate of {name} is not valid: {other}"),
    }
}

/// rustls writes `DnsName("a.test")`; people read `a.test`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// An exchange that failed: our own connector's error as it is, anything else with its causes. A peer has a say in those
/// (HTTP/2's GOAWAY carries its words), so they are washed like any of its words.
pub(super) fn exchange(host: &PeerHost, error: &(dyn Error + 'static), secrets: &Secrets<'_>) -> CallError {
    let mut causes: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        // An io::Error shows what it wraps only when asked in this way.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let own = cause.downcast_ref::<CallError>();
        if let Some(own) = own.or_else(|| wrapped.and_then(|inner| inner.downcast_ref())) {
            return own.clone();
        }
        // The outermost says no more than "client error".
        let words = cause.to_string();
        if !cause.is::<hyper_util::client::legacy::Error>() && causes.last() != Some(&words) {
            causes.push(words);
        }
        next = cause.source();
    }
    fault(
        CallStage::Exchange,
        format!("the connection to {host} broke: {}", secrets.washed(&causes.join(": "))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Secrets<'_> = Secrets { bearer: Some("the-bearer-of-this-test"), body: None };

    #[test]
    fn a_peers_parting_words_are_washed() {
        let host = PeerHost::parse("a.test").unwrap();
        let words = format!("gone: the-bearer-of-this-test \u{1b}[1m {}", "x ".repeat(999));
        let error = exchange(&host, &io::Error::other(words), &NOTHING);
        assert!(error.detail.starts_with("the connection to a.test broke: gone: (token) [1m x x"), "{error}");
        assert!(error.detail.len() < 300, "{error}");
    }

    #[test]
    fn our_own_connectors_error_comes_through_as_it_is() {
        let host = PeerHost::parse("a.test").unwrap();
        let own = fault(CallStage::Guard, "busy".to_owned());
        assert_eq!(exchange(&host, &io::Error::other(own.clone()), &NOTHING), own);
    }

    #[test]
    fn certificate_troubles_name_the_peer_and_the_mend() {
        let words = |wrong| tls("a.test", &io::Error::other(rustls::Error::InvalidCertificate(wrong))).detail;
        assert!(words(CertificateError::UnknownIssuer).ends_with("not trusted here (see trust.roots)"));
        assert_eq!(words(CertificateError::Expired), "the certificate of a.test has expired");
        assert!(words(CertificateError::NotValidYet).contains("clock"));
    }
}
