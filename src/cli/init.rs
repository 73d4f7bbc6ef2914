//! `ymp init`: what a first node needs, in one folder.
//!
//! Writes `ymp.toml`, `operator.token` (mode 0600) and a development certificate under `certs`. Nothing that is there
//! is written over: either none of the files is there, or nothing happens. Only a certificate that is there already,
//! with its key and its CA, is kept and used. Beside another node (`beside`) that one's file gets one more table.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    args,
    beside::{Neighbour, Ports},
    output::{CliError, Out, Outcome},
    rooms,
};
use crate::wire::host::{OwnHost, PORT_DEFAULT};

const CONFIG: &str = "ymp.toml";
const TOKEN: &str = "operator.token";
/// Where peers reach a host whose name carries no port: binding 443 needs rights that a first try has not.
const LISTEN_PORT: u16 = 8443;
/// Where its apps reach it.
const LOCAL_PORT: u16 = 8080;

/// Write a commented configuration, a development certificate and an app's token, never over what is there
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  ymp init --host alpha.test --dir alpha\n  \
    ymp init --host beta.test --dir beta --beside alpha")]
pub(super) struct Init {
    /// The name that peers will know this host by, with `:port` unless it is 443
    #[arg(long, value_name = "NAME", value_parser = args::own_host)]
    host: OwnHost,
    /// Where the files are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The folder of another node on this machine, to be paired with: its ymp.toml gets a [[peers]] table
    #[arg(long, value_name = "DIR")]
    beside: Option<PathBuf>,
}

