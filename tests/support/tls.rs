//! Certificates of a test and clients that trust them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::ServerName;

/// A certificate for `localhost` with its key.
pub struct Certificate {
    pub chain_pem: String,
    pub key_pem: String,
    roots: RootCertStore,
}

impl Certificate {
    /// A new one, signed by itself.
    pub fn generate() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        Self { chain_pem: cert.pem(), key_pem: signing_key.serialize_pem(), roots }
    }

    /// What a client needs that trusts it and offers these protocols.
    pub fn client(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

/// A TLS connection to `localhost`.
pub fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> impl Read + Write + use<> {
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::clone(config), name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(super::SOON)).unwrap();
    StreamOwned::new(session, stream)
}
