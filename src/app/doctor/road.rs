//! The road: where the name leads, whether something answers there, and whether it is who it should be.

use super::{
    Way,
    step::Step,
    teller::Teller,
    times::{day, days_until},
};
use crate::{
    client::{Address, Greeted, Opened, Resolved},
    wire::{answer::TlsVersion, host::HostKind},
};

/// From here on a certificate's end is worth a note.
const SOON_DAYS: u64 = 14;

/// Goes to the open connection. Whether it came there.
pub(super) async fn take<E>(way: &Way, teller: &mut Teller<'_, E>) -> Result<bool, E> {
    let resolved = match way.client.resolve(&way.route).await {
        Ok(resolved) => resolved,
        Err(trouble) => {
            teller.say(Step::wrong("address", trouble.what, trouble.mend))?;
            return Ok(false);
        }
    };
    teller.say(Step::ok("address", leads(way, &resolved)))?;
    let Some(opened) = knock(way, &resolved, teller).await? else { return Ok(false) };
    let greeted = match way.client.greet(&way.route, opened).await {
        Ok(greeted) => greeted,
        Err(trouble) => {
            teller.say(Step::wrong("tls", trouble.what, trouble.mend))?;
            return Ok(false);
        }
    };
    for step in greeting(&greeted, way) {
        teller.say(step)?;
    }
    teller.say(http(&greeted))?;
    Ok(true)
}

/// Each address; the first that opens, as for any call.
async fn knock<E>(way: &Way, resolved: &Resolved, teller: &mut Teller<'_, E>) -> Result<Option<Opened>, E> {
    let (mut first, mut shut) = (None, Vec::new());
    for target in &resolved.targets {
        match way.client.knock(*target).await {
            Ok(opened) => {
                teller.say(Step::ok("tcp", format!("{target} takes connections")))?;
                first.get_or_insert(opened);
            }
            // Whether that is wrong is known when all were tried; a lone one is all.
            Err(trouble) if resolved.targets.len() == 1 => {
                teller.say(Step::wrong("tcp", trouble.what, trouble.mend))?;
            }
            Err(trouble) => {
                teller.say(Step::note("tcp", &trouble.what).mended_by(&trouble.mend))?;
                shut.push(trouble);
            }
        }
    }
    if first.is_none()
        && let Some(trouble) = shut.pop()
    {
        teller.say(Step::wrong("tcp", "none of these addresses takes a connection", trouble.mend))?;
    }
    Ok(first)
}

fn leads(way: &Way, resolved: &Resolved) -> String {
    let list: Vec<_> = resolved.targets.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    let more = match resolved.more {
        0 => String::new(),
        more => format!(" ({more} more are not tried)"),
    };
    match &way.route.address {
        Some(Address::Socket(_)) => format!("{list}, pinned under [[peers]]"),
        Some(Address::Name { .. }) => {
            let pin = way.route.address.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{list}: where {pin} leads, which is pinned under [[peers]]{more}")
        }
        None if matches!(way.route.host.kind(), HostKind::Address(_)) => format!("{list}, the name itself"),
        None => format!("{list}: where {} leads{more}", way.route.host.name()),
    }
}

fn greeting(greeted: &Greeted, way: &Way) -> Vec<Step> {
    let name = way.route.host.name();
    let version = match greeted.version {
        Some(TlsVersion::Tls13) => "TLS 1.3",
        Some(TlsVersion::Tls12) => "TLS 1.2",
        None => "TLS",
    };
    let tls = format!("{version}, and the certificate is good for {name}");
    let Some(facts) = &greeted.certificate else { return vec![Step::ok("tls", tls)] };
    let days = days_until(facts.not_after, (way.clock)().wall);
    let mut steps = vec![Step::ok("tls", format!("{tls} until {} ({days} days)", day(facts.not_after)))];
    if days < SOON_DAYS {
        let what = format!("the peer's certificate ends in {days} days");
        steps.push(Step::note("tls", what).mended_by("its operator must renew it"));
    }
    steps
}

fn http(greeted: &Greeted) -> Step {
    if greeted.http2 {
        return Step::ok("alpn", "HTTP/2");
    }
    let said = match &greeted.alpn {
        Some(name) => format!("the peer chose {name}"),
        None => "the peer names no version of HTTP".to_owned(),
    };
    Step::note("alpn", format!("{said}: calls go over HTTP/1.1, which works; HTTP/2 needs fewer connections"))
}
