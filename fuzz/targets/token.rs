//! Tokens of consistency, which clients give: what is read is written again as the same, and stands for the same.

use pgweir::plan::consistency::Lsn;
use pgweir::plan::token::Token;

/// A text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(token) = text.parse::<Token>() {
        let again = token.to_string();
        assert_eq!(again.parse(), Ok(token), "{text}");
        assert!(again.len() <= 64, "{text}");
    }
    if let Ok(lsn) = text.parse::<Lsn>() {
        assert_eq!(lsn.to_string().parse(), Ok(lsn), "{text}");
    }
}
