//! `ymp init`: what a first node needs, in one folder.
//!
//! Writes `ymp.toml`, `operator.token` (mode 0600) and a development certificate under `certs`. Nothing that is there
//! is written over: either none of the files is there, or nothing happens. Only a certificate that is there already,
//! with its key and its CA, is kept and used.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    args,
    output::{CliError, Out, Outcome},
    rooms,
};
use crate::wire::host::{OwnHost, PORT_DEFAULT};

const CONFIG: &str = "ymp.toml";
const TOKEN: &str = "operator.token";
/// Where peers reach a host whose name carries no port: binding 443 needs rights that a first try has not.
const LISTEN_PORT: u16 = 8443;

/// Write a commented configuration, a development certificate and an app's token, never over what is there
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  ymp init --host alpha.test --dir alpha")]
pub(super) struct Init {
    /// The name that peers will know this host by, with `:port` unless it is 443
    #[arg(long, value_name = "NAME", value_parser = args::own_host)]
    host: OwnHost,
    /// Where the files are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

impl Init {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        let certs = self.dir.join("certs");
        let name = self.host.name();
        let own = [certs.join(format!("{name}.pem")), certs.join(format!("{name}.key"))];
        let keep = own.iter().all(|file| file.exists()) && certs.join("ca.pem").exists();
        let mut written = vec![self.dir.join(CONFIG), self.dir.join(TOKEN)];
        if !keep {
            written.extend(own);
        }
        refuse_what_is_there(&written)?;
        fs::create_dir_all(&self.dir).map_err(|error| failed(&self.dir, &error))?;
        let certificates = if keep {
            Vec::new()
        } else {
            rooms::write_development(&certs, std::slice::from_ref(&self.host))?
        };
        let token = rooms::fresh_token();
        write_new(&self.dir.join(TOKEN), &format!("{}\n", token.reveal()), 0o600)?;
        write_new(&self.dir.join(CONFIG), &template(&self.host), 0o644)?;
        self.say(out, &certificates, keep)
    }

    fn say(&self, out: &mut Out<'_>, certificates: &[PathBuf], keep: bool) -> Outcome {
        let go = if self.dir == Path::new(".") { String::new() } else { format!("  cd {:?}\n", self.dir) };
        out.line(format!("wrote {}", self.dir.join(CONFIG).display()))?;
        out.line(format!("wrote {} (the operator's token)", self.dir.join(TOKEN).display()))?;
        certificates.iter().try_for_each(|file| out.line(format!("wrote {}", file.display())))?;
        if keep {
            out.line("kept the certificate that was there")?;
        }
        out.line(format!(
            "\nNext:\n{go}  \
             ymp check\n  \
             ymp serve\nand in another terminal there:\n  \
             export YMP_TOKEN=\"$(cat {TOKEN})\"\n  \
             ymp send --as example/form --to {host} --action put '{{\"n\":1}}'\n  \
             ymp inbox example/form\n\
             A peer must trust certs/ca.pem (`[trust] roots`) and reach {host}: see [[peers]] in {CONFIG}.",
            host = self.host,
        ))
    }
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

fn template(host: &OwnHost) -> String {
    let port = if host.port() == PORT_DEFAULT { LISTEN_PORT } else { host.port() };
    include_str!("init.toml")
        .replace("{host}", host.as_str())
        .replace("{name}", host.name())
        .replace("{port}", &port.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Config;

    fn init(dir: &Path, host: &str) -> Result<String, String> {
        let mut text = Vec::new();
        let init = Init { host: OwnHost::parse(host).unwrap(), dir: dir.to_owned() };
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
