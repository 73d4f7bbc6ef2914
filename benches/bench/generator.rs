//! The load generator against h2load, both on the bare server: how much of the machine it needs itself.

use std::{fs, process::Command, sync::Arc, time::Duration};

use crate::{
    bare::server::Bare,
    figures::figure,
    load::{
        Head, Http, Lines, Until,
        bodies::{Bodies, Form},
    },
    outcome::{Outcome, Trying as _, failed},
    process::cpu_of,
    report,
    rows::Stage,
};

const TIME: Duration = Duration::from_secs(3);

/// Requests a second of both at 516 bytes and 49 KB, and the generator's own CPU.
///
/// # Errors
/// h2load is not there, or saw a failure.
pub(crate) async fn compare(stage: &Stage) -> Outcome<()> {
    let bare = Bare::start(&stage.ground, stage.cores)?;
    let head =
        Head { authority: bare.authority(), path: "/packet".to_owned(), bearer: "t".repeat(43), expect: 204 };
    for messages in [1, 100] {
        let bodies = Arc::new(Bodies::new(Form::Packet, messages, "load.test", "node.test"));
        for _ in 0..stage.arguments.runs() {
            let lines = Lines::usual(&bare.target(Http::Two)?).await?;
            let (before, server) = (cpu_of(std::process::id())?, bare.process.cpu()?);
            let tally = lines.load(&head, &bodies, Until::Time(stage.arguments.span(TIME))).await?;
            let own = (cpu_of(std::process::id())? - before) / figure(tally.requests);
            let server = (bare.process.cpu()? - server) / figure(tally.requests);
            let before = bare.process.cpu()?;
            let (requests, theirs) = h2load(stage, &head, &bodies)?;
            let server_theirs = (bare.process.cpu()? - before) / figure(requests);
            report::line(&format!(
                "{:>6} bytes: ours {:.0}/s ({own:.2} us CPU, server {server:.2}), h2load {theirs:.0}/s \
                 (server {server_theirs:.2}), ratio {:.2}",
                bodies.len(),
                tally.rate(),
                tally.rate() / theirs
            ));
        }
    }
    Ok(())
}

fn h2load(stage: &Stage, head: &Head, bodies: &Bodies) -> Outcome<(u64, f64)> {
    let path = stage.ground.path().join("body");
    let mut body = Vec::new();
    bodies.write(&mut body);
    fs::write(&path, body)?;
    let seconds = stage.arguments.span(TIME).as_secs().max(1).to_string();
    let url =
        format!("https://127.0.0.1:{}{}", head.authority.rsplit(':').next().unwrap_or_default(), head.path);
    let mut command = Command::new("h2load");
    command.args(["-t1", "-c8", "-m32", "-D", &seconds, "-H", "content-type: application/json", "-d"]);
    command.arg(&path).arg("-H").arg(format!("authorization: Bearer {}", head.bearer)).arg(url);
    let output = command.output().trying(|| "h2load (Debian: nghttp2-client)".to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = |after: &str, skip: usize| {
        let line = text.lines().find(|line| line.starts_with(after))?;
        line.split([' ', ',']).filter(|word| !word.is_empty()).nth(skip)?.parse::<f64>().ok()
    };
    let (rate, total) = (word("finished in", 3), word("requests:", 7));
    match (rate, total) {
        (Some(rate), Some(total)) if rate > 0.0 => Ok((format!("{total:.0}").parse()?, rate)),
        _ => failed(format!("h2load said: {text}")),
    }
}
