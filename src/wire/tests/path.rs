//! Paths by their grammar, and paths that miss it by a little.

use proptest::prelude::*;

use crate::wire::path::UrlPath;

fn is_dots(segment: &str) -> bool {
    matches!(segment.to_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

pub(super) fn path() -> impl Strategy<Value = String> {
    let segment = "([a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2}){0,6}";
    proptest::collection::vec(segment, 1..5)
        .prop_filter("no dots, and no host", |all| {
            !all.iter().any(|segment| is_dots(segment)) && (all.len() == 1 || !all[0].is_empty())
        })
        .prop_map(|all| format!("/{}", all.join("/")))
}

proptest! {
    //= YMP-INFO-10
    #[test]
    fn any_path_of_the_grammar_is_taken_as_it_stands(path in path()) {
        let parsed = UrlPath::parse(&path).unwrap();
        prop_assert_eq!(parsed.as_str(), &path);
        let filled = format!("{path}{}", "a".repeat(512 - path.len()));
        prop_assert!(UrlPath::parse(&filled).is_ok());
        let over = format!("{filled}a");
        prop_assert!(UrlPath::parse(&over).is_err());
    }

    //= YMP-INFO-10
    #[test]
    fn a_near_miss_of_a_path_is_refused(path in path(), at: usize, kind in 0..8_usize) {
        let strange = ["?", "#", "\\", " ", "\"", "<", ">", "^", "`", "{", "|", "}", "\u{e4}", "\n", "\0", "%zz", "%"];
        let place = 1 + at % path.len();
        let text = match kind {
            0 | 1 => {
                let what = strange[at % strange.len()];
                // A lone `%` before two hex digits would be an escape.
                let what = if what == "%" { "%%" } else { what };
                format!("{}{what}{}", &path[..place], &path[place..])
            }
            2 => path[1..].to_owned() + "x",
            3 => format!("/{path}"),
            4 => format!("{path}/../x"),
            5 => format!("{path}/%2e%2E"),
            6 => format!("/./{}", &path[1..]),
            _ => format!("https://evil.test{path}"),
        };
        prop_assume!(kind != 2 || !text.starts_with('/'));
        prop_assert!(UrlPath::parse(&text).is_err(), "{text:?} was taken");
    }
}
