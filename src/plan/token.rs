//! Tokens: what a session has seen, as a text that carries it to another session or another pgweir.

use std::fmt;
use std::str::FromStr;

use super::consistency::Lsn;
use super::topology::History;

/// The form of tokens.
const VERSION: &str = "1";
/// No token is longer.
const LONGEST: usize = 64;

/// A position that others must have replayed: `1:<system identifier>:<timeline>:<position>`. A `+` behind it stands for one byte more: a
/// replica may have shown more than it has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub(super) history: History,
    pub(super) lsn: Lsn,
}

/// A token that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is none.
    #[error("this is not a token")]
    NotOne,
    /// It is of a later form.
    #[error("this token has a form that is not known here")]
    OtherVersion,
    /// It is of another cluster.
    #[error("this token comes from another cluster")]
    OtherCluster,
}

impl BadToken {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            BadToken::NotOne => "take it from SHOW pgweir.token, as it is",
            BadToken::OtherVersion => {
                "it comes from a newer pgweir; bring all in front of the cluster to one version"
            }
            BadToken::OtherCluster => {
                "a token holds for the nodes of one cluster only; take it from SHOW pgweir.token there"
            }
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let History { system, timeline } = self.history;
        write!(f, "{VERSION}:{system}:{timeline}:{}", self.lsn)
    }
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Token, BadToken> {
        if text.len() > LONGEST {
            return Err(BadToken::NotOne);
        }
        let (version, rest) = text.split_once(':').ok_or(BadToken::NotOne)?;
        if version != VERSION {
            let number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
            return Err(if number { BadToken::OtherVersion } else { BadToken::NotOne });
        }
        let parts: Vec<_> = rest.split(':').collect();
        let [system, timeline, lsn] = parts[..] else { return Err(BadToken::NotOne) };
        let (lsn, more) = lsn.strip_suffix('+').map_or((lsn, 0), |lsn| (lsn, 1));
        let Lsn(lsn) = lsn.parse().map_err(|_| BadToken::NotOne)?;
        let history = History { system: number(system)?, timeline: number(timeline)? };
        Ok(Token { history, lsn: Lsn(lsn.saturating_add(more)) })
    }
}

fn number<N: FromStr>(text: &str) -> Result<N, BadToken> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or(BadToken::NotOne)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_are_written() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Token>().map(|token| token.to_string()).as_deref(), Ok(expected));
        };
        check("1:7:1:16/B374D848", "1:7:1:16/B374D848");
        check("1:7:1:16/B374D848+", "1:7:1:16/B374D849");
        check(
            "1:18446744073709551615:4294967295:ffffffff/ffffffff+",
            "1:18446744073709551615:4294967295:FFFFFFFF/FFFFFFFF",
        );
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let check = |text: &str, expected| assert_eq!(text.parse::<Token>(), Err(expected), "{text}");
        for text in [
            "",
            "1",
            "1:7:1",
            "1:7:1:0/1:",
            "1:+7:1:0/1",
            "1:7:-1:0/1",
            "1:7:1:0",
            "1:7:1:0/1++",
            "1:7:1:+0/1",
            "x:7:1:0/1",
            ":7:1:0/1",
            "1:-7:1:0/1",
            "1::1:0/1",
            "1:7::0/1",
            "1:7:1:",
            "1:7:1:+",
        ] {
            check(text, BadToken::NotOne);
        }
        check(&format!("1:{}:1:0/1", "7".repeat(99)), BadToken::NotOne);
        check("1:99999999999999999999:1:0/1", BadToken::NotOne);
        check("2:what:ever", BadToken::OtherVersion);
    }
}
