//! Who may say where a connection came from: `peer.proxy-protocol` and `peer.proxies`.

use super::reader::Reader;
use crate::serve::proxy::Network;

/// The proxies, where connections come through them; `None` where they come straight.
pub(super) fn proxies(reader: &Reader<'_>) -> Option<Vec<Network>> {
    let mend = "write an address or a network, as in \"127.0.0.1\" or \"10.0.0.0/8\"";
    let texts = reader.texts("proxies").into_iter();
    let all: Vec<Network> =
        texts.filter_map(|text| reader.parse(text, mend, str::parse).map(|found| found.value)).collect();
    let on = reader.flag("proxy-protocol", false);
    if on && reader.list("proxies").is_empty() {
        let what = "names nobody, and `proxy-protocol` is on: no connection would be taken";
        reader.problem_at("proxies", what, "name the proxies, as in [\"10.0.0.0/8\"]");
    }
    if !on && !all.is_empty() {
        let what = "has no effect while `proxy-protocol` is off";
        reader.warn_at("proxies", what, "set proxy-protocol = true, or remove it");
    }
    on.then_some(all)
}
