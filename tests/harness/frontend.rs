//! Builders for every message that a client may send, and for those it should not.
//!
//! They return bytes, so a case can join, cut or corrupt them before they are sent.

/// Protocol 3.0, as in the first word of a startup packet.
pub const V3_0: u32 = 0x0003_0000;
/// Protocol 3.2 (PostgreSQL 18).
pub const V3_2: u32 = 0x0003_0002;
/// What libpq sends to see whether peers negotiate properly.
pub const V3_GREASE: u32 = 0x0003_0000 + 9999;

/// A message with any type byte and body; the length is right.
pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// A packet without a type byte (startup, SSLRequest, ...); the length is right.
pub fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// A startup packet with these parameters, in this order, and the final NUL.
pub fn startup(version: u32, params: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in params {
        put_str(&mut body, name);
        put_str(&mut body, value);
    }
    body.push(0);
    packet(version, &body)
}

/// Asks for TLS.
pub fn ssl_request() -> Vec<u8> {
    packet(80_877_103, b"")
}

/// Asks for GSSAPI encryption.
pub fn gss_request() -> Vec<u8> {
    packet(80_877_104, b"")
}

/// Asks to cancel what the session with this process id and key runs.
pub fn cancel_request(pid: i32, key: &[u8]) -> Vec<u8> {
    let mut body = pid.to_be_bytes().to_vec();
    body.extend_from_slice(key);
    packet(80_877_102, &body)
}

/// A simple query.
pub fn query(sql: &str) -> Vec<u8> {
    query_bytes(sql.as_bytes())
}

/// A simple query whose text need not be UTF-8.
pub fn query_bytes(sql: &[u8]) -> Vec<u8> {
    let mut body = sql.to_vec();
    body.push(0);
    frame(b'Q', &body)
}

/// Parse without parameter types.
pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    parse_typed(name, sql, &[])
}

/// Parse with parameter types.
pub fn parse_typed(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = Vec::new();
    put_str(&mut body, name);
    put_str(&mut body, sql);
    put_u16(&mut body, types.len());
    for oid in types {
        body.extend_from_slice(&oid.to_be_bytes());
    }
    frame(b'P', &body)
}

/// Bind of text parameters, results as text.
pub fn bind(portal: &str, statement: &str, params: &[&str]) -> Vec<u8> {
    let params: Vec<Option<&[u8]>> = params.iter().map(|p| Some(p.as_bytes())).collect();
    bind_formats(portal, statement, &[], &params, &[])
}

/// Bind with formats of parameters and of results (none, one, or one for each), and NULLs.
pub fn bind_formats(
    portal: &str,
    statement: &str,
    formats: &[u16],
    params: &[Option<&[u8]>],
    results: &[u16],
) -> Vec<u8> {
    let mut body = Vec::new();
    put_str(&mut body, portal);
    put_str(&mut body, statement);
    put_formats(&mut body, formats);
    put_u16(&mut body, params.len());
    for param in params {
        put_value(&mut body, *param);
    }
    put_formats(&mut body, results);
    frame(b'B', &body)
}

/// Describe of a statement.
pub fn describe_statement(name: &str) -> Vec<u8> {
    frame(b'D', &target(b'S', name))
}

/// Describe of a portal.
pub fn describe_portal(name: &str) -> Vec<u8> {
    frame(b'D', &target(b'P', name))
}

/// Close of a statement.
pub fn close_statement(name: &str) -> Vec<u8> {
    frame(b'C', &target(b'S', name))
}

/// Close of a portal.
pub fn close_portal(name: &str) -> Vec<u8> {
    frame(b'C', &target(b'P', name))
}

/// Execute; `rows` 0 means all.
pub fn execute(portal: &str, rows: u32) -> Vec<u8> {
    let mut body = Vec::new();
    put_str(&mut body, portal);
    body.extend_from_slice(&rows.to_be_bytes());
    frame(b'E', &body)
}

/// Sync.
pub fn sync() -> Vec<u8> {
    frame(b'S', b"")
}

/// Flush.
pub fn flush() -> Vec<u8> {
    frame(b'H', b"")
}

/// Terminate.
pub fn terminate() -> Vec<u8> {
    frame(b'X', b"")
}

/// A piece of COPY data.
pub fn copy_data(data: &[u8]) -> Vec<u8> {
    frame(b'd', data)
}

/// The end of COPY data.
pub fn copy_done() -> Vec<u8> {
    frame(b'c', b"")
}

/// The client gives up its COPY.
pub fn copy_fail(reason: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_str(&mut body, reason);
    frame(b'f', &body)
}

/// Fast-path call of a function, arguments and result in these formats.
pub fn function_call(oid: u32, format: u16, args: &[Option<&[u8]>], result: u16) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    put_formats(&mut body, &[format]);
    put_u16(&mut body, args.len());
    for arg in args {
        put_value(&mut body, *arg);
    }
    body.extend_from_slice(&result.to_be_bytes());
    frame(b'F', &body)
}

/// A password, or any SASL answer.
pub fn password(data: &[u8]) -> Vec<u8> {
    frame(b'p', data)
}

/// Parse, Bind, Describe and Execute of the unnamed statement and portal, without Sync.
pub fn unnamed(sql: &str, params: &[&str]) -> Vec<u8> {
    [parse("", sql), bind("", "", params), describe_portal(""), execute("", 0)].concat()
}

fn target(kind: u8, name: &str) -> Vec<u8> {
    let mut body = vec![kind];
    put_str(&mut body, name);
    body
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn put_u16(out: &mut Vec<u8>, n: usize) {
    let n = u16::try_from(n).expect("at most 65,535 of them fit into the protocol");
    out.extend_from_slice(&n.to_be_bytes());
}

fn put_formats(out: &mut Vec<u8>, formats: &[u16]) {
    put_u16(out, formats.len());
    for format in formats {
        out.extend_from_slice(&format.to_be_bytes());
    }
}

fn put_value(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        Some(value) => {
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(value);
        }
    }
}
