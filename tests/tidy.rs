//! Keeps the rooms apart. See the dependency rule in `src/lib.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Layer → what it may not reach for, and why. A file is of the layer that its name says, or
/// its first line: `//! store: …`. What talks to files, processes and sockets, or waits, is
/// of the layer `io`, and may do all that.
const RULES: &[(&str, &[&str], &str)] = &[
    (
        "domain",
        &["diesel", "actix_web", "askama", "tokio", "Utc::now", "clock::Clock", "std::fs"],
        "rules are pure: pass values in",
    ),
    ("store", &["actix_web::Http", "askama", "Utc::now"], "a query is told the time and answers with values"),
    ("actions", &["actix_web", "askama", "Utc::now"], "an action is one transaction and nothing else"),
    (
        "web",
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
const WEB_FOLDERS: &[&str] = &["bots/web", "drafting/web", "inbox/web", "screen/web"];

/// Rooms whose files are of no layer: the floor, and what moves by itself.
const WITHOUT_LAYERS: &[&str] = &["db", "journal", "access", "pacing", "wording", "providers", "web", "engine"];

/// Of which layer a file is; `None`: nobody says.
fn layer_of(path: &Path) -> Option<String> {
    if WEB_FOLDERS.iter().any(|folder| path.to_string_lossy().contains(folder)) {
        return Some("web".to_owned());
    }
    let name = path.file_stem().unwrap().to_str().unwrap();
    if ["domain", "store", "actions", "web"].contains(&name) {
        return Some(name.to_owned());
    }
    let text = fs::read_to_string(path).unwrap();
    let layer = text.strip_prefix("//! ")?.split_once(':')?.0;
    ["domain", "store", "actions", "web", "io"].contains(&layer).then(|| layer.to_owned())
}

#[test]
fn each_file_keeps_to_its_layer() {
    let mut strays = Vec::new();
    for path in rust_files(Path::new("src")) {
        let (layer, room) = (layer_of(&path), room_of(&path));
        let in_a_room = Path::new("src").join(&room).is_dir() && path.file_name().unwrap() != "mod.rs";
        if layer.is_none() && in_a_room && !WITHOUT_LAYERS.contains(&room.as_str()) {
            strays.push(format!("{}: says in its first line of which layer it is, as `//! store: …`", path.display()));
        }
        let Some((_, forbidden, why)) = RULES.iter().find(|(it, ..)| Some(*it) == layer.as_deref()) else { continue };
        for (n, line) in code(&path).lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(*word)) {
                strays.push(format!("{}:{}: `{word}`: {why}", path.display(), n + 1));
            }
        }
    }
    assert!(strays.is_empty(), "\n{}\n", strays.join("\n"));
}

/// Tables that more than one room writes: whose they are, and the files elsewhere. Those that
/// write very many rows with one statement do it where the rows come from; the others are
/// listed so that no more join them unseen.
const WRITTEN_ELSEWHERE: &[(&str, &str, &[&str])] = &[
    // PAUSE and STOP of everything: campaigns, schedules, runs and their entries in one statement each.
    ("campaigns", "campaigns", &["control/pause_campaigns.sql", "control/stop_campaigns.sql"]),
    ("schedules", "schedules", &["control/pause_schedules.sql", "control/stop_schedules.sql"]),
    ("run_pauses", "runs", &["control/pause_runs.sql", "control/stop_runs.sql"]),
    (
        "journal",
        "journal",
        &[
            "control/pause_campaigns.sql",
            "control/pause_runs.sql",
            "control/pause_schedules.sql",
            "control/stop_campaigns.sql",
            "control/stop_runs.sql",
            "control/stop_schedules.sql",
        ],
    ),
    // A claim moves the cursor with what it takes.
    (
        "schedule_runs",
        "runs",
        &[
            "control/pause_runs.sql",
            "control/stop_runs.sql",
            "deliveries/claim.rs",
            "deliveries/claim.sql",
            "deliveries/claim_set.sql",
            "deliveries/lose.sql",
            "deliveries/replace_unsent.sql",
        ],
    ),
    // A test message brings its contact and its one delivery; whoever writes first becomes a contact, and whoever is
    // reached on another kind of channel.
    ("contacts", "contacts", &["conversations/store.rs", "deliveries/unreached_of_kind.sql", "drafting/test_send.rs"]),
    // The people of a run as if somebody had uploaded them.
    ("files", "files", &["drafting/rest.rs"]),
    ("file_rows", "files", &["drafting/rest.sql"]),
    // A bot may be the first to hear of a field.
    ("contact_fields", "contacts", &["conversations/store.rs"]),
    // The lists know who is on them: a run's rows come from there.
    ("deliveries", "deliveries", &["drafting/test_send.rs", "lists/store.rs"]),
    // The clock moves what a leap would make end, or last.
    ("leases", "deliveries", &["engine/timekeeper.rs"]),
    ("channel_takes", "channels", &["engine/timekeeper.rs"]),
    // Written where a run's message begins a conversation, taken away where that is written down.
    ("openings", "conversations", &["deliveries/settle.rs"]),
];

