//! Secrets that we make, tokens that peers give us.

use proptest::prelude::*;

use crate::wire::secret::{FreshSecret, HeldToken, ShownToken};

proptest! {
    //= HT-DOOR-03
    #[test]
    fn any_chance_makes_a_secret_that_a_peer_takes(one: [u8; 32], other: [u8; 32]) {
        let secret = FreshSecret::from_chance(one);
        let held = HeldToken::parse(secret.reveal()).unwrap();
        prop_assert_eq!(secret.reveal().len(), 43);
        prop_assert!(secret.reveal().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        prop_assert_eq!(held.digest(), secret.digest());
        prop_assert_eq!(ShownToken::of(held.reveal()).digest(), secret.digest());
        let again = FreshSecret::from_chance(other).digest() == secret.digest();
        prop_assert_eq!(again, one == other);
    }

    //= HT-DOOR-04
    #[test]
    fn a_token_is_taken_exactly_where_the_rule_says(
        text in prop_oneof!["[!-~]{0,40}", "[!-~]{0,9}[ \t\u{7f}\u{e4}\r\n\0][!-~]{0,9}", "\\PC{0,9}"], length in 4090..4100_usize,
    ) {
        let fits = !text.is_empty() && text.chars().all(|c| ('!'..='~').contains(&c));
        prop_assert_eq!(HeldToken::parse(&text).is_ok(), fits);
        prop_assert_eq!(HeldToken::parse(&"x".repeat(length)).is_ok(), length <= 4096);
        if let Ok(token) = HeldToken::parse(&text) {
            let json = serde_json::to_string(&token).unwrap();
            prop_assert_eq!(serde_json::from_str::<HeldToken>(&json).unwrap(), token);
        }
    }
}
