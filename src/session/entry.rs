//! The door for clients, made of the settings: certificates for TLS, and the rules that say who must prove what.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use crate::auth::certificate::{certificate_names, tls_server_end_point};
use crate::auth::hba::{self, ClientCert, Conn, FileError, Method, Refusal, Rules, Sources};
use crate::auth::ident::IdentMaps;
use crate::auth::scram::ChannelBinding;
use crate::config::Settings;
use crate::config::settings::{AuthMethod, ClientTls, ClientTlsMode};
use crate::wire::pem::{self, BadFile};
use crate::wire::tls_fault::in_words;
use crate::wire::{Fault, Socket};

/// Certificates and rules, read and checked.
#[derive(Debug)]
pub struct Entry {
    tls: Option<Secured>,
    /// Plain text over TCP is refused.
    pub tls_required: bool,
    rules: Rules,
    from_file: bool,
    maps: IdentMaps,
}

#[derive(Debug)]
struct Secured {
    config: Arc<ServerConfig>,
    binding: ChannelBinding,
}

/// A file that the settings name and that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadEntry {
    /// A certificate or key, and the setting that names it.
    #[error("{1}")]
    Tls(&'static str, #[source] BadFile),
    /// A rule or map.
    #[error(transparent)]
    Rule(#[from] FileError),
}

impl BadEntry {
    /// The setting to correct; `None` where a rule or map is, which has a line of its own.
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            BadEntry::Tls(setting, _) => Some(setting),
            BadEntry::Rule(_) => None,
        }
    }
}

impl Entry {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// With the file, and the line where there is one.
    pub fn load(settings: &Settings) -> Result<Entry, BadEntry> {
        let tls = &settings.client_tls;
        let sources = Sources { read: &|path| std::fs::read_to_string(path), interfaces: &[] };
        let rules = match &settings.auth.hba_file {
            Some(file) => Rules::read(file, &sources)?,
            None => Rules::uniform(uniform(settings.auth.method)),
        };
        let needy = rules.as_slice().iter().find(|rule| rule.options.client_cert > ClientCert::NotAsked);
        if let (Some(rule), None) = (needy, &tls.ca_file) {
            return Err(BadEntry::Rule(FileError {
                file: rule.file.clone(),
                line: rule.line,
                problem: "client certificates are asked for, and no authority for them is known".to_owned(),
                remedy: "add `ca_file` to [tls]".to_owned(),
            }));
        }
        let maps = settings.auth.ident_file.as_deref().map(|file| IdentMaps::read(file, &sources));
        Ok(Entry {
            tls: Secured::load(tls).map_err(|bad| BadEntry::Tls(setting_of(tls, &bad.file), bad))?,
            tls_required: tls.mode == ClientTlsMode::Require,
            rules,
            from_file: settings.auth.hba_file.is_some(),
            maps: maps.transpose()?.unwrap_or_default(),
        })
    }

    /// Everything that is wrong with the files that the settings name for clients.
    pub fn problems(settings: &Settings) -> Vec<BadEntry> {
        let sources = Sources { read: &|path| std::fs::read_to_string(path), interfaces: &[] };
        let hba = settings.auth.hba_file.iter().flat_map(|file| Rules::problems(file, &sources));
        let mut problems: Vec<BadEntry> = hba.map(BadEntry::Rule).collect();
        if problems.is_empty() {
            problems.extend(Entry::load(settings).err());
        }
        problems
    }

