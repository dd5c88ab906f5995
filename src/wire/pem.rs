//! Certificates and keys from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::tls_fault::in_words;

/// The protocol's name in ALPN.
pub const ALPN: &[u8] = b"postgresql";

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct BadFile {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

impl BadFile {
    /// An error about `file`.
    pub fn new(file: &Path, problem: impl Into<String>) -> BadFile {
        BadFile { file: file.to_owned(), problem: problem.into() }
    }
}

/// All certificates of a file, in order; there is at least one.
///
/// # Errors
/// The file cannot be read, is not PEM, or has no certificate.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let text = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found =
        found.map_err(|error| BadFile::new(file, format!("not a file of certificates in PEM: {error}")))?;
    if found.is_empty() {
        return Err(BadFile::new(file, "no certificate in PEM is in it"));
    }
    Ok(found)
}

/// The private key of a file.
///
/// # Errors
/// The file cannot be read, or has no key that is not encrypted.
pub fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, BadFile> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| {
        BadFile::new(file, format!("no private key in PEM, without a passphrase, is in it: {error}"))
    })
}

/// Why a certificate and a key cannot be used: a key that is another's is the fault of the key's file.
pub fn unfit(cert: &Path, key: &Path, error: &rustls::Error) -> BadFile {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            BadFile::new(key, format!("this is not the key of the certificate in {}", cert.display()))
        }
        _ => BadFile::new(
            cert,
            format!("cannot be used with the key in {}: {}", key.display(), in_words(error)),
        ),
    }
}

/// The authorities of a file.
///
/// # Errors
/// As [`certificates`], or one of them cannot be an authority.
pub fn authorities(file: &Path) -> Result<Arc<RootCertStore>, BadFile> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| BadFile::new(file, in_words(&error)))?;
    }
    Ok(Arc::new(roots))
}

/// The cryptography in use.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn read(file: &Path) -> Result<Vec<u8>, BadFile> {
    std::fs::read(file).map_err(|error| BadFile::new(file, error.to_string()))
}
