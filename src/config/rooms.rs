//! Settings of rooms that are written elsewhere: stand-ins until those rooms bring their own.

/// What `tls` must know.
pub mod tls {
    use std::path::PathBuf;

    /// Certificates and whom we trust.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Settings {
        /// Our certificate with its chain, PEM.
        pub certificate: PathBuf,
        /// Its key, PEM.
        pub key: PathBuf,
        /// Further roots, PEM.
        pub roots: Vec<PathBuf>,
        /// Whether the public roots are trusted. Default: yes.
        pub web_pki: bool,
    }
}

/// What `client` must know.
pub mod client {
    use std::{ops::RangeInclusive, time::Duration};

    /// How peers are called.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Settings {
        /// May a host that nobody pinned resolve to an address that is not public. Default: no.
        pub private_addresses: bool,
        /// Ports that a stranger's host name may carry. Default: 443 and 1024 to 65535.
        pub ports: Vec<RangeInclusive<u16>>,
        /// A whole call. Default: 60 s.
        pub call_time: Duration,
        /// Calls to strangers under way at one address. Default: 4.
        pub stranger_dials_per_address: usize,
    }
}

/// What `serve` must know.
pub mod serve {
    use std::net::SocketAddr;

    use crate::wire::{host::OwnHost, path::Paths};

    /// The listeners.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Settings {
        /// Our name.
        pub host: OwnHost,
        /// Other names under which peers may reach us.
        pub aliases: Vec<OwnHost>,
        /// The four paths.
        pub paths: Paths,
        /// Services that the host information names.
        pub published: Vec<Published>,
        /// Host information over plain HTTP. Default: nowhere.
        pub plain_listen: Option<SocketAddr>,
        /// Bytes of a packet that we take at most. Default: 1 MiB.
        pub packet_bytes: usize,
        /// Messages of a packet that we take at most. Default: 1,000.
        pub packet_messages: usize,
        /// Connections from one address. Default: 256.
        pub connections_per_address: usize,
        /// Connections in all. Default: 10,000.
        pub connections: usize,
    }

    /// A protocol and its services as the host information names them.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Published {
        /// As written.
        pub protocol: String,
        /// Its version.
        pub version: String,
        /// As written.
        pub services: Vec<String>,
    }
}

/// What `access` must know.
pub mod access {
    use std::fmt;

    use crate::wire::packet::ServiceKey;

    /// Who may use the local API.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Settings {
        /// In the order of the file.
        pub apps: Vec<AppSettings>,
    }

    /// One app.
    #[derive(Clone, PartialEq, Eq)]
    pub struct AppSettings {
        /// Its name: keys of its cursors.
        pub name: String,
        /// What it shows.
        pub token: String,
        /// What it may send as and whose inboxes it may read.
        pub services: Vec<ServiceKey>,
        /// May see and steer links, dead messages, metrics. Default: no.
        pub admin: bool,
    }

    impl fmt::Debug for AppSettings {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Self { name, token: _, services, admin } = self;
            write!(f, "AppSettings {{ name: {name:?}, token: (..), services: {services:?}, admin: {admin} }}")
        }
    }
}
