//! Certificates made on the spot, and a TLS client that accepts them.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SignatureAlgorithm, SigningKey as _,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

use super::message::text;

/// An authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
pub struct Identity {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "pgweir test authority");
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate can be made");
        Self { issuer }
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for this name, which is the common name too.
    pub fn identity(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_string()]).expect("the name is well formed");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        Identity { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// The same as X.509 version 1, with a key of this kind: what `openssl x509 -req` makes where no extensions are named.
    pub fn old_identity(&self, name: &str, kind: &'static SignatureAlgorithm) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate_for(kind).expect("a key can be made");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        let old = version_1(cert.der(), self.issuer.key());
        let lines: Vec<_> = BASE64.encode(old).into_bytes().chunks(64).map(text).collect();
        let cert = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        Identity { cert, key: key.serialize_pem() }
    }

    /// A client that trusts this authority, may show an identity, and offers these ALPN names.
    pub fn client(&self, identity: Option<&Identity>, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.pem().as_bytes()).expect("a certificate");
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.expect("TLS 1.2 and 1.3").with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let cert = CertificateDer::from_pem_slice(identity.cert.as_bytes()).expect("a certificate");
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
                let key = provider.key_provider.load_private_key(key).expect("a usable key");
                let shown = SingleCertAndKey::from(CertifiedKey::new(vec![cert], key));
                builder.with_client_cert_resolver(Arc::new(shown))
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// The same certificate without the fields that came after version 1, signed anew.
fn version_1(der: &[u8], issuer: &KeyPair) -> Vec<u8> {
    const VERSION: u8 = 0xa0;
    const EXTENSIONS: u8 = 0xa3;
    let [fields, algorithm, _] = elements(content(der))[..] else { panic!("no certificate") };
    let kept =
        elements(content(fields)).into_iter().filter(|field| !matches!(field[0], VERSION | EXTENSIONS));
    let fields = element(0x30, &kept.collect::<Vec<_>>().concat());
    let signature = issuer.sign(&fields).expect("it can be signed");
    let signature = element(0x03, &[&[0][..], &signature].concat());
    element(0x30, &[&fields, algorithm, &signature].concat())
}

/// A DER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..128 => vec![tag, length as u8],
        128..256 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head, content.to_vec()].concat()
}

/// Where the content of a DER element begins and ends.
fn extent(der: &[u8]) -> (usize, usize) {
    let (start, length) = match der[1] {
        long @ 0x81.. => {
            let start = 2 + usize::from(long & 0x7f);
            (start, der[2..start].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
        short => (2, usize::from(short)),
    };
    (start, start + length)
}

fn content(der: &[u8]) -> &[u8] {
    let (start, end) = extent(der);
    &der[start..end]
}

/// The elements that stand one behind the other.
fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut all = vec![];
    while !der.is_empty() {
        let (one, rest) = der.split_at(extent(der).1);
        all.push(one);
        der = rest;
    }
    all
}