    /// For TLS with a client; `None`: it is not spoken.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| tls.config.clone())
    }

    /// What SCRAM can be bound to on this socket.
    pub fn binding(&self, socket: &Socket) -> ChannelBinding {
        match &self.tls {
            Some(tls) if socket.tls().is_some() => tls.binding.clone(),
            _ => ChannelBinding::None,
        }
    }

    /// What this client must do to prove who it is; one that replicates physically has rules of its own. What its certificate and the rules can decide is decided here.
    ///
    /// # Errors
    /// FATAL 28000 for a client that does not get in.
    pub fn method(
        &self,
        socket: &Socket,
        addr: Option<IpAddr>,
        database: &str,
        user: &str,
        physical: bool,
    ) -> Result<Method, Fault> {
        let conn = match socket {
            Socket::Unix(_) => Conn::Local,
            Socket::Tcp(_) => Conn::Plain,
            Socket::Tls(_) => Conn::Tls,
        };
        let request = hba::Request { conn, database, user, addr, replication: physical };
        let refuse = |refusal: Refusal| {
            let fault = Fault::fatal(refusal.sqlstate(), refusal.client_message(&request));
            Err(fault.routine(refusal.routine()))
        };
        let rule = match self.rules.first_match(&request) {
            Some(rule) if rule.method == Method::Reject => return refuse(Refusal::Rejected),
            Some(rule) => rule,
            None if self.from_file => return refuse(Refusal::NoRule),
            None => return Err(no_certificate()),
        };
        if rule.options.client_cert > ClientCert::NotAsked {
            let shown = socket.tls().and_then(|tls| tls.peer_certificate());
            let Some(shown) = shown else { return Err(no_certificate()) };
            let names = certificate_names(shown);
            let allowed = names.is_ok_and(|names| self.maps.allows_certificate(rule, &names, user));
            if rule.options.client_cert == ClientCert::VerifyFull && !allowed {
                return refuse(Refusal::Failed(Method::Cert));
            }
        }
        if rule.method == Method::Peer {
            let peer = system_user(socket);
            if !peer.is_some_and(|peer| self.maps.allows(rule.options.map.as_deref(), &peer, user)) {
                return refuse(Refusal::Failed(Method::Peer));
            }
        }
        Ok(rule.method)
    }
}

impl Secured {
    fn load(tls: &ClientTls) -> Result<Option<Secured>, BadFile> {
        let (Some(cert_file), Some(key_file)) = (&tls.cert_file, &tls.key_file) else { return Ok(None) };
        if tls.mode == ClientTlsMode::Disable {
            return Ok(None);
        }
        let chain = pem::certificates(cert_file)?;
        let key = pem::private_key(key_file)?;
        let builder = ServerConfig::builder_with_provider(pem::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| BadFile::new(cert_file, in_words(&error)))?;
        let builder = match &tls.ca_file {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(pem::authorities(file)?, pem::provider())
                        .allow_unauthenticated()
                        .build()
                        .map_err(|error| BadFile::new(file, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let binding = binding_of(&chain[0]);
        let unfit = |error| pem::unfit(cert_file, key_file, &error);
        let mut config = builder.with_single_cert(chain, key).map_err(unfit)?;
        config.alpn_protocols = vec![pem::ALPN.to_vec()];
        // As PostgreSQL: every session is a whole handshake.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Some(Secured { config: Arc::new(config), binding }))
    }
}

/// The setting that names this file.
fn setting_of(tls: &ClientTls, file: &Path) -> &'static str {
    let named =
        [("tls.cert_file", &tls.cert_file), ("tls.key_file", &tls.key_file), ("tls.ca_file", &tls.ca_file)];
    let named = named.into_iter().find(|(_, named)| named.as_deref() == Some(file));
    named.map_or("tls", |(setting, _)| setting)
}

fn binding_of(certificate: &CertificateDer<'_>) -> ChannelBinding {
    tls_server_end_point(certificate).map_or(ChannelBinding::None, ChannelBinding::TlsServerEndPoint)
}

fn uniform(method: AuthMethod) -> Method {
    match method {
        AuthMethod::Trust => Method::Trust,
        AuthMethod::ScramSha256 => Method::ScramSha256,
        AuthMethod::Md5 => Method::Md5,
        AuthMethod::Password => Method::Password,
        AuthMethod::Cert => Method::Cert,
    }
}

fn no_certificate() -> Fault {
    Fault::fatal("28000", "connection requires a valid client certificate")
}

/// Who is at the other end of a unix socket, as the system names it.
fn system_user(socket: &Socket) -> Option<String> {
    let Socket::Unix(stream) = socket else { return None };
    let uid = stream.peer_cred().ok()?.uid().to_string();
    let known = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = known.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.get(2) == Some(&uid.as_str()))?;
    Some((*line.first()?).to_owned())
}
