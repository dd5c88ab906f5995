//! TLS towards servers, as libpq's `sslmode`, `sslnegotiation` and `sslrootcert` have it.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, PeerMisbehaved,
    RootCertStore, SignatureScheme,
};

use crate::auth::certificate::{PublicKey, certificate_names, is_valid_at, old_public_key};
use crate::config::settings::{Binding, Host, ServerTls, SslMode};
use crate::wire::pem::{self, BadFile};
use crate::wire::tls_fault::in_words;
use crate::wire::{Fault, Socket, startup};

/// Where systems keep the authorities that they trust.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// TLS towards the servers of a database, files read and checked.
#[derive(Debug)]
pub struct Connector {
    settings: ServerTls,
    mode: SslMode,
    direct: bool,
    config: Option<Arc<ClientConfig>>,
    /// Hosts of which it was told that `prefer` goes on without TLS.
    plain_told: Mutex<HashSet<Host>>,
}

/// How to begin with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Without TLS.
    Plain,
    /// With TLS if the server has it.
    IfOffered,
    /// With TLS, or not at all.
    Always,
}

impl Connector {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// With the file and what is wrong with it.
    pub fn load(tls: &ServerTls) -> Result<Connector, BadFile> {
        let config = if tls.mode == SslMode::Disable { None } else { Some(Arc::new(config(tls)?)) };
        Ok(Connector {
            settings: tls.clone(),
            mode: tls.mode,
            direct: tls.direct,
            config,
            plain_told: Mutex::default(),
        })
    }

    /// The key of the database that names this file; `sslmode`, which asks for it, where none does.
    pub fn key_of(tls: &ServerTls, file: &Path) -> &'static str {
        let named = [("sslrootcert", &tls.ca_file), ("sslcert", &tls.cert_file), ("sslkey", &tls.key_file)];
        let named = named.into_iter().find(|(_, named)| named.as_deref() == Some(file));
        named.map_or("sslmode", |(key, _)| key)
    }

    /// Whether it was made of the same settings; the files that they name may have changed.
    pub fn is_like(&self, other: &Connector) -> bool {
        self.settings == other.settings
    }

    /// Whether logins are tied to the connection.
    pub fn binding(&self) -> Binding {
        self.settings.binding
    }

    /// What to try, in order. A unix socket never has TLS.
    pub fn ways(&self, host: &Host) -> &'static [Way] {
        match (host, self.mode) {
            (Host::Unix(..), _) | (_, SslMode::Disable) => &[Way::Plain],
            (_, SslMode::Allow) => &[Way::Plain, Way::Always],
            (_, SslMode::Prefer) => &[Way::IfOffered, Way::Plain],
            (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => &[Way::Always],
        }
    }

    /// Tells once for each host why there is no TLS, where the host has not said that it has none.
    pub fn tell_plain(&self, database: &str, host: &Host, why: &Fault) {
        let is_news = self.plain_told.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone());
        if is_news {
            tracing::warn!(database, %host, error = %why, "it goes on without TLS, as sslmode prefer allows");
        }
    }

    /// Starts TLS on a socket that was just opened.
    ///
    /// # Errors
    /// The socket broke, the server has no TLS, or its certificate will not do.
    pub async fn encrypt(&self, socket: &mut Socket, host: &Host, way: Way) -> io::Result<()> {
        let (Some(config), Host::Tcp(name, _)) = (&self.config, host) else { return Ok(()) };
        if way == Way::Plain {
            return Ok(());
        }
        if !self.direct {
            socket.write_all(&startup::ssl_request()).await?;
            let mut answer = [0];
            socket.read_exact(&mut answer).await?;
            match answer[0] {
                b'S' => {}
                b'N' if way == Way::IfOffered => return Ok(()),
                b'N' => {
                    return Err(io::Error::other("the server does not speak TLS, which sslmode asks for"));
                }
                _ => return Err(io::Error::other("unexpected answer to the request for TLS")),
            }
            // Bytes before the handshake are nobody's word (CVE-2021-23222).
            if socket.take_early_bytes() {
                return Err(io::Error::other("received unencrypted data after SSL response"));
            }
        }
        let name = server_name(name, self.mode)?;
        let connection = ClientConnection::new(config.clone(), name);
        let connection = connection.map_err(|error| io::Error::other(in_words(&error)))?;
        socket.start_tls(connection, &[]).await?;
        if self.direct && socket.tls().and_then(|tls| tls.alpn()) != Some(pem::ALPN) {
            return Err(io::Error::other("the server does not say by ALPN that it is PostgreSQL"));
        }
        Ok(())
    }
}

