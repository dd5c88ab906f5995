//! Expected values: `openssl dgst` of the DER, and `openssl x509 -subject -nameopt RFC2253`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;
use crate::auth::testing::Garbage;

fn der(base64: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(base64).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn binding_hash_follows_the_signature() {
    let expected = [
        (EC_SHA1, "5714c2b063439cb97263e0d71afdb62b94b50b765d6b906216dc359137b1bc0b"),
        (EC_SHA224, "c4ef259599c9bcd834251e09d4b22a79022b6fa45b240a3de8b9feb8"),
        (EC_SHA256, "f4594f700b305b0542b1ffc4f753be74cc31cc955cea6aa60e3a2ca8f06a15f9"),
        (
            EC_SHA384,
            "bd3d9d8e7929f6db03639ed3f0bfa7b61774ee4504910d248f6b1e0370cf5dd93a20effc47b308fb24f24402f8f92b10",
        ),
        (
            EC_SHA512,
            "0dd8c889df7e49fc3e2c386e383e5156f928b7be704fdc43eeddcdb575905cbe0a0679a279176e23da913c97d50e2ea69fff92a0440c1f41e3e111de585f5556",
        ),
        (RSA_MD5, "50f63c0d227ae1379fdb4316378159341617057a69ac6af6ae931716417fcd5d"),
        (
            RSA_SHA384,
            "e88e52fc020f9c49cbe2547e6de4fb8a8369a9d2621422a82c1481f966ecee01a248fa615a784cd23f3e09676d4a3a9e",
        ),
        (
            PSS_SHA384,
            "ce736e227df9ce0c0766a7ca81188c2c2d8ad173dc09ae5ab80533dedf707e4d8238c646195d9cfa7613bdfb2867b0a7",
        ),
    ];
    for (certificate, hash) in expected {
        assert_eq!(hex(&tls_server_end_point(&der(certificate)).unwrap()), hash);
    }
}

#[test]
fn certificates_are_in_force_for_a_time() {
    assert!(!is_valid_at(&der(EC_SHA256), 0));
    assert!(!is_valid_at(&der(EC_SHA256), u64::MAX));
    assert!(!is_valid_at(b"no certificate", 1_700_000_000));
    let bytes = der(EC_SHA256);
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    let begins = certificate.validity().not_before.timestamp();
    assert!(is_valid_at(&bytes, u64::try_from(begins).unwrap()));
}

#[test]
fn no_binding_where_rfc_5929_defines_none() {
    assert_eq!(tls_server_end_point(&der(ED25519)), None);
    assert_eq!(tls_server_end_point(b""), None);
    assert_eq!(tls_server_end_point(b"not a certificate"), None);
}

#[test]
fn names_are_printed_as_openssl_does() {
    let names = certificate_names(&der(NAMES)).unwrap();
    assert_eq!(names.cn.as_deref(), Some("alice"));
    assert_eq!(
        names.dn,
        r"1.2.3.4.5=#0C036F6464,emailAddress=a@b.c,CN=alice,UID=u1,OU=\#d\C3\A9v,O=Example\, Inc.\+\<x\>\;\\,C=DE"
    );
    assert_eq!(names.san_dns, ["alice.example", "*.db.example"]);
}

#[test]
fn first_common_name_counts() {
    let names = certificate_names(&der(MULTI)).unwrap();
    assert_eq!(names.dn, r"CN=second,OU=\ lead trail\ ,UID=7+CN=bob,C=FR");
    assert_eq!(names.cn.as_deref(), Some("bob"));
    assert!(names.san_dns.is_empty());
}

#[test]
fn embedded_null_is_refused() {
    assert_eq!(certificate_names(&der(NUL)), Err(NameError::EmbeddedNull));
    assert_eq!(certificate_names(b"\x30\x00"), Err(NameError::Unreadable));
}

#[test]
fn garbage_does_not_panic() {
    let mut garbage = Garbage::new(29);
    for valid in [NAMES, MULTI, PSS_SHA384] {
        let valid = der(valid);
        for length in 0..valid.len() {
            assert!(certificate_names(&valid[..length]).is_err());
        }
        for _ in 0..3000 {
            let bytes = garbage.mutate(&valid);
            let _ = certificate_names(&bytes);
            let _ = tls_server_end_point(&bytes);
        }
    }
}

const EC_SHA1: &str = "\
    MIIBczCCARqgAwIBAgIUQXTXkA4IyIzHMghVhfS4OWBCL8swCQYHKoZIzj0EATAPMQ0wCwYDVQQDDARzaGExMCAXDTI2MTEyNDA2\
    NDgzNVoYDzIxMjYxMDMxMDY0ODM1WjAPMQ0wCwYDVQQDDARzaGExMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBP4cd+N6khiG\
    cn1Eemhf9kAVmP+QMAfBEl8JmAbMC+eaT35SToJd+NObRodGZBQ5bgbDs6lL5zO3nytiSWCbPKNTMFEwHQYDVR0OBBYEFH5kK5Hh\
    dHuoiKxMZUckl0BbCtDxMB8GA1UdIwQYMBaAFH5kK5HhdHuoiKxMZUckl0BbCtDxMA8GA1UdEwEB/wQFMAMBAf8wCQYHKoZIzj0E\
    AQNIADBFAiEA+2NvoleYeXD++aaWHGAL856PgTsH8FqlmYGRa8Gf7FcCIEkrWjz3CA4xeBy6LPNGU2iJ3QRKeOw/TnElevry16vB";
const EC_SHA224: &str = "\
    MIIBeTCCAR+gAwIBAgIUIRdxseezWbJCX4HvLm22Vbh/fHYwCgYIKoZIzj0EAwEwETEPMA0GA1UEAwwGc2hhMjI0MCAXDTI2MTEy\
    NDA2NDgzNVoYDzIxMjYxMDMxMDY0ODM1WjARMQ8wDQYDVQQDDAZzaGEyMjQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQE/hx3\
    43qSGIZyfUR6aF/2QBWY/5AwB8ESXwmYBswL55pPflJOgl3405tGh0ZkFDluBsOzqUvnM7efK2JJYJs8o1MwUTAdBgNVHQ4EFgQU\
    fmQrkeF0e6iIrExlRySXQFsK0PEwHwYDVR0jBBgwFoAUfmQrkeF0e6iIrExlRySXQFsK0PEwDwYDVR0TAQH/BAUwAwEB/zAKBggq\
    hkjOPQQDAQNIADBFAiBRZAGEYvzrfDOqDJcNLOEbZsSBXXX9eKOgY35ac5MfaAIhANzJxvYd1AhZWdo0aKTwtxWRajRvkwcYk5QT\
    U+HaBlkv";
const EC_SHA256: &str = "\
    MIIBejCCAR+gAwIBAgIUfH9+qLpxkqexL4d3DE/rY9vwSJAwCgYIKoZIzj0EAwIwETEPMA0GA1UEAwwGc2hhMjU2MCAXDTI2MTEy\
    NDA2NDgzNVoYDzIxMjYxMDMxMDY0ODM1WjARMQ8wDQYDVQQDDAZzaGEyNTYwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQE/hx3\
    43qSGIZyfUR6aF/2QBWY/5AwB8ESXwmYBswL55pPflJOgl3405tGh0ZkFDluBsOzqUvnM7efK2JJYJs8o1MwUTAdBgNVHQ4EFgQU\
    fmQrkeF0e6iIrExlRySXQFsK0PEwHwYDVR0jBBgwFoAUfmQrkeF0e6iIrExlRySXQFsK0PEwDwYDVR0TAQH/BAUwAwEB/zAKBggq\
    hkjOPQQDAgNJADBGAiEA4nWkfL5+RZbM2Zoj95b49p11q0PKflvCbYHCsvSG34wCIQCRm7Esfk0+M29WQr3wq1pRR6CGh+Su3dYg\
    uzzVzwMxyg==";
const EC_SHA384: &str = "\
    MIIBeTCCAR+gAwIBAgIUFhgUQE4qFhTrWLeoc1dcwUOn/jIwCgYIKoZIzj0EAwMwETEPMA0GA1UEAwwGc2hhMzg0MCAXDTI2MTEy\
    NDA2NDgzNVoYDzIxMjYxMDMxMDY0ODM1WjARMQ8wDQYDVQQDDAZzaGEzODQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQE/hx3\
    43qSGIZyfUR6aF/2QBWY/5AwB8ESXwmYBswL55pPflJOgl3405tGh0ZkFDluBsOzqUvnM7efK2JJYJs8o1MwUTAdBgNVHQ4EFgQU\
    fmQrkeF0e6iIrExlRySXQFsK0PEwHwYDVR0jBBgwFoAUfmQrkeF0e6iIrExlRySXQFsK0PEwDwYDVR0TAQH/BAUwAwEB/zAKBggq\
    hkjOPQQDAwNIADBFAiByEARxV1t4kzeay816ElstV/0ybTumc9WPgBWvce64mgIhALGOB0z5TV/LaJiIzxg1pBD0RiRogaoiJezM\
    vautMezV";
const EC_SHA512: &str = "\
    MIIBejCCAR+gAwIBAgIUHFRYQaEqF3/ZmFbw5uSugbaG+VQwCgYIKoZIzj0EAwQwETEPMA0GA1UEAwwGc2hhNTEyMCAXDTI2MTEy\
    NDA2NDgzNVoYDzIxMjYxMDMxMDY0ODM1WjARMQ8wDQYDVQQDDAZzaGE1MTIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQE/hx3\
    43qSGIZyfUR6aF/2QBWY/5AwB8ESXwmYBswL55pPflJOgl3405tGh0ZkFDluBsOzqUvnM7efK2JJYJs8o1MwUTAdBgNVHQ4EFgQU\
    fmQrkeF0e6iIrExlRySXQFsK0PEwHwYDVR0jBBgwFoAUfmQrkeF0e6iIrExlRySXQFsK0PEwDwYDVR0TAQH/BAUwAwEB/zAKBggq\
    hkjOPQQDBANJADBGAiEA8sK4kWKy84le4Qy9o4dLwATm4UGdGpgGcxArgslBH94CIQCFqIvjACODdQ/PVgJ8sLgmi8pCCWQkyp14\
    GECC1OJ/SQ==";
const RSA_MD5: &str = "\
    MIIB9jCCAV+gAwIBAgIUTWB6cD0UbIL01Huku8bvDN0SbqcwDQYJKoZIhvcNAQEEBQAwDDEKMAgGA1UEAwwBcjAgFw0yNjExMjQw\
    NjQ4MzVaGA8yMTI2MTAzMTA2NDgzNVowDDEKMAgGA1UEAwwBcjCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAn6Ac/Yqau0uM\
    AZ5p6P1IAz9zmexuL1RTCqXF0T47KzKjH+OsSTUVa1RqTdFUkxcL+w5JOwscHy/BDQ5sau05to84jOOFF3VgjAwFeh3Oo5ifLs9x\
    Q+8mIrlWSK5kSEtp0JYt8YVIIQo8FAzwdh0t02x7Ii+R9QoYlNu1KgzoAs0CAwEAAaNTMFEwHQYDVR0OBBYEFJJmfwkzV9nMKk1A\
    vDjTIxr9IRfkMB8GA1UdIwQYMBaAFJJmfwkzV9nMKk1AvDjTIxr9IRfkMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQEEBQAD\
    gYEAgIwQKcEagocswx0vmRI6j38PpT2VcByry4zdS2co68XH89RfYqvMIuXHMq+fBOFhHmNq+ksyyH1hPhNeG5qV/RMM5K5VkbN4\
    CnIDrm+gYVH41l1W3mKnJbY51pDLgFtS7pwMC7oVewyYj+mkyzBax2JlC90IX5bdibGuANxnL/E=";
const RSA_SHA384: &str = "\
    MIIB9jCCAV+gAwIBAgIUJ8B+az0WeProP2trt00+nCN02JQwDQYJKoZIhvcNAQEMBQAwDDEKMAgGA1UEAwwBcjAgFw0yNjExMjQw\
    NjQ4MzVaGA8yMTI2MTAzMTA2NDgzNVowDDEKMAgGA1UEAwwBcjCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAn6Ac/Yqau0uM\
    AZ5p6P1IAz9zmexuL1RTCqXF0T47KzKjH+OsSTUVa1RqTdFUkxcL+w5JOwscHy/BDQ5sau05to84jOOFF3VgjAwFeh3Oo5ifLs9x\
    Q+8mIrlWSK5kSEtp0JYt8YVIIQo8FAzwdh0t02x7Ii+R9QoYlNu1KgzoAs0CAwEAAaNTMFEwHQYDVR0OBBYEFJJmfwkzV9nMKk1A\
    vDjTIxr9IRfkMB8GA1UdIwQYMBaAFJJmfwkzV9nMKk1AvDjTIxr9IRfkMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQEMBQAD\
    gYEAGAxDvKeluSp6OUdYrwvfUIcTOyem3ObSl/2TR3KlZzW0R2z2PMrmdu06FOrVmh+IaUR/gCi9ANUCIkSeOzS300JX4SaeL+xI\
    4U37VR49agt5U4JKce6ZKp+eId8VJ2O6xKu0p3eRRgZHu5D8jivVP5SgKweTtfwO551KTuXTcf8=";
const PSS_SHA384: &str = "\
    MIICXjCCAZOgAwIBAgIUSEO7rpC65T9VLEe4eAdjplmvUF0wQQYJKoZIhvcNAQEKMDSgDzANBglghkgBZQMEAgIFAKEcMBoGCSqG\
    SIb3DQEBCDANBglghkgBZQMEAgIFAKIDAgFOMAwxCjAIBgNVBAMMAXAwIBcNMjYxMTI0MDY0ODM1WhgPMjEyNjEwMzEwNjQ4MzVa\
    MAwxCjAIBgNVBAMMAXAwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBAJ+gHP2KmrtLjAGeaej9SAM/c5nsbi9UUwqlxdE+Oysy\
    ox/jrEk1FWtUak3RVJMXC/sOSTsLHB8vwQ0ObGrtObaPOIzjhRd1YIwMBXodzqOYny7PcUPvJiK5VkiuZEhLadCWLfGFSCEKPBQM\
    8HYdLdNseyIvkfUKGJTbtSoM6ALNAgMBAAGjUzBRMB0GA1UdDgQWBBSSZn8JM1fZzCpNQLw40yMa/SEX5DAfBgNVHSMEGDAWgBSS\
    Zn8JM1fZzCpNQLw40yMa/SEX5DAPBgNVHRMBAf8EBTADAQH/MEEGCSqGSIb3DQEBCjA0oA8wDQYJYIZIAWUDBAICBQChHDAaBgkq\
    hkiG9w0BAQgwDQYJYIZIAWUDBAICBQCiAwIBTgOBgQBA3wzBO0qlliazVjFR8dkIi01LiAw+07HWBQvCGLkv7AuW8M+YD5F64rVU\
    z+MUEbo8M37UPq+a4l4NPA35+RDqkVx8UXig99A4IydX6f1niSbk0yaTWtIHtmywf0u+qLuK6YcSJ1nrAgW5qe1laAaEUtcYGAhi\
    9IXawuKaQMyARg==";
const ED25519: &str = "\
    MIIBLjCB4aADAgECAhQXx1IFGTrkGJG6iwovuK+Y1RhTTjAFBgMrZXAwDDEKMAgGA1UEAwwBZTAgFw0yNjExMjQwNjQ4MzVaGA8y\
    MTI2MTAzMTA2NDgzNVowDDEKMAgGA1UEAwwBZTAqMAUGAytlcAMhADdyixZkXsj1sRIoMOUVu3LyC28gXrSH5ZEqRsBRSxVgo1Mw\
    UTAdBgNVHQ4EFgQUtJasfggHxLTeHwPtussbcEqk0nAwHwYDVR0jBBgwFoAUtJasfggHxLTeHwPtussbcEqk0nAwDwYDVR0TAQH/\
    BAUwAwEB/zAFBgMrZXADQQBIB3ZpJQ1f2obmFLDbsPCDsefkE0bTnn9mrKUSF1M5lo3PUktjiDi/b7hhm5DNsBoxYXyK4ryqjI46\
    TJvcLwcL";
const NAMES: &str = "\
    MIICaDCCAg6gAwIBAgIUeIPnNiwRKAXxGzMJcWyONf4YXOcwCgYIKoZIzj0EAwIwgYQxCzAJBgNVBAYTAkRFMRwwGgYDVQQKDBNF\
    eGFtcGxlLCBJbmMuKzx4PjtcMQ4wDAYDVQQLDAUjZMOpdjESMBAGCgmSJomT8ixkAQEMAnUxMQ4wDAYDVQQDDAVhbGljZTEUMBIG\
    CSqGSIb3DQEJARYFYUBiLmMxDTALBgQqAwQFDANvZGQwIBcNMjYxMTI0MDY1MzIzWhgPMjEyNjEwMzEwNjUzMjNaMIGEMQswCQYD\
    VQQGEwJERTEcMBoGA1UECgwTRXhhbXBsZSwgSW5jLis8eD47XDEOMAwGA1UECwwFI2TDqXYxEjAQBgoJkiaJk/IsZAEBDAJ1MTEO\
    MAwGA1UEAwwFYWxpY2UxFDASBgkqhkiG9w0BCQEWBWFAYi5jMQ0wCwYEKgMEBQwDb2RkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD\
    QgAEBP4cd+N6khiGcn1Eemhf9kAVmP+QMAfBEl8JmAbMC+eaT35SToJd+NObRodGZBQ5bgbDs6lL5zO3nytiSWCbPKNaMFgwLAYD\
    VR0RBCUwI4INYWxpY2UuZXhhbXBsZYIMKi5kYi5leGFtcGxlhwR/AAABMAkGA1UdEwQCMAAwHQYDVR0OBBYEFH5kK5HhdHuoiKxM\
    ZUckl0BbCtDxMAoGCCqGSM49BAMCA0gAMEUCID/gr+iqsyfTjSmrwkyZezeTsDfZhsWmPUEqRe2kySIMAiEA4ScaNJ97+SaZhNF8\
    q4K47uG1huQj4LZF930FqvKu55o=";
const MULTI: &str = "\
    MIICADCCAaWgAwIBAgIUXUGx6NMU7kjluKCVL/TLyVzXdTAwCgYIKoZIzj0EAwIwVDELMAkGA1UEBhMCRlIxHTAKBgNVBAMMA2Jv\
    YjAPBgoJkiaJk/IsZAEBDAE3MRUwEwYDVQQLDAwgbGVhZCB0cmFpbCAxDzANBgNVBAMMBnNlY29uZDAgFw0yNjExMjQwNjQ4MzVa\
    GA8yMTI2MTAzMTA2NDgzNVowVDELMAkGA1UEBhMCRlIxHTAKBgNVBAMMA2JvYjAPBgoJkiaJk/IsZAEBDAE3MRUwEwYDVQQLDAwg\
    bGVhZCB0cmFpbCAxDzANBgNVBAMMBnNlY29uZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAT+HHfjepIYhnJ9RHpoX/ZAFZj/\
    kDAHwRJfCZgGzAvnmk9+Uk6CXfjTm0aHRmQUOW4Gw7OpS+czt58rYklgmzyjUzBRMB0GA1UdDgQWBBR+ZCuR4XR7qIisTGVHJJdA\
    WwrQ8TAfBgNVHSMEGDAWgBR+ZCuR4XR7qIisTGVHJJdAWwrQ8TAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCd\
    6gJB4ttvxl83jDAdt/be3S8+p09blXHVE7oITxqB6AIhAMN+37+eHO24KxALLhmqJZFtsEWUqKFOxasAHrZrBK6G";
const NUL: &str = "\
    MIIBejCCAR+gAwIBAgIUfH9+qLpxkqexL4d3DE/rY9vwSJAwCgYIKoZIzj0EAwIwETEPMA0GA1UEAwwGc2hhADU2MCAXDTI2MTEy\
    NDA2NDgzNVoYDzIxMjYxMDMxMDY0ODM1WjARMQ8wDQYDVQQDDAZzaGEANTYwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQE/hx3\
    43qSGIZyfUR6aF/2QBWY/5AwB8ESXwmYBswL55pPflJOgl3405tGh0ZkFDluBsOzqUvnM7efK2JJYJs8o1MwUTAdBgNVHQ4EFgQU\
    fmQrkeF0e6iIrExlRySXQFsK0PEwHwYDVR0jBBgwFoAUfmQrkeF0e6iIrExlRySXQFsK0PEwDwYDVR0TAQH/BAUwAwEB/zAKBggq\
    hkjOPQQDAgNJADBGAiEA4nWkfL5+RZbM2Zoj95b49p11q0PKflvCbYHCsvSG34wCIQCRm7Esfk0+M29WQr3wq1pRR6CGh+Su3dYg\
    uzzVzwMxyg==";
