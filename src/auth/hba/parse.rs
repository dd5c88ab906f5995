//! A line of `pg_hba.conf` to a [`Rule`]: field by field, in the order of the line.

use std::net::IpAddr;

use super::lines::{Line, Token};
use super::{
    AddressPattern, ClientCert, ClientName, ConnType, DatabasePattern, FileError, Method, Network, Rule,
    RuleOptions, UserPattern,
};

/// Reads one rule.
pub(super) fn rule(line: &Line, interfaces: &[Network]) -> Result<Rule, FileError> {
    let mut fields = Fields { line, next: 0 };
    let conn = conn_type(line, fields.single("connection type")?)?;
    let databases = each(fields.list("database")?, |token| database(line, token))?;
    let users = each(fields.list("user")?, |token| user(line, token))?;
    let address = match conn {
        ConnType::Local => AddressPattern::Any,
        _ => address(&mut fields, interfaces)?,
    };
    let method = method(line, fields.single("authentication method")?)?;
    check_method(line, conn, method)?;
    let options = options(&mut fields, conn, method)?;
    Ok(Rule { file: line.file.clone(), line: line.number, conn, databases, users, address, method, options })
}

struct Fields<'a> {
    line: &'a Line,
    next: usize,
}

impl<'a> Fields<'a> {
    fn list(&mut self, what: &str) -> Result<&'a [Token], FileError> {
        self.take().ok_or_else(|| {
            self.line.error(
                format!("the line ends before the {what}"),
                "write: type, database, user, address (not for local), method, options",
            )
        })
    }

    fn single(&mut self, what: &str) -> Result<&'a Token, FileError> {
        let field = self.list(what)?;
        self.line.single(field, what)
    }

    fn take(&mut self) -> Option<&'a [Token]> {
        let field = self.line.fields.get(self.next)?;
        self.next += 1;
        Some(field)
    }
}

fn each<T>(tokens: &[Token], read: impl Fn(&Token) -> Result<T, FileError>) -> Result<Vec<T>, FileError> {
    tokens.iter().map(read).collect()
}

fn conn_type(line: &Line, token: &Token) -> Result<ConnType, FileError> {
    Ok(match token.text.as_str() {
        "local" => ConnType::Local,
        "host" => ConnType::Host,
        "hostssl" => ConnType::HostSsl,
        "hostnossl" => ConnType::HostNoSsl,
        "hostgssenc" => ConnType::HostGssEnc,
        "hostnogssenc" => ConnType::HostNoGssEnc,
        other => {
            return Err(line.error(
                format!("invalid connection type \"{other}\""),
                "use local, host, hostssl, hostnossl, hostgssenc or hostnogssenc",
            ));
        }
    })
}

fn database(line: &Line, token: &Token) -> Result<DatabasePattern, FileError> {
    refuse_regular_expression(line, token)?;
    if token.quoted {
        return Ok(DatabasePattern::Name(token.text.clone()));
    }
    Ok(match token.text.as_str() {
        "all" => DatabasePattern::All,
        "sameuser" => DatabasePattern::SameUser,
        "replication" => DatabasePattern::Replication,
        "samerole" | "samegroup" => {
            return Err(line.error(
                format!("{} is not supported, as role membership is not known here", token.text),
                "name the databases and the users, or use sameuser",
            ));
        }
        name => DatabasePattern::Name(name.to_owned()),
    })
}

fn user(line: &Line, token: &Token) -> Result<UserPattern, FileError> {
    refuse_regular_expression(line, token)?;
    if !token.quoted && token.text.starts_with('+') {
        return Err(line.error(
            format!("\"{}\" is not supported, as role membership is not known here", token.text),
            "name the users, or put a name that begins with + in quotes",
        ));
    }
    Ok(if token.is_keyword("all") { UserPattern::All } else { UserPattern::Name(token.text.clone()) })
}

/// A leading slash makes a regular expression, in quotes too (PostgreSQL 16).
fn refuse_regular_expression(line: &Line, token: &Token) -> Result<(), FileError> {
    if !token.text.starts_with('/') {
        return Ok(());
    }
    Err(line.error(
        format!("regular expressions such as \"{}\" are not supported", token.text),
        "write the names, with commas between them, or put them in a file and write @file",
    ))
}

fn address(fields: &mut Fields<'_>, interfaces: &[Network]) -> Result<AddressPattern, FileError> {
    let line = fields.line;
    let token = fields.single("address")?;
    if token.is_keyword("all") {
        return Ok(AddressPattern::Any);
    }
    if token.is_keyword("samehost") || token.is_keyword("samenet") {
        return own_networks(line, token, interfaces);
    }
    let network = match token.text.split_once('/') {
        Some((address, prefix)) => with_prefix(line, ip(line, address)?, prefix)?,
        None => {
            let address = ip(line, &token.text)?;
            let mask = fields.take().ok_or_else(|| missing_mask(line))?;
            with_mask(line, address, line.single(mask, "network mask")?)?
        }
    };
    Ok(AddressPattern::Networks(vec![network]))
}

fn own_networks(line: &Line, token: &Token, interfaces: &[Network]) -> Result<AddressPattern, FileError> {
    if interfaces.is_empty() {
        return Err(line.error(
            format!("{} cannot be used, as the addresses of this machine are not known", token.text),
            "write the addresses, for example 127.0.0.1/32 or 10.0.0.0/8",
        ));
    }
    let host_only = token.text == "samehost";
    let networks = interfaces.iter().map(|own| if host_only { own.host() } else { *own });
    Ok(AddressPattern::Networks(networks.collect()))
}

