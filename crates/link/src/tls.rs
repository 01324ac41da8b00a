//! TLS 1.3 on both sides.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    version::TLS13,
};
use sha2::{Digest as _, Sha256};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{Authority, Error, Key, certificate};

/// What every controller is called in its certificate: hosts know it by the authority that signed, not by its address.
pub const NAME: &str = "controller.polder.internal";
/// How long the controller's own certificates hold, and how old one gets in use.
const LIFE: Duration = Duration::from_secs(30 * 86_400);
const AGE: Duration = Duration::from_secs(10 * 86_400);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(authority: CertificateDer<'static>) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(certificate)?;
    Ok(Arc::new(roots))
}

/// The controller's certificate, made anew in time.
struct Own {
    authority: Arc<Authority>,
    present: Mutex<Option<(SystemTime, Arc<CertifiedKey>)>>,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Own")
    }
}

impl Own {
    fn at(&self, now: SystemTime) -> Result<Arc<CertifiedKey>, Error> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = present.as_ref().filter(|(made, _)| {
            // A clock that was turned back is a reason for a new one too.
            now.duration_since(*made).is_ok_and(|age| age < AGE)
        });
        if let Some((_, key)) = fresh {
            return Ok(Arc::clone(key));
        }
        let key = Key::new()?;
        let leaf = self.authority.sign_controller(&key, now, LIFE)?;
        let chain = vec![leaf, self.authority.certificate()];
        let signer = rustls::crypto::ring::sign::any_ecdsa_type(&key.der()).map_err(certificate)?;
        let made = Arc::new(CertifiedKey::new(chain, signer));
        *present = Some((now, Arc::clone(&made)));
        Ok(made)
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.at(SystemTime::now())
            .inspect_err(|error| tracing::error!(%error, "the controller has no certificate"))
            .ok()
    }
}

/// The controller's side. A client may come without a certificate, to join; one that it shows is the authority's and
/// in its time.
///
/// # Errors
/// If no certificate can be made.
pub fn acceptor(authority: &Arc<Authority>) -> Result<TlsAcceptor, Error> {
    let roots = roots(authority.certificate())?;
    let clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .allow_unauthenticated()
        .build()
        .map_err(certificate)?;
    let own = Own {
        authority: Arc::clone(authority),
        present: Mutex::new(None),
    };
    own.at(SystemTime::now())?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(certificate)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(own));
    // A resumed session would bring the certificate that was shown back then.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A host's side, with its certificate.
///
/// # Errors
/// If the certificate is not the key's.
pub fn connector(authority: &[u8], leaf: &[u8], key: &Key) -> Result<TlsConnector, Error> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(certificate)?
        .with_root_certificates(roots(CertificateDer::from(authority.to_vec()))?)
        .with_client_auth_cert(vec![CertificateDer::from(leaf.to_vec())], key.der())
        .map_err(certificate)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The side of a machine that joins: it knows the authority's fingerprint only, and learns its certificate.
///
/// # Errors
/// If TLS cannot be set up.
pub fn joiner(fingerprint: [u8; 32]) -> Result<(TlsConnector, Arc<Pinned>), Error> {
    let pinned = Arc::new(Pinned {
        fingerprint,
        provider: provider(),
        found: Mutex::new(None),
    });
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(certificate)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&pinned) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), pinned))
}

/// Trusts exactly the authority of a fingerprint: its certificate must come with the server's, which it must have
/// signed.
#[derive(Debug)]
pub struct Pinned {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
    found: Mutex<Option<Vec<u8>>>,
}

impl Pinned {
    /// The authority's certificate, in DER, once a connection has shown it.
    #[must_use]
    pub fn authority(&self) -> Option<Vec<u8>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let authority = intermediates
            .iter()
            .find(|shown| Sha256::digest(shown)[..] == self.fingerprint)
            .ok_or_else(unknown)?;
        let roots = roots(authority.clone().into_owned()).map_err(|_| unknown())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
                .build()
                .map_err(|_| unknown())?;
        let verified =
            verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        *found = Some(authority.to_vec());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
