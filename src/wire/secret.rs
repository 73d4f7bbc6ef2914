//! Secrets, with direction in the type.
//!
//! - `FreshSecret`: one that we have just made; its text exists only until it has been sent.
//! - `Digest`: what remains of a secret that we issued (SHA-256). Nothing else of it is ever stored.
//! - `HeldToken`: one that a peer gave us and that we show to it.
//! - `ShownToken`: one that a caller shows to us, on its way to being digested.
//!
//! None has `Display`, and `Debug` says nothing of the content.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::limits::TOKEN_BYTES_MAX;

/// Bytes of chance in what we issue: 256 bits (`https-token`, "One secret, one door").
pub const SECRET_BYTES: usize = 32;

/// A text that is not 1 to 4,096 visible ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is 1 to 4096 visible ASCII characters")]
pub struct TokenError;

/// A secret that we made and have not yet sent: 256 random bits as base64url without padding.
#[derive(Clone)]
pub struct FreshSecret(Zeroizing<String>);

impl FreshSecret {
    //= HT-DOOR-03: 256 bits, base64url without padding
    /// From the dice: `chance` must come from the operating system's generator.
    #[must_use]
    pub fn from_chance(chance: [u8; SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(chance)))
    }

    /// What we keep of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The text, for the one message that carries it to the peer.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FreshSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FreshSecret(..)")
    }
}

/// SHA-256 of a secret. Safe to store, not to show: it identifies.
#[derive(Clone, Copy, Eq, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digests a secret's bytes.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// For storing.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// A token that a peer gave us; we show it to that peer and to nobody else. Cheap to clone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeldToken(Arc<Zeroizing<String>>);

impl HeldToken {
    /// Takes a token as a peer wrote it.
    ///
    /// # Errors
    /// When it is not 1 to 4,096 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        //= HT-DOOR-04: 1 to 4,096 visible ASCII characters
        let fits = (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(Arc::new(Zeroizing::new(text.to_owned())))) } else { Err(TokenError) }
    }

    /// The text, for the one header that carries it back to the peer.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// For recognising the same token again without keeping another copy of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl PartialEq for HeldToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for HeldToken {}

impl TryFrom<String> for HeldToken {
    type Error = TokenError;

    fn try_from(text: String) -> Result<Self, TokenError> {
        Self::parse(&text)
    }
}

impl From<HeldToken> for String {
    fn from(token: HeldToken) -> Self {
        token.reveal().to_owned()
    }
}

impl fmt::Debug for HeldToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldToken(..)")
    }
}

/// What a caller showed as its bearer, digested at the door.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShownToken(Digest);

impl ShownToken {
    /// Digests what stands behind `Bearer ` in an Authorization header.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Digest::of(text.as_bytes()))
    }

    /// What it is looked up by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0
    }
}

impl fmt::Debug for ShownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= HT-DOOR-03
    #[test]
    fn a_fresh_secret_is_43_characters_of_base64url() {
        let secret = FreshSecret::from_chance([0xfb; 32]);
        assert_eq!(secret.reveal().len(), 43);
        assert!(secret.reveal().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(secret.digest(), ShownToken::of(secret.reveal()).digest());
    }

    //= NODE-API-36
    #[test]
    fn no_debug_output_carries_a_secret() {
        let secret = FreshSecret::from_chance([7; 32]);
        let held = HeldToken::parse(secret.reveal()).unwrap();
        let shown = ShownToken::of(secret.reveal());
        let text = format!("{secret:?} {held:?} {shown:?} {:?}", secret.digest());
        assert_eq!(text, "FreshSecret(..) HeldToken(..) ShownToken(..) Digest(..)");
    }

    //= HT-DOOR-04
    #[test]
    fn theirs_are_1_to_4096_visible_ascii_characters() {
        for bad in ["", "a b", "a\n", "\u{e4}", "\u{7f}"] {
            assert!(HeldToken::parse(bad).is_err(), "{bad:?}");
        }
        assert!(HeldToken::parse(&"x".repeat(4096)).is_ok());
        assert!(HeldToken::parse(&"x".repeat(4097)).is_err());
        assert!(HeldToken::parse("eyJ.a-b_c~+/=").is_ok());
    }
}
