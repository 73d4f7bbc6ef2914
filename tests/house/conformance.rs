//! The conformance list: what the specification says, the lines that keep it, the tests that prove it.
//!
//! The statements stand in `conformance.txt`, each with an id. The source cites them: `//= HT-ASK-01: always 204` above the
//! line that keeps a rule, and `//= HT-ASK-01, HT-ASK-03` above each test that proves one (there the test's name says the
//! rest). A statement without a line or without a test fails, unless the list says that it is open and why; so does a
//! citation of what no statement says, and one that stands above no test where tests are.
//!
//! `cargo test --locked --test house conformance -- --nocapture` prints the whole table.

#![expect(clippy::expect_used, reason = "a list of another form than its head says fails its test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::source::{File, files, under};

const LIST: &str = include_str!("conformance.txt");
const COLUMNS: usize = 100;

/// A statement of the specification.
#[derive(Debug, PartialEq, Eq)]
struct Statement {
    id: String,
    text: String,
    /// Why nothing keeps it or proves it yet.
    open: Option<String>,
}

/// Statements under one heading.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    title: String,
    statements: Vec<Statement>,
}

/// What cites one statement.
#[derive(Default)]
struct Cited {
    /// `src/wire/host.rs:92`
    lines: Vec<String>,
    tests: Vec<String>,
}

impl Cited {
    fn is_whole(&self) -> bool {
        !self.lines.is_empty() && !self.tests.is_empty()
    }
}

fn is_id(text: &str) -> bool {
    let mut parts: Vec<_> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase());
    digits && parts.len() == 2 && parts.iter().all(word)
}

/// Reads the list; panics where a line is of another form than the list's head says.
fn sections(list: &str) -> Vec<Section> {
    let mut all: Vec<Section> = Vec::new();
    for line in list.lines().filter(|line| !line.is_empty()) {
        if let Some(title) = line.strip_prefix("## ") {
            all.push(Section { title: title.to_owned(), statements: Vec::new() });
        } else if !line.starts_with('#') {
            let statements = &mut all.last_mut().expect("a heading comes first").statements;
            if let Some(more) = line.strip_prefix("  ") {
                let last = statements.last_mut().expect("a statement goes on");
                let part = last.open.as_mut().unwrap_or(&mut last.text);
                match more.trim().strip_prefix("open: ") {
                    Some(reason) => last.open = Some(reason.to_owned()),
                    None => {
                        part.push(' ');
                        part.push_str(more.trim());
                    }
                }
            } else {
                let (id, text) = line.split_once("  ").expect("an id, two spaces, the statement");
                assert!(is_id(id), "{id} is no id");
                statements.push(Statement { id: id.to_owned(), text: text.trim().to_owned(), open: None });
            }
        }
    }
    all
}

/// The ids that a line cites; `Err` where it is no citation of the one form.
fn ids(line: &str) -> Result<Vec<&str>, String> {
    let Some(rest) = line.trim_start().strip_prefix("//= ") else {
        return Err(format!("a citation is a line of its own, `//= ID, ID: words`: {}", line.trim()));
    };
    let ids: Vec<_> = rest.split(':').next().unwrap_or_default().split(',').map(str::trim).collect();
    match ids.iter().find(|id| !is_id(id)) {
        Some(wrong) => Err(format!("`{wrong}` is no id: {}", line.trim())),
        None => Ok(ids),
    }
}

/// The place of what a citation stands above, the first line that is neither comment nor attribute, and its name where that
/// is a test: by its attribute, or made by a macro (of what takes a house, the store's; of a row, one that names its tests).
fn cited<'a>(lines: &[&'a str], from: usize) -> (usize, Option<&'a str>) {
    let (mut at, mut test, mut attribute) = (from, false, false);
    while let Some(line) = lines.get(at).map(|line| line.trim()) {
        test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let opens = line.starts_with("#[");
        if !attribute && !opens && !line.is_empty() && !line.starts_with("//") {
            break;
        }
        attribute = (attribute || opens) && !line.ends_with(']');
        at += 1;
    }
    let line = lines.get(at).map_or("", |line| line.trim());
    let of_house = line.starts_with("fn ") && line.contains("(house) {");
    let row = line.ends_with(';') && lines.iter().any(|line| line.contains("fn $name()"));
    let name = match line.split_once("fn ") {
        Some((_, rest)) if test || of_house => rest,
        None if row => line,
        Some(_) | None => "",
    };
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    (at + 1, Some(&name[..end]).filter(|name| !name.is_empty()))
}

