//! The names in a certificate: common name, distinguished name (RFC 2253, as PostgreSQL prints it), DNS names.

use std::fmt::Write;

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::{Tag, ToDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The names that a certificate vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateNames {
    /// The first common name of the subject.
    pub cn: Option<String>,
    /// The subject in the form of RFC 2253, most specific part first: `CN=alice,OU=db,O=Example`. It is what
    /// `clientname=DN` compares, and what `openssl x509 -subject -nameopt RFC2253` prints.
    pub dn: String,
    /// The DNS names of the subject alternative name extension.
    pub san_dns: Vec<String>,
}

/// A certificate whose names cannot be trusted or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a certificate in DER.
    #[error("the certificate is not valid DER")]
    Unreadable,
    /// The trick of `alice\0.example.com`: what is seen depends on who reads.
    #[error("a name in the certificate contains an embedded null")]
    EmbeddedNull,
}

/// Reads the names of a certificate that TLS has verified.
///
/// # Errors
/// [`NameError`] if it is not a certificate, or a common or DNS name holds a NUL byte.
pub fn certificate_names(der: &[u8]) -> Result<CertificateNames, NameError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| NameError::Unreadable)?;
    let san_dns = dns_names(&certificate);
    let cn = common_name(certificate.subject());
    if san_dns.iter().chain(&cn).any(|name| name.contains('\0')) {
        return Err(NameError::EmbeddedNull);
    }
    Ok(CertificateNames { cn, dn: distinguished_name(certificate.subject()), san_dns })
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

fn common_name(subject: &X509Name<'_>) -> Option<String> {
    let attribute = subject.iter_common_name().next()?;
    Some(text_of(attribute)?.into_owned())
}

/// The value as text; `None` for types that are not strings.
fn text_of<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> Option<std::borrow::Cow<'a, str>> {
    let bytes = attribute.as_slice();
    match attribute.attr_value().tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            std::str::from_utf8(bytes).ok().map(Into::into)
        }
        // What is called T.61 is Latin-1 in practice, and to OpenSSL.
        Tag::TeletexString => Some(bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into()),
        Tag::BmpString => {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            let text: Result<String, _> = char::decode_utf16(units).collect();
            text.ok().map(Into::into)
        }
        _ => None,
    }
}

fn distinguished_name(subject: &X509Name<'_>) -> String {
    let parts: Vec<_> = subject.iter_rdn().collect();
    let mut text = String::new();
    for part in parts.into_iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        let mut attributes: Vec<String> = part.iter().map(print_attribute).collect();
        attributes.reverse();
        text.push_str(&attributes.join("+"));
    }
    text
}

fn print_attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid);
    match (short, text_of(attribute)) {
        (Some((_, name)), Some(value)) => format!("{name}={}", escape(&value)),
        (Some((_, name)), None) => format!("{name}={}", dump(attribute)),
        (None, _) => format!("{oid}={}", dump(attribute)),
    }
}

/// `#` and the DER of the value in hexadecimal: for what has no name or is no string.
fn dump(attribute: &AttributeTypeAndValue<'_>) -> String {
    let mut text = "#".to_owned();
    for byte in attribute.attr_value().to_der_vec().unwrap_or_default() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}

/// RFC 2253 section 2.4, and every byte outside printable ASCII as `\XX`, as OpenSSL does.
fn escape(value: &str) -> String {
    let last = value.len().wrapping_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => text.extend(['\\', byte as char]),
            b'#' if at == 0 => text.push_str("\\#"),
            b' ' if at == 0 || at == last => text.push_str("\\ "),
            0x20..=0x7e => text.push(byte as char),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
    text
}

/// The names that OpenSSL gives to attribute types of subjects.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.20", "telephoneNumber"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"),
];