impl Init {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        let certs = self.dir.join("certs");
        let name = self.host.name();
        let own = [certs.join(format!("{name}.pem")), certs.join(format!("{name}.key"))];
        let keep = own.iter().all(|file| file.exists()) && certs.join("ca.pem").exists();
        let mut written = vec![self.dir.join(CONFIG), self.dir.join(TOKEN)];
        if !keep || self.beside.is_some() {
            written.extend(own);
        }
        if self.beside.is_some() {
            written.push(certs.join("ca.pem"));
        }
        refuse_what_is_there(&written)?;
        let neighbour = self.beside.as_ref().map(|dir| Neighbour::read(dir, &self.host)).transpose()?;
        let named = Some(self.host.port()).filter(|port| *port != PORT_DEFAULT);
        let ports = match &neighbour {
            Some(neighbour) => neighbour.ports(named)?,
            None => Ports { peer: named.unwrap_or(LISTEN_PORT), local: LOCAL_PORT },
        };
        fs::create_dir_all(&self.dir).map_err(|error| failed(&self.dir, &error))?;
        let certificates = match &neighbour {
            Some(neighbour) => neighbour.certify(&self.host, &certs)?,
            None if keep => Vec::new(),
            None => rooms::write_development(&certs, std::slice::from_ref(&self.host))?,
        };
        let token = rooms::fresh_token();
        write_new(&self.dir.join(TOKEN), &format!("{}\n", token.reveal()), 0o600)?;
        let peers = neighbour.as_ref().map(Neighbour::table).unwrap_or_default();
        write_new(&self.dir.join(CONFIG), &format!("{}{peers}", template(&self.host, ports)), 0o644)?;
        self.say_what_is_written(out, &certificates, keep && neighbour.is_none())?;
        match neighbour {
            Some(neighbour) => {
                neighbour.learn(&self.host, ports.peer)?;
                self.say_what_comes_beside(out, &neighbour, ports)
            }
            None => self.say_what_comes(out),
        }
    }

    fn say_what_is_written(&self, out: &mut Out<'_>, certificates: &[PathBuf], keep: bool) -> Outcome {
        out.line(format!("wrote {}", self.dir.join(CONFIG).display()))?;
        out.line(format!("wrote {} (the operator's token)", self.dir.join(TOKEN).display()))?;
        certificates.iter().try_for_each(|file| out.line(format!("wrote {}", file.display())))?;
        if keep {
            out.line("kept the certificate that was there")?;
        }
        Ok(())
    }

    fn say_what_comes(&self, out: &mut Out<'_>) -> Outcome {
        let dir = quoted(&self.dir);
        let here = self.dir == Path::new(".");
        let config =
            if here { String::new() } else { format!(" --config {}", quoted(&self.dir.join(CONFIG))) };
        let token = if here { TOKEN.to_owned() } else { quoted(&self.dir.join(TOKEN)) };
        out.line(format!(
            "\nNext:\n  \
             ymp check{config}\n  \
             ymp serve{config}\n\
             and in another terminal:\n  \
             export YMP_TOKEN=\"$(cat {token})\"\n  \
             ymp send --as example/form --to {host} --action put '{{\"n\":1}}'\n  \
             ymp inbox example/form\n\n\
             To see it federate with a second node on this machine:\n  \
             ymp init --host other.test --dir other --beside {dir}\n\
             A peer elsewhere must trust certs/ca.pem (`[trust] roots`) and reach {host}:\n\
             see [[peers]] in {CONFIG}.",
            host = self.host,
        ))
    }

    fn say_what_comes_beside(&self, out: &mut Out<'_>, neighbour: &Neighbour, ports: Ports) -> Outcome {
        let (config, token) = (quoted(&self.dir.join(CONFIG)), quoted(&self.dir.join(TOKEN)));
        out.line(format!(
            "added [[peers]] {host} to {file}\n\n\
             Next, in one terminal each (a node that runs takes SIGHUP instead):\n  \
             ymp serve --config {other}\n  \
             ymp serve --config {config}\n\
             and in a third:\n  \
             export YMP_LOCAL=http://127.0.0.1:{local} YMP_TOKEN=\"$(cat {token})\"\n  \
             ymp peer connect {name}\n  \
             ymp send --as example/form --to {name} --action put '{{\"n\":1}}' --wait\n\
             What is wrong between them, this finds:\n  \
             ymp doctor {name} --config {config}",
            host = self.host,
            file = neighbour.file().display(),
            other = quoted(&neighbour.file()),
            local = ports.local,
            name = neighbour.host(),
        ))
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn refuse_what_is_there(files: &[PathBuf]) -> Outcome {
    let there: Vec<String> = files
        .iter()
        .filter(|file| file.symlink_metadata().is_ok())
        .map(|file| file.display().to_string())
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let what = format!("nothing was written: {} there already", list(&there));
    Err(CliError::failed(what, "name another folder with --dir, or move what is there"))
}

fn list(names: &[String]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

fn write_new(path: &Path, text: &str, mode: u32) -> Outcome {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(
        format!("{} cannot be written: {error}", path.display()),
        "choose another folder with --dir",
    )
}

fn template(host: &OwnHost, ports: Ports) -> String {
    include_str!("init.toml")
        .replace("{host}", host.as_str())
        .replace("{name}", host.name())
        .replace("{port}", &ports.peer.to_string())
        .replace("{local}", &ports.local.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Config;

    fn init(dir: &Path, host: &str) -> Result<String, String> {
        let mut text = Vec::new();
        let init = Init { host: OwnHost::parse(host).unwrap(), dir: dir.to_owned(), beside: None };
        init.run(&mut Out::new(&mut text)).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_init_writes_is_a_configuration_without_warnings() {
        let dir = tempfile::tempdir().unwrap();
        let said = init(dir.path(), "alpha.test:9443").unwrap();
        let (config, warnings) = Config::load(&dir.path().join(CONFIG), []).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(config.node.host.as_str(), "alpha.test:9443");
        assert_eq!(config.peer_listen.port(), 9443);
        assert_eq!(config.tls.certificate, dir.path().join("certs/alpha.test.pem"));
        assert_eq!(rooms::certificates(&config).problems, []);
        let app = &config.access.apps[0];
        assert!(app.admin && app.token.len() == 43);
        assert!(!said.contains(app.token.as_str()));
        let mode = fs::metadata(dir.path().join(TOKEN)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn init_never_writes_over_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(CONFIG), "mine").unwrap();
        let error = init(dir.path(), "alpha.test").unwrap_err();
        assert!(error.contains("ymp.toml is there already"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join(CONFIG)).unwrap(), "mine");
        assert!(!dir.path().join(TOKEN).exists());
    }

    #[test]
    fn a_certificate_that_is_there_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("certs")).unwrap();
        for file in ["ca.pem", "alpha.test.pem", "alpha.test.key"] {
            fs::write(dir.path().join("certs").join(file), "mine").unwrap();
        }
        assert!(init(dir.path(), "alpha.test").unwrap().contains("kept the certificate"));
        assert_eq!(fs::read_to_string(dir.path().join("certs/ca.pem")).unwrap(), "mine");
    }
}