/// Adds what one file cites to `all`, and what is wrong with it to `wrong`.
fn collect(folder: &str, file: &File, all: &mut BTreeMap<String, Cited>, wrong: &mut Vec<String>) {
    let lines: Vec<_> = file.text.lines().collect();
    let tests_from = if folder == "tests" || file.is_test() { 0 } else { file.tests_from() };
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("//=")) {
        let place = format!("{folder}/{}:{}", file.path, number + 1);
        let ids = match ids(line) {
            Ok(ids) => ids,
            Err(what) => {
                wrong.push(format!("{place}: {what}"));
                continue;
            }
        };
        let (at, test) = cited(&lines, number + 1);
        for id in ids {
            let cited = all.entry(id.to_owned()).or_default();
            match test {
                _ if number < tests_from => cited.lines.push(format!("{folder}/{}:{at}", file.path)),
                Some(name) => cited.tests.push(name.to_owned()),
                None => wrong.push(format!("{place}: {id} stands above no test")),
            }
        }
    }
}

/// Everything that is cited, by id, and what is wrong with how.
fn citations() -> (BTreeMap<String, Cited>, Vec<String>) {
    let (mut all, mut wrong) = (BTreeMap::new(), Vec::new());
    for file in files() {
        collect("src", &file, &mut all, &mut wrong);
    }
    for file in under("tests").into_iter().filter(|file| !file.path.starts_with("house/")) {
        collect("tests", &file, &mut all, &mut wrong);
    }
    (all, wrong)
}

