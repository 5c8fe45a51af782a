//! `listeners` and `admin`: the sockets.

use std::net::SocketAddr;
use std::path::PathBuf;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::finding::Span;
use crate::config::node::{Node, Value};
use crate::config::reader::{Reader, Table};
use crate::listener::{ListenerSpec, TlsError, TlsFiles, server_config};

/// The socket for health, metrics and settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// The file with the bearer token of writes; `None`: writes from loopback only.
    pub token_file: Option<PathBuf>,
}

pub(super) const LISTENER_KEYS: &[&str] = &["address", "tls"];
pub(super) const TLS_KEYS: &[&str] = &["certificate", "key", "client_ca"];
pub(super) const ADMIN_KEYS: &[&str] = &["address", "token_file"];

/// The addresses that were read so far, and where.
pub(super) type Taken = Vec<(SocketAddr, Span)>;

/// Reads `listeners` and `admin`, whose addresses must differ, from each other and from all that
/// come later.
pub(super) fn read(
    reader: &mut Reader<'_>,
    root: Table<'_>,
) -> (Vec<ListenerSpec>, Option<AdminConfig>, Taken) {
    let mut taken = Taken::new();
    let mut listeners = Vec::new();
    let node = reader.require(root, "listeners", "like `listeners: [{ address: 0.0.0.0:8080 }]`");
    if let Some(node) = node {
        let nodes = reader.list(node, "listeners").unwrap_or_default();
        if matches!(&node.value, Value::List(nodes) if nodes.is_empty()) {
            reader.findings.error(node.at, "`listeners` is empty");
        }
        listeners = nodes.iter().filter_map(|it| read_listener(reader, it, &mut taken)).collect();
    }
    let admin = root.get("admin").and_then(|node| read_admin(reader, node, &mut taken));
    (listeners, admin, taken)
}

fn read_listener(reader: &mut Reader<'_>, node: &Node, taken: &mut Taken) -> Option<ListenerSpec> {
    let table = reader.table(node, "listeners", LISTENER_KEYS)?;
    read_socket(reader, table, taken)
}

/// Reads `address` and, where it is there, `tls`.
pub(super) fn read_socket(
    reader: &mut Reader<'_>,
    table: Table<'_>,
    taken: &mut Taken,
) -> Option<ListenerSpec> {
    let address = read_address(reader, table, taken);
    let tls = match table.get("tls") {
        None => None,
        Some(node) => Some(read_tls(reader, node)?),
    };
    Some(ListenerSpec { address: address?, tls })
}

fn read_address(
    reader: &mut Reader<'_>,
    table: Table<'_>,
    taken: &mut Taken,
) -> Option<SocketAddr> {
    let node = reader.require(table, "address", "like `address: 127.0.0.1:8080`")?;
    let address = reader.address(node, "address")?;
    // Port 0 asks for any free port, so two of them do not meet.
    if let Some((_, first)) = taken.iter().find(|(it, _)| *it == address && it.port() != 0) {
        reader.findings.error_hint(
            node.at,
            format!("address `{address}` is taken"),
            format!("it is first at line {}", first.line),
        );
        return None;
    }
    taken.push((address, node.at));
    Some(address)
}

fn read_tls(reader: &mut Reader<'_>, node: &Node) -> Option<TlsFiles> {
    let table = reader.table(node, "tls", TLS_KEYS)?;
    let hint = "TLS has a `certificate` and a `key`";
    let certificate = reader
        .require(table, "certificate", hint)
        .and_then(|node| read_certificates(reader, node, "certificate"));
    let key = reader.require(table, "key", hint).and_then(|node| read_key(reader, node));
    let client_ca = match table.get("client_ca") {
        None => None,
        Some(node) => Some(read_certificates(reader, node, "client_ca")?),
    };
    let files = TlsFiles { certificate: certificate?, key: key?, client_ca };
    // Each file is sound alone; the server's own reading tells whether they fit together.
    let reason = match server_config(&files) {
        Ok(_) => return Some(files),
        Err(TlsError::Unfit { source, .. }) => {
            format!("`certificate` and `key` do not fit: {source}")
        }
        Err(TlsError::ClientAuthority { reason, .. }) => {
            format!("`client_ca` is no authority of clients: {reason}")
        }
        Err(TlsError::File { what, .. }) => format!("the {what} can't be read any more"),
    };
    reader.findings.error(node.at, reason);
    None
}

pub(super) fn read_certificates(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
) -> Option<PathBuf> {
    let (path, content) = reader.readable_file(node, what)?;
    let mut certificates = CertificateDer::pem_slice_iter(&content).peekable();
    if certificates.peek().is_some() && certificates.all(|it| it.is_ok()) {
        return Some(path);
    }
    let message = format!("`{what}` `{}` has no PEM certificate", node.written());
    reader.findings.error(node.at, message);
    None
}

pub(super) fn read_key(reader: &mut Reader<'_>, node: &Node) -> Option<PathBuf> {
    let (path, content) = reader.readable_file(node, "key")?;
    if PrivateKeyDer::from_pem_slice(&content).is_ok() {
        return Some(path);
    }
    let message = format!("`key` `{}` has no PEM private key", node.written());
    reader.findings.error(node.at, message);
    None
}

fn read_admin(reader: &mut Reader<'_>, node: &Node, taken: &mut Taken) -> Option<AdminConfig> {
    let table = reader.table(node, "admin", ADMIN_KEYS)?;
    let address = read_address(reader, table, taken);
    let token_file = match table.get("token_file") {
        None => None,
        Some(node) => Some(read_token_file(reader, node)?),
    };
    let address = address?;
    if token_file.is_none() && !address.ip().is_loopback() && table.get("token_file").is_none() {
        reader.findings.warn(
            table.value_at("address"),
            format!("`admin` listens on `{address}` without `token_file`"),
            "nobody but loopback can read or write there; name a `token_file` or listen on 127.0.0.1",
        );
    }
    Some(AdminConfig { address, token_file })
}

fn read_token_file(reader: &mut Reader<'_>, node: &Node) -> Option<PathBuf> {
    let (path, content) = reader.readable_file(node, "token_file")?;
    let message = match std::str::from_utf8(&content).map(str::trim) {
        Ok("") => "is empty",
        Ok(token) if token.chars().all(|c| c.is_ascii_graphic()) => return Some(path),
        Ok(_) | Err(_) => "has characters that no bearer token has",
    };
    let message = format!("`token_file` `{}` {message}", node.written());
    reader.findings.error_hint(node.at, message, "the file has the token and nothing else");
    None
}
