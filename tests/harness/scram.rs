//! The client's side of SCRAM-SHA-256 and md5, written from RFC 5802 so that no code is shared with the proxy.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use md5::{Digest as _, Md5};

/// A SCRAM-SHA-256 exchange, ready to be started.
pub struct Scram {
    /// `n,,`, `y,,` or `p=tls-server-end-point,,`.
    pub gs2: String,
    /// The channel binding data, empty without `p=`.
    pub binding: Vec<u8>,
    password: Vec<u8>,
    nonce: String,
    auth_message: String,
    salted: [u8; 32],
}

impl Scram {
    /// Without channel binding.
    pub fn new(password: &[u8]) -> Self {
        let mut random = [0u8; 18];
        aws_lc_rs::rand::fill(&mut random).expect("the system gives random bytes");
        Self {
            gs2: "n,,".into(),
            binding: Vec::new(),
            password: password.to_vec(),
            nonce: BASE64.encode(random),
            auth_message: String::new(),
            salted: [0; 32],
        }
    }

    /// The body of SASLInitialResponse.
    pub fn first(&self, mechanism: &str) -> Vec<u8> {
        let first = format!("{}n=,r={}", self.gs2, self.nonce);
        let mut body = mechanism.as_bytes().to_vec();
        body.push(0);
        body.extend_from_slice(&(first.len() as u32).to_be_bytes());
        body.extend_from_slice(first.as_bytes());
        body
    }

    /// The body of SASLResponse for the server's first message.
    pub fn last(&mut self, server_first: &str) -> Result<Vec<u8>, String> {
        let part = |key: &str| -> Result<&str, String> {
            let found = server_first.split(',').find_map(|p| p.strip_prefix(key));
            found.ok_or_else(|| format!("no {key} in server-first-message {server_first:?}"))
        };
        let nonce = part("r=")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's nonce does not extend ours".into());
        }
        let salt = BASE64.decode(part("s=")?).map_err(|e| e.to_string())?;
        let iterations = part("i=")?.parse().map_err(|_| "the iteration count is no number".to_string())?;
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, &self.password, &mut self.salted);

        let binding = BASE64.encode([self.gs2.as_bytes(), &self.binding].concat());
        let without_proof = format!("c={binding},r={nonce}");
        self.auth_message = format!("n=,r={},{server_first},{without_proof}", self.nonce);
        let client_key = mac(&self.salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let signature = mac(stored_key.as_ref(), self.auth_message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes())
    }

    /// Whether the server's last message proves that it knows the verifier.
    pub fn check(&self, server_last: &str) -> Result<(), String> {
        let server_key = mac(&self.salted, b"Server Key");
        let expected = BASE64.encode(mac(&server_key, self.auth_message.as_bytes()));
        match server_last.strip_prefix("v=") {
            Some(signature) if signature == expected => Ok(()),
            _ => Err(format!("the server's signature is wrong: {server_last:?}")),
        }
    }
}

/// The answer to an md5 challenge.
pub fn md5_answer(user: &str, password: &str, salt: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let inner = hex(&Md5::digest(format!("{password}{user}")));
    format!("md5{}", hex(&Md5::digest([inner.as_bytes(), salt].concat())))
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}
