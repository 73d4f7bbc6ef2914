//! The source as the rules see it: files, their rooms, the rooms that they import.

#![expect(clippy::unwrap_used, reason = "a house that cannot be read fails its test")]

use std::{fs, path::Path};

/// A file under `src`, or under `tests` where that is asked for.
pub(crate) struct File {
    /// Below that folder, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All under `src`, in order of their names.
pub(crate) fn files() -> Vec<File> {
    under("src")
}

/// All under a folder of the crate.
pub(crate) fn under(folder: &str) -> Vec<File> {
    let root = &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    collect(root, root, &mut files);
    assert!(files.len() > 10, "the source was not found");
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            files.push(File { path, text });
        }
    }
}

/// Whether `text` has `word` standing by itself.
pub(crate) fn names(text: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name)
    })
}

impl File {
    /// `link` of `link/peer/mod.rs`, `tls` of `tls.rs`.
    pub(crate) fn room(&self) -> String {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first).to_owned()
    }

    pub(crate) fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Whether it is compiled for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| matches!(part, "tests" | "tests.rs" | "testing" | "testing.rs" | "suite.rs"))
    }

    /// How many lines stand before `#[cfg(test)] mod tests {`.
    pub(crate) fn tests_from(&self) -> usize {
        let lines: Vec<_> = self.text.lines().collect();
        let opens = |pair: &[&str]| {
            pair[0].trim() == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].trim_end().ends_with('{')
        };
        lines.windows(2).position(opens).unwrap_or(lines.len())
    }

    /// Lines with their numbers, without comments, and without tests.
    pub(crate) fn code(&self) -> Vec<(usize, String)> {
        let mut code = Vec::new();
        for (number, line) in self.text.lines().enumerate().take(self.tests_from()) {
            let bare = line.split("//").next().unwrap_or_default();
            if !bare.trim().is_empty() {
                code.push((number + 1, bare.to_owned()));
            }
        }
        code
    }

    /// The rooms that it names: `crate::room`, also in nested groups and in the middle of code.
    pub(crate) fn imports(&self) -> Vec<(usize, String)> {
        let mut text = String::new();
        let mut starts = Vec::new();
        for (number, line) in self.code() {
            starts.push((text.len(), number));
            text.push_str(&line);
            text.push('\n');
        }
        let line_of =
            |at: usize| starts.iter().rev().find(|(start, _)| *start <= at).map_or(0, |(_, line)| *line);
        // The binary's own rooms are those of the library.
        let own = if self.path == "main.rs" { "ymp::" } else { "crate::" };
        let mut found = Vec::new();
        for (at, _) in text.match_indices(own) {
            if text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let rest = &text[at + own.len()..];
            found.extend(heads(rest).into_iter().map(|room| (line_of(at), room)));
        }
        found
    }
}

/// The first names of a path: one, or those of a group.
fn heads(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.trim_start().strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut heads, mut start) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty() && head != "self");
    heads
}

#[test]
fn imports_are_read_in_every_form() {
    let text = "use crate::wire::host;\nuse crate::{\n    link::{event::{A, B}, peer},\n    token,\n};\n// crate::serve\nfn f() { crate::store::x(); }\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n";
    let file = File { path: "node/mod.rs".to_owned(), text: text.to_owned() };
    let rooms: Vec<_> = file.imports().into_iter().map(|(line, room)| format!("{line} {room}")).collect();
    assert_eq!(rooms, ["1 wire", "2 link", "2 token", "7 store"]);
    assert!(names("use std::time::Instant;", "Instant") && !names("let instants = 1;", "Instant"));
}