#[test]
fn no_two_migrations_have_one_number() {
    // The second one of a number is never run.
    let mut seen = BTreeSet::new();
    for folder in fs::read_dir("migrations").unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        let number = name.split('_').next().unwrap().to_owned();
        assert!(seen.insert(number), "{name}: this number is taken");
    }
}

#[test]
fn a_room_writes_its_own_tables() {
    let mut writers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files(Path::new("src")) {
        let inside = path.strip_prefix("src").unwrap().to_str().unwrap().to_owned();
        let text = match path.extension().and_then(|it| it.to_str()) {
            Some("rs") if inside != "db/schema.rs" => code(&path),
            Some("sql") => fs::read_to_string(&path).unwrap(),
            _ => continue,
        };
        let name = |rest: &str| -> String {
            rest.trim_start()
                .trim_start_matches('"')
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect()
        };
        for verb in ["INSERT INTO ", "UPDATE ", "DELETE FROM ", "insert_into(", "diesel::update(", "diesel::delete("] {
            for rest in text.split(verb).skip(1) {
                let table = name(rest);
                // What a variable holds, or `DO UPDATE SET` and `FOR UPDATE OF`.
                let is_table = table.len() > 3
                    && (verb.ends_with(' ') || rest.trim_start().starts_with(&format!("{table}::table")));
                if is_table {
                    writers.entry(table).or_default().insert(inside.clone());
                }
            }
        }
    }
    let mut strays = Vec::new();
    for (table, files) in &writers {
        let listed = WRITTEN_ELSEWHERE.iter().find(|(it, ..)| it == table);
        let owner = match listed {
            Some((_, owner, _)) => (*owner).to_owned(),
            None => files.first().unwrap().split(['/', '.']).next().unwrap().to_owned(),
        };
        let is_elsewhere = |file: &&String| file.split(['/', '.']).next() != Some(&owner);
        let elsewhere: Vec<&str> = files.iter().filter(is_elsewhere).map(String::as_str).collect();
        if elsewhere != listed.map_or(&[][..], |(.., files)| files) {
            strays.push(format!("`{table}` of `{owner}` is written by {elsewhere:?}"));
        }
    }
    assert!(writers.len() > 40 && strays.is_empty(), "\n{}\n", strays.join("\n"));
}

/// Files that speak of runs whatever they are for, and why they may.
const OF_EVERY_RUN: &[(&str, &str)] = &[
    ("claim.sql", "a test is claimed like any run"),
    ("claim_set.sql", "a test is claimed like any run"),
    ("counts.sql", "of runs by their ids"),
    ("in_flight.sql", "on the wire is what is on the wire"),
    ("ledger.sql", "of runs by their ids"),
    ("lose.sql", "lost is what is lost"),
    ("lose_waiting.sql", "lost is what is lost"),
    ("pause_runs.sql", "PAUSE holds tests as well"),
    ("present.sql", "numbers that were given out"),
    ("barred.sql", "of runs by their ids"),
    ("replace_unsent.sql", "of runs by their ids"),
    ("save.sql", "of a run by its id"),
    ("sent_lately.sql", "where the newest runs begin"),
    ("sent_to.sql", "what has left has left"),
    ("stop_runs.sql", "STOP ends tests as well"),
    ("used.sql", "a test keeps its file as well"),
    ("used_by.sql", "a test keeps its file as well"),
];

