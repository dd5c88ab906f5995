//! What certificates say: the data that binds SCRAM to a TLS connection, and the names of a client.
//!
//! Nothing here verifies a signature or a chain: that is done by TLS.

mod names;

#[cfg(test)]
mod tests;

pub use names::{CertificateNames, NameError, certificate_names};

use aws_lc_rs::digest::{self, Algorithm};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::prelude::FromDer;
use x509_parser::signature_algorithm::{RsaSsaPssParams, SignatureAlgorithm};
use x509_parser::x509::X509Version;

/// The `tls-server-end-point` binding of a server's certificate (RFC 5929 section 4.1): its hash, by the hash function of
/// its signature; SHA-256 where that is MD5 or SHA-1.
///
/// `None` if the certificate cannot be read or its signature has no single hash function of the SHA-2 family (Ed25519, for
/// one). RFC 5929 defines no binding then, and PLUS must not be offered: use [`super::scram::ChannelBinding::None`].
#[must_use]
pub fn tls_server_end_point(cert_der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(cert_der).ok()?;
    let algorithm = signature_hash(&certificate)?;
    Some(digest::digest(algorithm, cert_der).as_ref().to_vec())
}

/// Whether the certificate is in force at this time, in seconds since 1970.
#[must_use]
pub fn is_valid_at(cert_der: &[u8], seconds: u64) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(cert_der) else {
        return false;
    };
    let validity = certificate.validity();
    let within = validity.not_before.timestamp()..=validity.not_after.timestamp();
    i64::try_from(seconds).is_ok_and(|now| within.contains(&now))
}

/// The public key of a certificate, as it stands there.
#[derive(Debug)]
pub struct PublicKey {
    /// The whole SubjectPublicKeyInfo, DER.
    pub info: Vec<u8>,
    /// The content of its AlgorithmIdentifier.
    pub algorithm: Vec<u8>,
    /// The key's own bits.
    pub bits: Vec<u8>,
}

/// The key of a certificate of X.509 version 1 or 2, which TLS does not read by itself; `None` for any other.
#[must_use]
pub fn old_public_key(cert_der: &[u8]) -> Option<PublicKey> {
    let (_, certificate) = X509Certificate::from_der(cert_der).ok()?;
    if !matches!(certificate.version(), X509Version::V1 | X509Version::V2) {
        return None;
    }
    let key = certificate.public_key();
    let (_, info) = Any::from_der(key.raw).ok()?;
    let (_, algorithm) = Any::from_der(info.data).ok()?;
    Some(PublicKey {
        info: key.raw.to_vec(),
        algorithm: algorithm.data.to_vec(),
        bits: key.subject_public_key.data.to_vec(),
    })
}

fn signature_hash(certificate: &X509Certificate<'_>) -> Option<&'static Algorithm> {
    let oid = certificate.signature_algorithm.algorithm.to_id_string();
    if oid == RSASSA_PSS {
        return match SignatureAlgorithm::try_from(&certificate.signature_algorithm).ok()? {
            SignatureAlgorithm::RSASSA_PSS(parameters) => pss_hash(&parameters),
            _ => None,
        };
    }
    by_oid(SIGNATURES, &oid)
}

fn pss_hash(parameters: &RsaSsaPssParams<'_>) -> Option<&'static Algorithm> {
    by_oid(HASHES, &parameters.hash_algorithm_oid().to_id_string())
}

type Table = [(&'static str, &'static Algorithm)];

fn by_oid(table: &Table, oid: &str) -> Option<&'static Algorithm> {
    table.iter().find(|(known, _)| *known == oid).map(|(_, algorithm)| *algorithm)
}

const RSASSA_PSS: &str = "1.2.840.113549.1.1.10";

/// Signature algorithms (RFC 3279, 4055, 5758) and the hash of the binding.
const SIGNATURES: &Table = &[
    ("1.2.840.113549.1.1.4", &digest::SHA256),   // md5WithRSAEncryption
    ("1.2.840.113549.1.1.5", &digest::SHA256),   // sha1WithRSAEncryption
    ("1.2.840.113549.1.1.14", &digest::SHA224),  // sha224WithRSAEncryption
    ("1.2.840.113549.1.1.11", &digest::SHA256),  // sha256WithRSAEncryption
    ("1.2.840.113549.1.1.12", &digest::SHA384),  // sha384WithRSAEncryption
    ("1.2.840.113549.1.1.13", &digest::SHA512),  // sha512WithRSAEncryption
    ("1.2.840.10045.4.1", &digest::SHA256),      // ecdsa-with-SHA1
    ("1.2.840.10045.4.3.1", &digest::SHA224),    // ecdsa-with-SHA224
    ("1.2.840.10045.4.3.2", &digest::SHA256),    // ecdsa-with-SHA256
    ("1.2.840.10045.4.3.3", &digest::SHA384),    // ecdsa-with-SHA384
    ("1.2.840.10045.4.3.4", &digest::SHA512),    // ecdsa-with-SHA512
    ("1.2.840.10040.4.3", &digest::SHA256),      // dsa-with-SHA1
    ("2.16.840.1.101.3.4.3.1", &digest::SHA224), // dsa-with-SHA224
    ("2.16.840.1.101.3.4.3.2", &digest::SHA256), // dsa-with-SHA256
];

/// Hash functions, for RSASSA-PSS, whose parameters name one.
const HASHES: &Table = &[
    ("1.3.14.3.2.26", &digest::SHA256),      // sha1
    ("1.2.840.113549.2.5", &digest::SHA256), // md5
    ("2.16.840.1.101.3.4.2.4", &digest::SHA224),
    ("2.16.840.1.101.3.4.2.1", &digest::SHA256),
    ("2.16.840.1.101.3.4.2.2", &digest::SHA384),
    ("2.16.840.1.101.3.4.2.3", &digest::SHA512),
];
