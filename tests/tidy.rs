//! Keeps the rooms apart. See the dependency rule in `src/lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// File name → what it may not reach for, and why.
const RULES: &[(&str, &[&str], &str)] = &[
    (
        "domain.rs",
        &["diesel", "actix_web", "askama", "tokio", "Utc::now", "clock::Clock", "std::fs"],
        "rules are pure: pass values in",
    ),
    ("store.rs", &["actix_web::Http", "askama", "Utc::now"], "a query is told the time and answers with values"),
    ("actions.rs", &["actix_web", "askama", "Utc::now"], "an action is one transaction and nothing else"),
    (
        "web.rs",
        &[
            "diesel::prelude",
            "diesel::sql",
            "diesel::dsl",
            "diesel::insert",
            "diesel::update",
            "diesel::delete",
            "db::schema",
            "Utc::now",
        ],
        "a handler asks a store or an action",
    ),
];

/// Folders whose every file is of one layer.
const WEB_FOLDERS: &[&str] = &["bots/web", "campaigns/web", "conversations/web"];

#[test]
fn each_file_keeps_to_its_layer() {
    let mut strays = Vec::new();
    for path in rust_files(Path::new("src")) {
        let in_web_folder = WEB_FOLDERS.iter().any(|folder| path.to_string_lossy().contains(folder));
        let name = if in_web_folder { "web.rs" } else { path.file_name().unwrap().to_str().unwrap() };
        let Some((_, forbidden, why)) = RULES.iter().find(|(file, ..)| *file == name) else { continue };
        for (n, line) in code(&path).lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(*word)) {
                strays.push(format!("{}:{}: `{word}`: {why}", path.display(), n + 1));
            }
        }
    }
    assert!(strays.is_empty(), "\n{}\n", strays.join("\n"));
}

#[test]
fn rooms_only_use_rooms_above_them() {
    let rooms = rooms();
    let place = |room: &str| rooms.iter().position(|it| it == room);
    let mut strays = Vec::new();
    for path in rust_files(Path::new("src")) {
        let Some(here) = place(&room_of(&path)) else { continue };
        for used in code(&path).split("crate::").skip(1) {
            let named = |list: &str| -> Vec<String> {
                list.split(',').map(|it| it.trim().split("::").next().unwrap().to_owned()).collect()
            };
            // `use crate::{a, b::c};` names several.
            let used = match used.strip_prefix('{') {
                Some(list) => named(list.split('}').next().unwrap()),
                None => vec![used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()],
            };
            for used in used.iter().filter(|used| place(used).is_some_and(|there| here < there)) {
                strays.push(format!("{}: uses `{used}`, which comes later in src/lib.rs", path.display()));
            }
        }
    }
    assert!(strays.is_empty(), "\n{}\n", strays.join("\n"));
}

#[test]
fn layers_and_the_engine_are_entered_by_their_own_doors() {
    let mut strays = Vec::new();
    for path in rust_files(Path::new("src")) {
        let (text, inside) = (code(&path), path.strip_prefix("src").unwrap().to_string_lossy().into_owned());
        let front = ["server.rs", "main.rs", "demo.rs"].contains(&inside.as_str());
        if text.contains("crate::engine") && !front && !inside.starts_with("engine/") {
            strays.push(format!("{inside}: nobody asks the engine but those who start it"));
        }
        for room in rooms().into_iter().filter(|room| room != "web") {
            let pages = format!("{room}::web::");
            if text.contains(&pages) && !front && room_of(&path) != room && !PANELS.contains(&(&inside, &room)) {
                strays.push(format!("{inside}: reaches into the pages of `{room}`"));
            }
        }
    }
    assert!(strays.is_empty(), "\n{}\n", strays.join("\n"));
}

/// Pages that hold a panel of another room: who, of which room.
const PANELS: &[(&str, &str)] = &[
    ("campaigns/web/drafting/mod.rs", "files"),
    ("campaigns/web/drafting/review.rs", "drops"),
    ("campaigns/web/index.rs", "drops"),
    ("campaigns/web/quick.rs", "files"),
];

/// Handlers that a stranger may call; the others ask in their signature for a right.
const OPEN_TO_STRANGERS: &[&str] = &[
    "home",
    "alive",
    "ready",
    "measures",
    "sign_in_page",
    "sign_in",
    "sign_out",
    "show_sign_in",
    "webhook",
    // The doors of a web chat ask for its visitor's token.
    "widget_script",
    "welcome",
    "history",
    "say",
    "stream",
    "acknowledge",
];

#[test]
fn every_handler_names_the_right_it_needs() {
    let mut open = Vec::new();
    for path in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        for handler in text.split("\n#[").filter(|part| part.starts_with("get(\"") || part.starts_with("post(\"")) {
            let signature = &handler[..handler.find("{\n").unwrap()];
            let name = signature.split("async fn ").nth(1).unwrap().split(['(', '<']).next().unwrap();
            if !signature.contains("May<") && !OPEN_TO_STRANGERS.contains(&name) {
                open.push(format!("{}: `{name}` asks for no right", path.display()));
            }
        }
    }
    assert!(open.is_empty(), "\n{}\n", open.join("\n"));
}

#[test]
fn pages_hold_no_script_and_no_style_of_their_own() {
    let mut strays = Vec::new();
    for path in files(Path::new("templates")) {
        let text = fs::read_to_string(&path).unwrap();
        for word in [" style=", "<script>", "<style", " onclick=", " onchange=", " onsubmit=", "javascript:", "hx-on"] {
            if text.contains(word) {
                strays.push(format!("{}: `{word}`: the Content-Security-Policy forbids it", path.display()));
            }
        }
    }
    assert!(strays.is_empty(), "\n{}\n", strays.join("\n"));
}

#[test]
fn every_form_that_changes_something_works_without_scripts() {
    let mut strays = Vec::new();
    for path in files(Path::new("templates")) {
        let text = fs::read_to_string(&path).unwrap();
        for form in text.split("<form").skip(1) {
            let tag = form.split('>').next().unwrap();
            if tag.contains("hx-post") && !(tag.contains("method=\"post\"") && tag.contains("action=")) {
                strays.push(format!("{}: <form{tag}>", path.display()));
            }
        }
    }
    assert!(strays.is_empty(), "\n{}\n", strays.join("\n"));
}

/// Of two with one version Diesel applies the first and passes over the other.
#[test]
fn every_migration_has_a_version_of_its_own() {
    let names = fs::read_dir("migrations").unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let mut versions: Vec<String> = names.map(|name| name.split('_').next().unwrap().to_owned()).collect();
    versions.sort();
    let twice: Vec<_> = versions.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn every_migration_has_a_way_back() {
    for dir in fs::read_dir("migrations").unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let down = fs::read_to_string(dir.path().join("down.sql")).unwrap_or_default();
        let undoes = ["DROP", "ALTER", "COMMENT ON"].iter().any(|word| down.contains(word));
        assert!(undoes, "{} has no way back", dir.path().display());
    }
}

/// The rooms in reading order, as `src/lib.rs` lists them.
fn rooms() -> Vec<String> {
    let map = fs::read_to_string("src/lib.rs").unwrap();
    map.lines().filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned())).collect()
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap().to_str().unwrap();
    inside.split(['/', '.']).next().unwrap().to_owned()
}

/// A file without its comments and unit tests, with its line numbers kept.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let before_tests = text.split("#[cfg(test)]").next().unwrap();
    before_tests.lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}
