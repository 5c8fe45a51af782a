//! TLS towards clients: a certificate, and client certificates where they are asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The files of one listener's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Certificates of authorities whose clients are accepted, PEM; `None` asks for no certificate.
    pub client_ca: Option<PathBuf>,
}

/// Why TLS files can't be used. Holds no key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read, or holds no PEM of the kind that is needed.
    #[error("`{}` holds no usable {what}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key don't fit each other or this build.
    #[error("`{}`: {source}", file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The client authorities are unusable.
    #[error("`{}` holds no usable authority: {reason}", file.display())]
    ClientAuthority {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Reads one listener's files.
///
/// # Errors
/// A file is unreadable, empty or does not fit the others.
pub fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unfit = |source| TlsError::Unfit { file: files.certificate.clone(), source };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let reason = |reason: String| TlsError::ClientAuthority { file: file.clone(), reason };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| reason(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| reason(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::File {
        file: files.key.clone(),
        what: "private key",
        source,
    })?;
    let mut config =
        builder.with_single_cert(certificates(&files.certificate)?, key).map_err(unfit)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |source| TlsError::File { file: file.to_owned(), what: "certificate", source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(unusable)?
        .collect::<Result<_, _>>()
        .map_err(unusable)?;
    if certificates.is_empty() {
        return Err(unusable(rustls_pki_types::pem::Error::NoItemsFound));
    }
    Ok(certificates)
}
