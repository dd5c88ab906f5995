//! Where clients come from: networks in CIDR form, and the unix socket.

use std::fmt;
use std::net::IpAddr;

/// Where a client may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The unix socket of this machine.
    Local,
    /// Addresses whose first bits are these.
    Addresses(IpAddr, u8),
}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7` or `local`.
    ///
    /// # Errors
    /// What to write instead; continues a sentence that begins with the text.
    pub fn parse(text: &str) -> Result<Network, String> {
        if text == "local" {
            return Ok(Network::Local);
        }
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| "is no network; write one such as 10.0.0.0/8, an IP address, or local".to_owned())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix.map(str::parse) {
            None => bits,
            Some(Ok(prefix)) if prefix <= bits => prefix,
            Some(_) => return Err(format!("has no prefix from 0 to {bits} behind the slash")),
        };
        let first = cut(address, prefix);
        if first != address {
            return Err(format!("has bits behind its prefix; write {first}/{prefix}"));
        }
        Ok(Network::Addresses(address, prefix))
    }

    /// Whether a client there is in it; `None`: on the unix socket. IPv4 in IPv6 is IPv4.
    pub fn contains(self, client: Option<IpAddr>) -> bool {
        match (self, client) {
            (Network::Local, None) => true,
            (Network::Addresses(first, prefix), Some(client)) => {
                let client = client.to_canonical();
                first.is_ipv4() == client.is_ipv4() && cut(client, prefix) == first
            }
            _ => false,
        }
    }

    /// Whether every client of `other` is in it.
    pub fn covers(self, other: Network) -> bool {
        match (self, other) {
            (Network::Local, Network::Local) => true,
            (Network::Addresses(_, wide), Network::Addresses(first, narrow)) => {
                // Not `contains`: IPv4 in IPv6, written so, is no IPv4 here.
                let Network::Addresses(own, _) = self else { return false };
                wide <= narrow && own.is_ipv4() == first.is_ipv4() && cut(first, wide) == own
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Local => out.write_str("local"),
            Network::Addresses(first, prefix) => write!(out, "{first}/{prefix}"),
        }
    }
}

/// The address with only its first bits.
fn cut(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_in_networks() {
        let check = |network: &str, client: &str, expected: bool| {
            let network = Network::parse(network).expect("a network");
            let client = (client != "local").then(|| client.parse().expect("an address"));
            assert_eq!(network.contains(client), expected, "{network} {client:?}");
        };
        check("10.0.0.0/8", "10.1.2.3", true);
        check("10.0.0.0/8", "11.1.2.3", false);
        check("0.0.0.0/0", "11.1.2.3", true);
        check("0.0.0.0/0", "::1", false);
        check("0.0.0.0/0", "local", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.8", false);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("2001:db8::/32", "2001:db8::7", true);
        check("2001:db8::/32", "2001:db9::7", false);
        check("::/0", "::1", true);
        check("local", "local", true);
        check("local", "127.0.0.1", false);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let refused = |text: &str, part: &str| {
            let said = Network::parse(text).expect_err(text);
            assert!(said.contains(part), "{text}: {said}");
        };
        refused("10.0.0", "is no network");
        refused("10.0.0.0/33", "prefix from 0 to 32");
        refused("::/x", "prefix from 0 to 128");
        refused("10.1.0.0/8", "write 10.0.0.0/8");
    }

    #[test]
    fn a_network_covers_those_in_it() {
        let covers = |wide: &str, narrow: &str| {
            Network::parse(wide).expect("one").covers(Network::parse(narrow).expect("one"))
        };
        assert!(covers("10.0.0.0/8", "10.1.0.0/16") && covers("local", "local"));
        assert!(!covers("10.1.0.0/16", "10.0.0.0/8") && !covers("0.0.0.0/0", "::/0"));
        assert!(!covers("0.0.0.0/0", "local"));
    }
}