#[test]
fn nobody_counts_a_test_for_want_of_a_condition() {
    let mut strays = Vec::new();
    for path in files(Path::new("src")) {
        let inside = path.strip_prefix("src").unwrap().to_str().unwrap().to_owned();
        let file = path.file_name().unwrap().to_str().unwrap();
        match path.extension().and_then(|it| it.to_str()) {
            Some("sql") => {
                let text = fs::read_to_string(&path).unwrap();
                if text.contains("schedule_runs") && !OF_EVERY_RUN.iter().any(|(it, _)| *it == file) {
                    strays.push(format!("{inside}: asks `schedule_runs`; whoever counts asks `real_runs`"));
                }
            }
            Some("rs") if inside != "runs/store.rs" && inside != "db/schema.rs" => {
                let text = code(&path);
                for word in ["purpose = 'campaign'", "schedule_runs::purpose.eq(\"campaign\")"] {
                    if text.contains(word) {
                        strays.push(format!("{inside}: `{word}` is said by `real_runs` and `is_real`"));
                    }
                }
                // Rooms that count for people.
                let counts =
                    ["screen", "calendar", "daily", "contact_page", "control"].contains(&room_of(&path).as_str());
                let (asked, real) = (text.matches("schedule_runs::table").count(), text.matches("is_real()").count());
                let by_id = text.matches("schedule_runs::table.on(").count()
                    + text.matches("schedule_runs::table.find(").count();
                let of_every_run = if inside == "screen/store.rs" { 1 } else { 0 };
                if counts && asked != real + by_id + of_every_run {
                    strays.push(format!("{inside}: {asked} questions about runs, {real} of them about real ones"));
                }
            }
            _ => {}
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
fn no_two_files_need_each_other() {
    let files: BTreeMap<Vec<String>, PathBuf> =
        rust_files(Path::new("src")).into_iter().map(|path| (module_of(&path), path)).collect();
    // What a `mod.rs` hands on under a name of its own is taken from where it stands.
    let mut handed_on = BTreeMap::new();
    for (module, path) in &files {
        for statement in code(path).split("pub use ").skip(1) {
            for mut name in flat(statement.split(';').next().unwrap(), module) {
                let from = name.clone();
                let last = name.pop().unwrap();
                handed_on.insert([module.clone(), vec![last]].concat(), from);
            }
        }
    }
    let file_of = |name: &[String]| -> Option<Vec<String>> {
        let mut name = name.to_vec();
        for _ in 0..5 {
            let known = (1..=name.len()).find_map(|n| handed_on.get(&name[..n]).map(|from| (n, from)));
            let Some((n, from)) = known else { break };
            name = [from.clone(), name[n..].to_vec()].concat();
        }
        (1..=name.len()).rev().map(|n| name[..n].to_vec()).find(|module| files.contains_key(module))
    };
    let needs: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = files
        .iter()
        .map(|(module, path)| {
            let text = code(path).replace("pub use ", "");
            let text = if path.ends_with("mod.rs") { without_handing_on(&code(path)) } else { text };
            let mut names = Vec::new();
            for statement in text.split("\nuse ").skip(1) {
                names.extend(flat(statement.split(';').next().unwrap(), module));
            }
            // Names that are written out where they are used.
            for (n, _) in text.match_indices("crate::") {
                let name: String =
                    text[n..].chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
                names.extend(flat(&name, module));
            }
            (module.clone(), names.iter().filter_map(|name| file_of(name)).filter(|it| it != module).collect())
        })
        .collect();
    let mut circles = Vec::new();
    for from in needs.keys() {
        // Whether the file comes back to itself.
        let (mut seen, mut next) = (BTreeMap::new(), vec![from]);
        while let Some(at) = next.pop() {
            for to in &needs[at] {
                if to == from {
                    let mut way = vec![at.join("::")];
                    let mut before: &Vec<String> = at;
                    while before != from {
                        before = seen[before];
                        way.push(before.join("::"));
                    }
                    way.reverse();
                    circles.push(way.join(" -> "));
                } else if !seen.contains_key(to) {
                    seen.insert(to, at);
                    next.push(to);
                }
            }
        }
    }
    assert!(circles.is_empty(), "\n{}\n", circles.join("\n"));
}

/// Names that several rooms may give a public type. `Refused`: why things of a room stayed as they were,
/// which `db::Error` carries; a path says of which. `Row`: a row as stored, which only its store knows.
const OF_EACH_ROOM: &[&str] = &["Refused", "Row"];

#[test]
fn a_public_type_has_its_name_alone() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in rust_files(Path::new("src")) {
        for line in code(&path).lines() {
            let Some(rest) = line.trim_start().strip_prefix("pub ") else { continue };
            let Some((kind, rest)) = rest.split_once(' ') else { continue };
            if ["struct", "enum", "trait", "type", "union"].contains(&kind) {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                places.entry(name).or_default().push(path.display().to_string());
            }
        }
    }
    places.retain(|name, places| places.len() > 1 && !OF_EACH_ROOM.contains(&name.as_str()));
    // The ids are made by a macro, which has the one `$name`.
    places.remove("");
    assert!(places.is_empty(), "\n{places:#?}\n");
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
    ("drafting/web/page.rs", "files"),
    ("drafting/web/review.rs", "daily"),
    ("screen/web/index.rs", "daily"),
    ("quick/web.rs", "files"),
    ("inbound/web.rs", "drafting"),
    ("screen/web/validity.rs", "drafting"),
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
    "files_script",
    "bring_file",
    "sent",
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
/// The text of a `mod.rs` without what it only hands on.
fn without_handing_on(text: &str) -> String {
    let mut parts = text.split("pub use ");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |so_far, part| so_far + part.split_once(';').map_or("", |(_, rest)| rest))
}

/// `src/files/store.rs` as `["files", "store"]`.
fn module_of(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix("src").unwrap().with_extension("");
    let mut names: Vec<String> = inside.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    names
}

/// Every name of `a::{b, c::{d, self}}` written out, as one sees it from the crate's root; none of other crates.
fn flat(text: &str, module: &[String]) -> Vec<Vec<String>> {
    fn names(text: &str, before: &str, into: &mut Vec<String>) {
        let text = text.trim();
        let Some((head, list)) = text.split_once('{') else {
            return into.push(format!("{before}{}", text.split(" as ").next().unwrap().trim()));
        };
        let (list, mut depth, mut part) = (list.strip_suffix('}').unwrap_or(list), 0, String::new());
        for c in list.chars().chain([',']) {
            depth += i32::from(c == '{') - i32::from(c == '}');
            match c {
                ',' if depth == 0 && part.trim().is_empty() => {}
                ',' if depth == 0 => names(&std::mem::take(&mut part), &format!("{before}{head}"), into),
                c => part.push(c),
            }
        }
    }
    let mut all = Vec::new();
    names(text, "", &mut all);
    let is_mod = Path::new("src").join(module.join("/")).join("mod.rs").exists();
    let rooted = |name: String| -> Option<Vec<String>> {
        let mut parts: Vec<String> =
            name.split("::").map(|it| it.trim().to_owned()).filter(|it| it != "self").collect();
        let mut here = module.to_vec();
        if !is_mod {
            here.pop();
        }
        if parts.first().is_some_and(|it| it == "crate") {
            parts.remove(0);
            return Some(parts);
        }
        let mut ups = 0;
        while parts.first().is_some_and(|it| it == "super") {
            parts.remove(0);
            ups += 1;
            if is_mod || ups > 1 {
                here.pop();
            }
        }
        let ours = ups > 0 || name.starts_with("self::") || is_mod;
        ours.then(|| [here, parts].concat())
    };
    all.into_iter().filter_map(rooted).collect()
}

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
