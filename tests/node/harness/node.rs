//! A process of `ymp serve`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Peer, Yard, caller::Call, eventually, now, within, yard::free_port};

/// The token of the app `form-app`, which is an admin.
pub(crate) const ADMIN: &str = "app-token-of-the-form-app-and-admin";
/// The token of the app `other-app`, which runs `example/other` only.
pub(crate) const OTHER: &str = "app-token-of-the-other-app-alone";

/// A node's folder and, while it runs, its process.
pub(crate) struct Node {
    yard: Yard,
    pub(crate) host: String,
    /// Where peers reach it; the same over restarts.
    pub(crate) peer: SocketAddr,
    /// Where apps reach it; the same over restarts.
    pub(crate) local: SocketAddr,
    /// Where its information is without TLS, if `plainly` was said; the same over restarts.
    pub(crate) plain: SocketAddr,
    sections: BTreeMap<String, String>,
    tables: String,
    child: Option<Child>,
    log_level: &'static str,
    /// An ERROR line with these words is no alarm.
    expected: Option<&'static str>,
}

impl Node {
    /// A node that has not been started yet.
    pub(crate) fn new(yard: &Yard, host: &str) -> Self {
        yard.certify(host);
        let node = Self {
            yard: yard.clone(),
            host: host.to_owned(),
            peer: free_port(),
            local: free_port(),
            plain: free_port(),
            sections: BTreeMap::new(),
            tables: String::new(),
            child: None,
            log_level: "debug",
            expected: None,
        };
        node.with("limits", "free-space-min = \"0B\"")
            .with("delivery", "retry-min = \"100ms\"\nretry-max = \"1s\"\nretry-max-silent = \"2s\"")
    }

    /// More settings for a section.
    pub(crate) fn with(mut self, section: &str, lines: &str) -> Self {
        let text = self.sections.entry(section.to_owned()).or_default();
        for line in lines.lines() {
            let key = line.split_once('=').map_or(line, |(key, _)| key).to_owned();
            // The last word counts.
            let kept: Vec<_> = text.lines().filter(|old| !old.starts_with(&key)).map(str::to_owned).collect();
            *text = kept.join("\n");
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(line);
        }
        self
    }

    /// Changes settings between two starts.
    pub(crate) fn set(&mut self, section: &str, lines: &str) {
        let node = std::mem::replace(self, Self::empty(&self.yard));
        *self = node.with(section, lines);
    }