/// The name to verify and to send; a host that can be no name in a certificate is allowed where it is not verified.
fn server_name(host: &str, mode: SslMode) -> io::Result<ServerName<'static>> {
    match ServerName::try_from(host.to_owned()) {
        Ok(name) => Ok(name),
        Err(error) if mode == SslMode::VerifyFull => Err(io::Error::other(error)),
        Err(_) => Ok(ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())),
    }
}

fn config(tls: &ServerTls) -> Result<ClientConfig, BadFile> {
    let provider = pem::provider();
    let algorithms = provider.signature_verification_algorithms;
    let mut verifier =
        Verifier { roots: None, listed: vec![], name: tls.mode == SslMode::VerifyFull, algorithms };
    match &tls.ca_file {
        // As libpq: with a file of authorities, `require` verifies too.
        Some(file) => {
            verifier.roots = Some(pem::authorities(file)?);
            verifier.listed = pem::certificates(file)?;
        }
        None if tls.mode >= SslMode::VerifyCa => verifier.roots = Some(system_authorities()?),
        None => {}
    }
    let unfit = |error: Error| BadFile::new(Path::new("TLS"), in_words(&error));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => {
            let unfit = |error: Error| pem::unfit(cert, key, &error);
            builder.with_client_auth_cert(pem::certificates(cert)?, pem::private_key(key)?).map_err(unfit)?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![pem::ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn system_authorities() -> Result<Arc<RootCertStore>, BadFile> {
    let missing =
        || BadFile::new(Path::new("sslrootcert"), "the system has no file of authorities; name one");
    let file = SYSTEM.iter().map(Path::new).find(|file| file.is_file()).ok_or_else(missing)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem::certificates(file)?);
    Ok(Arc::new(roots))
}

/// Judges a server's certificate as far as `sslmode` asks.
#[derive(Debug)]
struct Verifier {
    /// Whose signatures count; `None`: any certificate will do.
    roots: Option<Arc<RootCertStore>>,
    /// Certificates that are trusted themselves: a server that signed its own is listed so.
    listed: Vec<CertificateDer<'static>>,
    /// Whether the certificate must name the host.
    name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if !self.listed.contains(end_entity) {
            let known = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, known)?;
        } else if !is_valid_at(end_entity, now.as_secs()) {
            return Err(CertificateError::Expired.into());
        }
        if self.name {
            verify_server_name(&certificate, server_name)
                .or_else(|error| if named_by_cn(end_entity, server_name) { Ok(()) } else { Err(error) })?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.old_key(cert) {
            Some(key) => verify_tls12_signature_with_key(message, &key, dss, &self.algorithms),
            None => verify_tls12_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.old_key(cert) {
            Some(key) => {
                let info = SubjectPublicKeyInfoDer::from(key.info);
                verify_tls13_signature_with_raw_key(message, &info, dss, &self.algorithms)
            }
            None => verify_tls13_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    /// The key of a certificate of version 1, which rustls does not read. It will do where no chain is verified; that the server has
    /// the key is verified all the same, since SCRAM is bound to the certificate.
    fn old_key(&self, cert: &CertificateDer<'_>) -> Option<PublicKey> {
        if self.roots.is_some() { None } else { old_public_key(cert) }
    }
}

/// As rustls has it for certificates: a scheme of TLS 1.2 may stand for several algorithms, of which one is for the key.
fn verify_tls12_signature_with_key(
    message: &[u8],
    key: &PublicKey,
    dss: &DigitallySignedStruct,
    known: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let (_, algorithms) = known
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == dss.scheme)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let algorithm = algorithms
        .iter()
        .find(|algorithm| algorithm.public_key_alg_id().as_ref() == key.algorithm)
        .ok_or(CertificateError::BadSignature)?;
    let valid = algorithm.verify_signature(&key.bits, message, dss.signature());
    valid.map_err(|_| CertificateError::BadSignature)?;
    Ok(HandshakeSignatureValid::assertion())
}

/// Old certificates have no alternative names; then libpq takes the common name.
fn named_by_cn(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let ServerName::DnsName(host) = name else { return false };
    certificate_names(certificate).is_ok_and(|names| {
        names.san_dns.is_empty() && names.cn.is_some_and(|cn| cn.eq_ignore_ascii_case(host.as_ref()))
    })
}
