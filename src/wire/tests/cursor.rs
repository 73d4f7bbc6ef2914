//! Cursors as apps are given them.

use proptest::prelude::*;

use crate::wire::{cursor::Cursor, packet::ServiceKey};

proptest! {
    //= NODE-API-08
    #[test]
    fn any_cursor_reads_back_and_no_other_text_does(
        place: u64, protocol in "[a-z.-]{1,9}", service in "\\PC{1,9}", at: usize, letter in "[0-9a-gA-F.+ ]",
    ) {
        let (key, other) = (ServiceKey::new(&protocol, &service), ServiceKey::new(&protocol, &format!("{service}x")));
        let text = Cursor(place).encode(&key);
        prop_assert_eq!(Cursor::decode(&text, &key), Some(Cursor(place)));
        prop_assert_eq!(Cursor::decode(&text, &other), None);
        let at = at % (text.len() + 1);
        for changed in [format!("{}{letter}{}", &text[..at], &text[at..]), text[..at].to_owned()] {
            if let Some(read) = Cursor::decode(&changed, &key) {
                // Another place of this inbox, in the one form that a place has.
                prop_assert_eq!(read.encode(&key), changed);
            }
        }
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,40}") {
        let _ = Cursor::decode(&text, &ServiceKey::new("p", "s"));
    }
}