fn ip(line: &Line, text: &str) -> Result<IpAddr, FileError> {
    text.parse().map_err(|_| {
        line.error(
            format!("\"{text}\" is not an IP address; host names are not supported"),
            "write an address with its prefix length, for example 10.0.0.0/8 or ::1/128, or all",
        )
    })
}

fn with_prefix(line: &Line, address: IpAddr, prefix: &str) -> Result<Network, FileError> {
    let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let length = prefix.parse().ok().filter(|_| digits);
    length.and_then(|length| Network::new(address, length)).ok_or_else(|| {
        line.error(
            format!("invalid prefix length \"{prefix}\" for {address}"),
            "use 0 to 32 for IPv4 and 0 to 128 for IPv6",
        )
    })
}

fn missing_mask(line: &Line) -> FileError {
    line.error(
        "the line ends before the network mask",
        "write the address with its prefix length, for example 127.0.0.1/32, or a mask behind it",
    )
}

fn with_mask(line: &Line, address: IpAddr, mask: &Token) -> Result<Network, FileError> {
    let parsed = mask.text.parse().ok();
    parsed.and_then(|mask| Network::with_mask(address, mask)).ok_or_else(|| {
        line.error(
            format!("\"{}\" is not a network mask for {address}", mask.text),
            "write the address with its prefix length, for example 127.0.0.1/32, or a mask such as 255.255.255.0",
        )
    })
}

fn method(line: &Line, token: &Token) -> Result<Method, FileError> {
    const SUPPORTED: &str = "use trust, reject, scram-sha-256, md5, password, cert or peer";
    Ok(match token.text.as_str() {
        "trust" => Method::Trust,
        "reject" => Method::Reject,
        "scram-sha-256" => Method::ScramSha256,
        "md5" => Method::Md5,
        "password" => Method::Password,
        "cert" => Method::Cert,
        "peer" => Method::Peer,
        known @ ("ident" | "gss" | "sspi" | "ldap" | "radius" | "pam" | "bsd" | "oauth") => {
            return Err(line.error(format!("authentication method \"{known}\" is not supported"), SUPPORTED));
        }
        other => {
            return Err(line.error(format!("invalid authentication method \"{other}\""), SUPPORTED));
        }
    })
}

fn check_method(line: &Line, conn: ConnType, method: Method) -> Result<(), FileError> {
    match (method, conn) {
        (Method::Peer, ConnType::Local) | (Method::Cert, ConnType::HostSsl) => Ok(()),
        (Method::Peer, _) => Err(line.error(
            "peer authentication is only supported on local sockets",
            "use a line that begins with local, or another method",
        )),
        (Method::Cert, _) => Err(line.error(
            "cert authentication is only supported on hostssl connections",
            "begin the line with hostssl, or use another method",
        )),
        _ => Ok(()),
    }
}

fn options(fields: &mut Fields<'_>, conn: ConnType, method: Method) -> Result<RuleOptions, FileError> {
    let line = fields.line;
    let mut options = RuleOptions { client_cert: method.implied_client_cert(), ..RuleOptions::default() };
    while let Some(field) = fields.take() {
        for token in field {
            let Some((name, value)) = token.text.split_once('=') else {
                return Err(line.error(
                    format!("authentication option \"{}\" is not in name=value format", token.text),
                    "write options as name=value behind the method",
                ));
            };
            set_option(line, &mut options, (conn, method), name, value)?;
        }
    }
    Ok(options)
}

fn set_option(
    line: &Line,
    options: &mut RuleOptions,
    (conn, method): (ConnType, Method),
    name: &str,
    value: &str,
) -> Result<(), FileError> {
    match name {
        "map" if matches!(method, Method::Cert | Method::Peer) => {
            options.map = Some(value.to_owned()).filter(|map| !map.is_empty());
        }
        "map" => {
            return Err(line.error(
                "authentication option \"map\" is only valid for the methods cert and peer",
                "remove it, or use one of these methods",
            ));
        }
        "clientcert" | "clientname" if conn != ConnType::HostSsl => {
            return Err(line.error(
                format!("{name} can only be configured for hostssl lines"),
                "begin the line with hostssl, or remove the option",
            ));
        }
        "clientcert" => options.client_cert = client_cert(line, method, value)?,
        "clientname" => options.client_name = client_name(line, value)?,
        other => {
            return Err(line.error(
                format!("unrecognized authentication option \"{other}\""),
                "use map, clientcert or clientname, or remove it",
            ));
        }
    }
    Ok(())
}

fn client_cert(line: &Line, method: Method, value: &str) -> Result<ClientCert, FileError> {
    match value {
        "verify-full" => Ok(ClientCert::VerifyFull),
        "verify-ca" if method == Method::Cert => Err(line.error(
            "clientcert only accepts \"verify-full\" when the method is cert",
            "remove the option: cert implies verify-full",
        )),
        "verify-ca" => Ok(ClientCert::VerifyCa),
        other => {
            Err(line
                .error(format!("invalid value for clientcert: \"{other}\""), "use verify-ca or verify-full"))
        }
    }
}

fn client_name(line: &Line, value: &str) -> Result<ClientName, FileError> {
    match value {
        "CN" => Ok(ClientName::CommonName),
        "DN" => Ok(ClientName::DistinguishedName),
        other => Err(line.error(format!("invalid value for clientname: \"{other}\""), "use CN or DN")),
    }
}
