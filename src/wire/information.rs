//! The host information: how to connect to a host, and what it runs (`ymp`, "Host information").

use serde_json::{Value, json};

use super::path::Paths;

/// Versions of YMP and of Amorphos, its second name, that we write.
const YMP_VERSION: &str = "0.0.0";
/// The version of https-token that the published texts carry.
const HTTPS_TOKEN_VERSION: &str = "0.0.0";

/// A protocol and its services, as the operator publishes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// As written.
    pub protocol: String,
    /// Its version.
    pub version: String,
    /// As written.
    pub services: Vec<String>,
}

/// Our document. Every protocol entry carries `parameters`: old implementations reject a document where one lacks it.
#[must_use]
pub fn document(paths: &Paths, published: &[Published]) -> Vec<u8> {
    let protocol = |entry: &Published| json!({"name": entry.protocol, "version": entry.version, "services": entry.services, "parameters": {}});
    let protocols: Vec<Value> = published.iter().map(protocol).collect();
    let parameters = json!({
        "request-path": paths.request.as_str(),
        "grant-path": paths.grant.as_str(),
        "refresh-path": paths.refresh.as_str(),
        "packet-path": paths.packet.as_str(),
    });
    json!({
        "ymp-version": YMP_VERSION,
        "amorphos-version": YMP_VERSION,
        "connection-protocols": [{"name": "https-token", "version": HTTPS_TOKEN_VERSION, "parameters": parameters}],
        "message-protocols": protocols,
        "service-protocols": protocols,
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::path::UrlPath;

    #[test]
    fn the_document_carries_the_paths_the_services_and_parameters_everywhere() {
        let path = |text: &str| UrlPath::parse(text).unwrap();
        let paths = Paths { request: path("/r"), grant: path("/g"), refresh: path("/f"), packet: path("/p") };
        let published = [Published {
            protocol: "example".into(),
            version: "1.0.0".into(),
            services: vec!["form".into()],
        }];
        let read: Value = serde_json::from_slice(&document(&paths, &published)).unwrap();
        assert_eq!(read["connection-protocols"][0]["parameters"]["refresh-path"], "/f");
        assert_eq!(read["message-protocols"][0]["services"][0], "form");
        assert_eq!(read["service-protocols"][0]["parameters"], json!({}));
        assert_eq!(read["ymp-version"], read["amorphos-version"]);
    }
}