    fn empty(yard: &Yard) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            yard: yard.clone(),
            host: String::new(),
            peer: nowhere,
            local: nowhere,
            plain: nowhere,
            sections: BTreeMap::new(),
            tables: String::new(),
            child: None,
            log_level: "debug",
            expected: None,
        }
    }

    /// What stands under `[[peers]]` for a peer at this address.
    pub(crate) fn pin_at(mut self, host: &str, address: SocketAddr) -> Self {
        let _ = write!(
            self.tables,
            "[[peers]]\nhost = \"{host}\"\naddress = \"{address}\"\nrequest-path = \"/request\"\n\
             grant-path = \"/grant\"\nrefresh-path = \"/refresh\"\npacket-path = \"/packet\"\n\n"
        );
        self
    }

    /// What stands under `[[peers]]` for a peer of which nothing but its place is known.
    pub(crate) fn know(self, peer: &Peer) -> Self {
        self.know_at(&peer.name, peer.address)
    }

    /// The same for a peer at this address.
    pub(crate) fn know_at(mut self, host: &str, address: SocketAddr) -> Self {
        let _ = write!(self.tables, "[[peers]]\nhost = \"{host}\"\naddress = \"{address}\"\n\n");
        self
    }

    /// The same with some of its paths: `("packet-path", "/packet")`.
    pub(crate) fn pin_some(mut self, peer: &Peer, paths: &[(&str, &str)]) -> Self {
        self = self.know(peer);
        self.tables.truncate(self.tables.trim_end().len());
        for (name, path) in paths {
            let _ = write!(self.tables, "\n{name} = \"{path}\"");
        }
        self.tables.push_str("\n\n");
        self
    }

    /// A peer of R3: it has no refresh path.
    pub(crate) fn pin_without_refresh(self, peer: &Peer) -> Self {
        let paths = [("request-path", "/request"), ("grant-path", "/grant"), ("packet-path", "/packet")];
        self.pin_some(peer, &paths)
    }

    /// Peers may be found on this machine by their own names.
    pub(crate) fn among_private_addresses(self) -> Self {
        self.with("federation", "private-addresses = true")
    }

    /// Its information without TLS too.
    pub(crate) fn plainly(self) -> Self {
        let listen = format!("plain-listen = \"{}\"", self.plain);
        self.with("peer", &listen)
    }

    /// One more app, from the next start on.
    pub(crate) fn add_app(&mut self, name: &str, token: &str, service: &str) {
        let _ = write!(
            self.tables,
            "[[apps]]\nname = \"{name}\"\ntoken = \"{token}\"\nservices = [\"{service}\"]\n\n"
        );
    }

    pub(crate) fn pin(self, peer: &Peer) -> Self {
        self.pin_at(&peer.name, peer.address)
    }

    /// These and no others stand under `[[peers]]` from the next start or reading on; apps that were added are gone.
    pub(crate) fn pins_only(&mut self, peers: &[&Peer]) {
        let mut node = std::mem::replace(self, Self::empty(&self.yard));
        node.tables.clear();
        *self = peers.iter().fold(node, |node, peer| node.pin(peer));
    }

    /// The log says what `[log] filter` says.
    pub(crate) fn logging_as_configured(mut self) -> Self {
        self.log_level = "";
        self
    }

    /// An ERROR line with these words is what the test wants to see.
    pub(crate) fn expecting(mut self, words: &'static str) -> Self {
        self.expected = Some(words);
        self
    }

    /// SIGHUP, with the settings as they are set by now: what the log says of it.
    pub(crate) async fn reload(&self) -> String {
        self.write_config();
        self.hang_up().await
    }

    /// SIGHUP, with the file as it lies there: what the log says of it.
    pub(crate) async fn hang_up(&self) -> String {
        let before = self.log().len();
        self.signal(Signal::HUP);
        eventually("the reading is told", || async {
            let said = self.log()[before..].to_owned();
            let ends = ["the configuration was read again", "the configuration cannot be used"];
            ends.iter().any(|end| said.contains(end)).then_some(said)
        })
        .await
    }

    /// The log in full.
    pub(crate) fn tracing(mut self) -> Self {
        self.log_level = "trace";
        self
    }

    pub(crate) async fn started(mut self) -> Self {
        self.start().await;
        self
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        self.start_with(&[]).await;
    }

    /// The same with more arguments.
    pub(crate) async fn start_with(&mut self, arguments: &[&str]) {
        assert!(self.child.is_none(), "{} runs already", self.host);
        self.write_config();
        let mut child = self.spawn(arguments);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::task::spawn_blocking(move || lines.next());
        self.child = Some(child);
        let line = tokio::time::timeout(Duration::from_secs(20), line).await.unwrap().unwrap();
        let line = line.unwrap_or_else(|| panic!("{} did not start", self.host)).unwrap();
        let ready = format!("ready host={} peer={} local={}", self.host, self.peer, self.local);
        assert_eq!(line, ready);
    }

    pub(crate) fn write_config(&self) {
        let mut text = format!("host = \"{}\"\ndata-dir = \"{}.data\"\n\n", self.host, self.host);
        let _ = write!(
            text,
            "[trust]\nweb-pki = false\nroots = [\"certs/ca.pem\"]\n\n[local]\nlisten = \"{}\"\n\n",
            self.local
        );
        let mut sections = self.sections.clone();
        let peer = sections.entry("peer".to_owned()).or_default();
        *peer = format!("listen = \"{}\"\n{peer}", self.peer);
        for (name, lines) in &sections {
            let _ = write!(text, "[{name}]\n{lines}\n\n");
        }
        text.push_str(&self.tables);
        let _ = write!(
            text,
            "[[services]]\nprotocol = \"example\"\nversion = \"1.0.0\"\nservices = [\"form\", \"other\"]\n\n\
             [[apps]]\nname = \"form-app\"\ntoken = \"{ADMIN}\"\nservices = [\"example/form\"]\nadmin = true\n\n\
             [[apps]]\nname = \"other-app\"\ntoken = \"{OTHER}\"\nservices = [\"example/other\"]\n"
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.yard.path().join(format!("{}.toml", self.host))
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.yard.path().join(format!("{}.data", self.host))
    }

    fn log_file(&self) -> PathBuf {
        self.yard.path().join(format!("{}.log", self.host))
    }

    /// All that was logged, over all starts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        self.command()
            .args(["serve", "--config"])
            .arg(self.config())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The binary, in an environment of its own.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ymp"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("YMP_")) {
            command.env_remove(name);
        }
        command.env("YMP_LOG", self.log_level).current_dir(self.yard.path());
        command
    }

    /// The binary as an operator of this node calls it: exit code, standard output, standard error.
    pub(crate) async fn ymp(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = self.command();
        command.args(args).env("YMP_TOKEN", ADMIN).env("YMP_LOCAL", format!("http://{}", self.local));
        command.env_remove("YMP_LOG");
        let done = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
    }

    /// kill -9.
    pub(crate) async fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Any signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Waits for the end: its exit code.
    pub(crate) async fn ended(&mut self, at_most: Duration) -> i32 {
        let mut child = self.child.take().unwrap();
        let code = within(at_most, "the node ends", || {
            let done = child.try_wait().unwrap();
            async move { done }
        });
        let code = code.await;
        code.code().unwrap()
    }

    /// SIGTERM, and its end in order.
    pub(crate) async fn stop(&mut self) {
        self.terminate();
        assert_eq!(self.ended(Duration::from_secs(15)).await, 0);
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// A POST to one of its peer paths.
    pub(crate) fn post(&self, path: &str) -> Call {
        Call::post(&self.yard, &self.host, self.peer, path)
    }

    /// A read of something on its peer port.
    pub(crate) fn get(&self, path: &str) -> Call {
        self.post(path).method("GET")
    }

    /// A read of something on its plain port.
    pub(crate) fn get_plainly(&self, path: &str) -> Call {
        Call::post(&self.yard, &self.host, self.plain, path).method("GET").plain()
    }

    /// Waits until the log says so.
    pub(crate) async fn logs(&self, words: &str) {
        eventually(&format!("{} logs `{words}`", self.host), || async {
            self.log().contains(words).then_some(())
        })
        .await;
    }

    /// Waits until nothing more is logged: a call has found its place.
    pub(crate) async fn logs_nothing_for(&self, quiet: Duration) {
        let (mut length, mut since) = (self.log().len(), now());
        eventually("the log is quiet", || {
            if self.log().len() != length {
                (length, since) = (self.log().len(), now());
            }
            let over = since.elapsed() >= quiet;
            async move { over.then_some(()) }
        })
        .await;
    }

    fn alarms(&self) -> Vec<String> {
        let log = self.log();
        let expected = |line: &str| self.expected.is_some_and(|words| line.contains(words));
        let alarm = |line: &&str| line.contains(" ERROR ") && !expected(line) || line.contains("panicked at");
        log.lines().filter(alarm).map(str::to_owned).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if self.host.is_empty() {
            return;
        }
        let alarms = self.alarms();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            eprintln!("--- the log of {} ends with\n{tail}\n---", self.host);
        } else {
            assert!(alarms.is_empty(), "{} raised an alarm:\n{}", self.host, alarms.join("\n"));
        }
    }
}
