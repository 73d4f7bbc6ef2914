//! Which cipher suites are spoken, and which first.

use std::sync::Arc;

use rustls::{
    CipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
};

/// All suites of aws-lc-rs. Of TLS 1.3's, AES-128 comes first: its SHA-256 is in the hardware of most processors, the SHA-384 of
/// AES-256 is not, and a handshake is full of it.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}
