use super::*;

#[test]
fn a_cursor_opens_only_the_inbox_that_it_is_of() {
    let (one, other) = (ServiceKey::new("p", "s"), ServiceKey::new("p", "t"));
    let text = Cursor(258).encode(&one);
    assert_eq!(Cursor::decode(&text, &one), Some(Cursor(258)));
    assert_eq!(Cursor::decode(&text, &other), None);
    for bad in ["", "258", "+1.0", "x.y", "0102.00000000"] {
        assert_eq!(Cursor::decode(bad, &one), None, "{bad}");
    }
}
