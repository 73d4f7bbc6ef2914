//! Patterns of hosts.

use proptest::prelude::*;

use super::host::name;
use crate::wire::{
    host::PeerHost,
    policy::{DenyPattern, Policy},
};

/// The rule in other words: label by label, from the end.
fn is_below(name: &str, root: &str) -> bool {
    let (name, root): (Vec<_>, Vec<_>) = (name.split('.').collect(), root.split('.').collect());
    name.len() > root.len() && name.ends_with(&root)
}

proptest! {
    //= YMP-HOST-08, NODE-CONF-09
    #[test]
    fn a_pattern_matches_exactly_its_name_or_what_is_below_it(
        root in name(), head in "([a-z]{1,3}\\.)?[a-z]{1,3}", other in name(), port in 1..=u16::MAX,
    ) {
        let deny = |pattern: &str| Policy { listed: None, deny: vec![DenyPattern::parse(pattern).unwrap()] };
        let (exact, below) = (deny(&root), deny(&format!("*.{}", root.to_uppercase())));
        for name in [root.clone(), format!("{head}.{root}"), format!("{head}{root}"), other] {
            for text in [name.clone(), format!("{name}:{port}")] {
                let host = PeerHost::parse(&text).unwrap();
                prop_assert_eq!(!exact.allows(&host), name == root, "{} under {}", text, root);
                prop_assert_eq!(!below.allows(&host), is_below(&name, &root), "{} under *.{}", text, root);
            }
        }
    }

    #[test]
    fn reading_a_pattern_never_panics(text in "\\PC{0,30}") {
        let _ = DenyPattern::parse(&text);
    }
}
