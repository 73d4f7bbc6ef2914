//! Seals what must not stand readable on disk: the tokens that peers gave us.
//!
//! AES-256-GCM with a random nonce; the peer's name is bound to it, so that a sealed value cannot be moved to another
//! peer. Layout: nonce 12 | sealed bytes | tag 16. The key lies beside the data in a file of its own, so that a copy of
//! the database alone tells nothing.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

/// The key.
pub(crate) struct Seal(RandomizedNonceKey);

/// The key does not fit, or the bytes were changed. Says no more on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Seal {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, Broken> {
        RandomizedNonceKey::new(&AES_256_GCM, key).map(Self).map_err(|_| Broken)
    }

    /// Seals `clear` for `owner`.
    pub(crate) fn seal(&self, owner: &str, mut clear: Vec<u8>) -> Result<Vec<u8>, Broken> {
        let nonce =
            self.0.seal_in_place_append_tag(Aad::from(owner.as_bytes()), &mut clear).map_err(|_| Broken)?;
        Ok([nonce.as_ref().as_slice(), &clear].concat())
    }

    /// Opens what was sealed for `owner`.
    pub(crate) fn open(&self, owner: &str, sealed: &[u8]) -> Result<Vec<u8>, Broken> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Broken)?;
        let mut body = body.to_vec();
        let clear =
            self.0.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut body).map_err(|_| Broken)?;
        Ok(clear.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_for_one_peer_opens_for_that_peer_only() {
        let seal = Seal::new(&[3; 32]).unwrap();
        let sealed = seal.seal("beta.test", b"token".to_vec()).unwrap();
        assert!(!sealed.windows(5).any(|part| part == b"token"));
        assert_eq!(seal.open("beta.test", &sealed).unwrap(), b"token");
        assert_eq!(seal.open("gamma.test", &sealed), Err(Broken));
        assert_eq!(Seal::new(&[4; 32]).unwrap().open("beta.test", &sealed), Err(Broken));
        assert_eq!(seal.open("beta.test", &sealed[..5]), Err(Broken));
    }
}