/// `text`, cut where it would be longer than there are columns.
fn cut(text: &str) -> String {
    if text.chars().count() <= COLUMNS {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(COLUMNS - 2).collect();
    cut.truncate(cut.trim_end().len());
    cut.push_str("..");
    cut
}

/// A label and words behind it, with `mark` between them, in as many lines as they need.
fn wrapped(label: &str, words: &[&str], mark: &str) -> String {
    let (mut text, mut line) = (String::new(), format!("  {label:5}"));
    for (place, word) in words.iter().enumerate() {
        let mark = if place + 1 < words.len() { mark } else { "" };
        if place > 0 && line.len() + 1 + word.len() + mark.len() > COLUMNS {
            let _ = writeln!(text, "{line}");
            line = " ".repeat(7);
        }
        let _ = write!(line, " {word}{mark}");
    }
    let _ = writeln!(text, "{line}");
    text
}

fn table(sections: &[Section], all: &BTreeMap<String, Cited>) -> String {
    let mut text = String::new();
    let none = Cited::default();
    let (mut statements, mut kept, mut open, mut lines, mut proofs) = (0, 0, 0, 0, 0);
    let mut tests = BTreeSet::new();
    for section in sections {
        let _ = write!(text, "\n{}\n\n", section.title);
        for statement in &section.statements {
            let cited = all.get(&statement.id).unwrap_or(&none);
            text.push_str(&cut(&format!("{:14} {}", statement.id, statement.text)));
            text.push('\n');
            if let Some(reason) = &statement.open {
                text.push_str(&wrapped("open", &reason.split(' ').collect::<Vec<_>>(), ""));
            }
            for (label, names) in [("code", &cited.lines), ("test", &cited.tests)] {
                if !names.is_empty() {
                    let names: Vec<_> = names.iter().map(String::as_str).collect();
                    text.push_str(&wrapped(label, &names, ","));
                }
            }
            statements += 1;
            open += usize::from(statement.open.is_some());
            kept += usize::from(cited.is_whole());
            lines += cited.lines.len();
            proofs += cited.tests.len();
            tests.extend(&cited.tests);
        }
    }
    let tests = tests.len();
    let _ = write!(
        text,
        "\n{statements} statements: {kept} kept and proven, {open} open. {lines} lines keep them, {tests} tests prove them \
         ({proofs} proofs).\n"
    );
    text
}

#[test]
fn every_statement_is_kept_by_a_line_and_proven_by_a_test() {
    let (sections, (all, mut wrong)) = (sections(LIST), citations());
    print!("{}", table(&sections, &all));
    let none = Cited::default();
    for Statement { id, open, .. } in sections.iter().flat_map(|section| &section.statements) {
        let cited = all.get(id).unwrap_or(&none);
        if open.is_none() && cited.lines.is_empty() {
            wrong.push(format!("{id}: no line under src cites it"));
        }
        if open.is_none() && cited.tests.is_empty() {
            wrong.push(format!("{id}: no test cites it"));
        }
        if open.is_some() && cited.is_whole() {
            wrong.push(format!("{id}: it is kept and proven by now: strike `open` from the list"));
        }
        if open.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
            wrong.push(format!("{id}: it is open for no reason"));
        }
    }
    let known: BTreeSet<_> =
        sections.iter().flat_map(|section| &section.statements).map(|statement| &statement.id).collect();
    wrong.extend(
        all.keys().filter(|id| !known.contains(id)).map(|id| format!("{id}: cited, and not in the list")),
    );
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn an_id_names_one_statement() {
    let sections = sections(LIST);
    let mut seen = BTreeSet::new();
    for Statement { id, text, .. } in sections.iter().flat_map(|section| &section.statements) {
        assert!(seen.insert(id), "{id} stands twice");
        assert!(!text.is_empty(), "{id} says nothing");
    }
    assert!(seen.len() > 200, "the list was not found");
}

#[test]
fn the_list_is_read_with_what_goes_on_and_what_is_open() {
    let list =
        "# head\n## One\n\nA-B-1  first\n       and on\nA-B-2  second\n       open: not\n       built\n";
    let statement = |id: &str, text: &str, open: Option<&str>| Statement {
        id: id.to_owned(),
        text: text.to_owned(),
        open: open.map(str::to_owned),
    };
    let statements =
        vec![statement("A-B-1", "first and on", None), statement("A-B-2", "second", Some("not built"))];
    assert_eq!(sections(list), [Section { title: "One".to_owned(), statements }]);
}

#[test]
fn a_citation_has_one_form_and_stands_above_what_it_is_of() {
    let text = "//= A-B-1, A-B-2: words: more\n/// Doc.\n#[expect(\n    lint,\n    reason = \"x\"\n)]\npub fn kept() {}\n\
                let x = 1; //= A-B-1\n//= nothing\n#[cfg(test)]\nmod tests {\n    //= A-B-1\n    #[test]\n    fn proof() {}\n\
                \n    //= A-B-2\n    fn helper() {}\n}\n";
    let file = File { path: "x.rs".to_owned(), text: text.to_owned() };
    let (mut all, mut wrong) = (BTreeMap::new(), Vec::new());
    collect("src", &file, &mut all, &mut wrong);
    assert_eq!(
        (&all["A-B-1"].lines[..], &all["A-B-1"].tests[..]),
        (&["src/x.rs:7".to_owned()][..], &["proof".to_owned()][..])
    );
    assert_eq!((all["A-B-2"].lines.len(), all["A-B-2"].tests.len()), (1, 0));
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    let made = "macro_rules! cells {\n    async fn $name() {}\n}\ncells! {\n    //= A-B-1\n    r1_we: R1, We;\n}\n\
                promises! {\n    //= A-B-1\n    fn a_promise(house) {\n    }\n}\n";
    let made = File { path: "made.rs".to_owned(), text: made.to_owned() };
    let (mut all_made, mut none) = (BTreeMap::new(), Vec::new());
    collect("tests", &made, &mut all_made, &mut none);
    assert_eq!(
        (&all_made["A-B-1"].tests[..], none),
        (&["r1_we".to_owned(), "a_promise".to_owned()][..], vec![])
    );
    assert!(wrong[0].starts_with("src/x.rs:8: a citation is a line of its own"), "{wrong:?}");
    assert!(wrong[1].starts_with("src/x.rs:9: `nothing` is no id"), "{wrong:?}");
    assert!(wrong[2].starts_with("src/x.rs:16: A-B-2 stands above no test"), "{wrong:?}");
}
