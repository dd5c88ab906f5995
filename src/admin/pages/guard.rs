//! Who may see pages: who is on this machine, and who may use the console.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{ConnectInfo, Request};
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;

use super::super::http::Peer;
use crate::admin::Admin;
use crate::auth::Identity;
use crate::auth::identity::verify_cleartext;

/// Passwords that are tried at once; others wait.
const AT_ONCE: usize = 2;
/// How long a wrong one takes.
const PENALTY: Duration = Duration::from_millis(500);
/// What proxies add to what they pass on: who asks is then not who has connected.
const PASSED_ON: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Who has connected, where that is known.
pub(super) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0.0.ip())
}

/// Lets in.
pub(super) struct Guard {
    trials: Semaphore,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard { trials: Semaphore::new(AT_ONCE) }
    }
}

impl Guard {
    /// Nothing, if whoever asks may see pages; else the answer.
    pub(super) async fn check(
        &self,
        admin: &Admin,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<(), Response> {
        if is_local(peer, headers) {
            return Ok(());
        }
        let directory = admin.entrance.directory();
        let settings = &directory.settings;
        let names = settings.admin.admin_users.iter().chain(&settings.admin.stats_users);
        if names.clone().next().is_none() {
            let text = "pages are shown on this machine only: name users in admin.admin_users or admin.stats_users to see them from elsewhere\n";
            return Err((StatusCode::FORBIDDEN, text).into_response());
        }
        let Some((user, password)) = given(headers) else { return Err(refusal()) };
        // One at a time for each of few places, so that nobody tries many.
        let Ok(_place) = self.trials.acquire().await else { return Err(refusal()) };
        let may = names.clone().any(|name| *name == user) && settings.users.contains_key(&user);
        let identity = match may {
            true => directory.identity("pgweir", &user).await.unwrap_or_else(|_| unknown(&user)),
            false => unknown(&user),
        };
        let proven = tokio::task::spawn_blocking(move || {
            verify_cleartext(&identity, password.as_bytes(), SystemTime::now()).is_ok()
        });
        if proven.await.unwrap_or(false) {
            return Ok(());
        }
        let peer = peer.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        tracing::warn!(user, peer, "pages refused: wrong name or password");
        tokio::time::sleep(PENALTY).await;
        Err(refusal())
    }
}

fn unknown(user: &str) -> Arc<Identity> {
    Arc::new(Identity::unknown(user))
}

fn refusal() -> Response {
    let ask = [(WWW_AUTHENTICATE, "Basic realm=\"pgweir\", charset=\"UTF-8\"")];
    let text = "name and password of a user in admin.admin_users or admin.stats_users\n";
    (StatusCode::UNAUTHORIZED, ask, text).into_response()
}

/// Whether who asks is on this machine, and means to ask this machine: a page of somebody else's, whose name leads here, has that name in its requests.
fn is_local(peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
    let from_here = peer.is_some_and(|ip| ip.to_canonical().is_loopback());
    let passed_on = PASSED_ON.iter().any(|name| headers.contains_key(*name));
    let hosts: Vec<_> = headers.get_all(HOST).iter().collect();
    let host = match hosts.as_slice() {
        [one] => one.to_str().unwrap_or_default(),
        _ => return false,
    };
    from_here && !passed_on && is_loopback_name(host)
}

/// `localhost:6433`, `127.0.0.1`, `[::1]:6433`.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Name and password of Basic authentication (RFC 7617).
fn given(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(token.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn only_who_is_here_and_means_it_is_local() {
        let here = "127.0.0.1".parse().ok();
        let check = |peer: Option<IpAddr>, pairs: &[(&'static str, &str)]| is_local(peer, &headers(pairs));
        for host in ["localhost:6433", "127.0.0.1", "[::1]:6433", "LOCALHOST"] {
            assert!(check(here, &[("host", host)]), "{host}");
        }
        assert!(check("::ffff:127.0.0.1".parse().ok(), &[("host", "localhost")]));
        for host in ["evil.example:6433", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1.evil"] {
            assert!(!check(here, &[("host", host)]), "{host}");
        }
        assert!(!check("10.0.0.7".parse().ok(), &[("host", "localhost")]));
        assert!(!check(None, &[("host", "localhost")]) && !check(here, &[]));
        assert!(!check(here, &[("host", "localhost"), ("x-forwarded-for", "10.0.0.1")]));
    }

    #[test]
    fn name_and_password_are_read_or_are_not() {
        let check = |value: &str| given(&headers(&[("authorization", value)]));
        assert_eq!(check("Basic YTpiOmM="), Some(("a".into(), "b:c".into())));
        assert_eq!(check("basic YTo="), Some(("a".into(), String::new())));
        for bad in ["Basic", "Bearer YTpi", "Basic ***", "Basic YQ==", "Basic /w=="] {
            assert_eq!(check(bad), None, "{bad}");
        }
    }
}
