//! What went wrong with TLS, in words for people.
//!
//! rustls names much of it only as its own types are called.

use rustls::{CertificateError, Error};

/// As rustls-webpki calls what it says of such a certificate.
const VERSION_1: &str = "UnsupportedCertVersion";

/// What went wrong.
pub fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => format!("invalid peer certificate: {}", of_certificate(why)),
        Error::AlertReceived(alert) => format!("the peer broke it off: {}", spaced(&format!("{alert:?}"))),
        Error::PeerIncompatible(why) => format!("peer is incompatible: {}", spaced(&format!("{why:?}"))),
        Error::PeerMisbehaved(why) => format!("peer misbehaved: {}", spaced(&format!("{why:?}"))),
        Error::InvalidMessage(why) => format!("received corrupt message: {}", spaced(&format!("{why:?}"))),
        other => other.to_string(),
    }
}

fn of_certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::Other(other) if other.to_string() == VERSION_1 => {
            "it is an X.509 certificate of version 1, which has no place for the names and uses that are verified; \
             sign it anew as version 3: `openssl x509 -req` makes that with -extfile and a file in which \
             subjectAltName=DNS:NAME stands"
                .to_owned()
        }
        CertificateError::Other(other) => spaced(&other.to_string()),
        why if why.to_string() == format!("{why:?}") => spaced(&why.to_string()),
        why => why.to_string(),
    }
}

/// The name of a type, such as `UnknownIssuer`, as words: `unknown issuer`. What stands behind it is left out.
fn spaced(name: &str) -> String {
    let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    let letters: Vec<char> = name[..end].trim_end_matches("Context").chars().collect();
    let mut words = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let begins = at > 0
            && letter.is_ascii_uppercase()
            && (!letters[at - 1].is_ascii_uppercase()
                || letters.get(at + 1).is_some_and(char::is_ascii_lowercase));
        if begins {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, OtherError, PeerIncompatible, PeerMisbehaved};

    use super::*;

    #[test]
    fn names_of_types_are_words() {
        let check = |error: Error, expected: &str| assert_eq!(in_words(&error), expected);
        let certificate = Error::InvalidCertificate;
        check(certificate(CertificateError::UnknownIssuer), "invalid peer certificate: unknown issuer");
        check(certificate(CertificateError::NotValidForName), "invalid peer certificate: not valid for name");
        check(
            certificate(CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: vec![1],
                supported_algorithms: vec![],
            }),
            "invalid peer certificate: unsupported signature algorithm",
        );
        check(Error::AlertReceived(AlertDescription::UnknownCA), "the peer broke it off: unknown ca");
        check(
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            "peer is incompatible: no cipher suites in common",
        );
        check(
            Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme),
            "peer misbehaved: signed handshake with unadvertised sig scheme",
        );
        check(Error::DecryptError, "cannot decrypt peer's message");
        let other = OtherError(std::sync::Arc::new(std::io::Error::other("MissingOrMalformedExtensions")));
        check(
            certificate(CertificateError::Other(other)),
            "invalid peer certificate: missing or malformed extensions",
        );
    }
}
