//! Why a call got no answer, in words that a person can act on.

use std::{error::Error, io, net::SocketAddr};

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use super::answer::Secrets;
use crate::wire::{
    answer::{CallError, CallStage},
    host::PeerHost,
};

/// A `CallError`.
pub(super) fn fault(stage: CallStage, detail: String) -> CallError {
    CallError { stage, detail }
}

/// An address that took no connection.
pub(super) fn tcp(target: SocketAddr, error: &io::Error) -> CallError {
    fault(CallStage::Connect, format!("no connection to {target}: {error}"))
}

/// What to do about an address that takes no connection.
pub(super) fn tcp_mend(error: &io::Error) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are rare, and one mend serves for them")]
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there: is the peer's node running, and is this the port of its peer.listen or \
             of what is forwarded to it?"
        }
        io::ErrorKind::TimedOut => {
            "the address is wrong, its machine is down, or a firewall on the way swallows the call"
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "this machine has no road there: look at its network (has it IPv6, where this is such an address?)"
        }
        _ => "look at this machine's network, and at the firewalls on the way",
    }
}

fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// A handshake that failed; `name` is whom we wanted to meet.
pub(super) fn tls(name: &str, error: &io::Error) -> CallError {
    let detail = match cause(error) {
        Some(rustls::Error::InvalidCertificate(wrong)) => certificate(name, wrong),
        Some(rustls::Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            format!("what answers there has no certificate for {name}")
        }
        Some(
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
            | rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ) => format!("what answers as {name} speaks neither TLS 1.2 nor TLS 1.3"),
        Some(
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
            | rustls::Error::NoApplicationProtocol,
        ) => format!("what answers as {name} speaks neither HTTP/2 nor HTTP/1.1"),
        Some(rustls::Error::AlertReceived(alert)) => format!("{name} refuses the TLS handshake: {alert:?}"),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("what answers as {name} speaks no TLS on this port")
        }
        Some(other) => format!("no TLS with {name}: {other}"),
        None => format!("the TLS handshake with {name} broke: {error}"),
    };
    fault(CallStage::Tls, detail)
}

/// What to do about a handshake that failed.
pub(super) fn tls_mend(error: &io::Error) -> &'static str {
    match cause(error) {
        Some(rustls::Error::InvalidCertificate(wrong)) => certificate_mend(wrong),
        Some(rustls::Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            "does the address belong to that host? Whoever runs what answers there must serve the name, with a \
             certificate for it"
        }
        Some(
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
            | rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ) => "the peer, or the proxy before it, must offer TLS 1.2 or 1.3",
        Some(
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
            | rustls::Error::NoApplicationProtocol,
        ) => "is it a YMP host that answers on this port, and not a server for something else?",
        Some(rustls::Error::InvalidMessage(_)) => {
            "is it the right port? It must be the peer's peer.listen or what is forwarded to it, never its \
             local.listen or peer.plain-listen"
        }
        Some(_) => "the peer's log says more of the handshake; a proxy before it may be at fault",
        None => {
            "something on the way or there closes the connection: a firewall, a proxy, a wrong forwarding"
        }
    }
}

fn certificate_mend(wrong: &CertificateError) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are rare, and one mend serves for them")]
    match wrong {
        CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName => {
            "does the address belong to that host, and is this the name that it has as `host`? Then it needs a \
             certificate for the name"
        }
        CertificateError::UnknownIssuer => {
            "put the file of its authority (ca.pem) under trust.roots; where it is a public authority, \
             trust.web-pki must be true, and the peer must send its whole chain"
        }
        CertificateError::BadSignature => "take the file of its authority (ca.pem) anew into trust.roots",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the peer's operator must renew it, and send the node a SIGHUP; or this machine's clock is ahead \
             (`date -u`)"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "look at this machine's clock (`date -u`), then at the certificate"
        }
        _ => "the peer needs another certificate",
    }
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

/// Whether the peer says that it took nothing of a request: RFC 9113, 8.7. What was never written hyper mostly sends again by itself.
pub(super) fn is_untaken(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(told) = cause.downcast_ref::<h2::Error>().filter(|told| told.is_remote()) {
            return match told.reason() {
                Some(h2::Reason::REFUSED_STREAM) => told.is_reset(),
                // Of the streams that were opened, those after the last that it names.
                Some(h2::Reason::NO_ERROR) => told.is_go_away(),
                Some(_) | None => false,
            };
        }
        next = cause.source();
    }
    false
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

    #[test]
    fn what_speaks_an_old_tls_is_told_from_what_speaks_none() {
        for error in [
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
            rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ] {
            let error = io::Error::other(error);
            assert!(tls("a.test", &error).detail.ends_with("speaks neither TLS 1.2 nor TLS 1.3"));
            assert!(tls_mend(&error).ends_with("must offer TLS 1.2 or 1.3"));
        }
        let none =
            io::Error::other(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        assert!(tls_mend(&none).starts_with("is it the right port?"));
    }
}
