//! What lies around the code: licences and reasons of dependencies, and the registration of the format with the desktop
//! and with file(1).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// What cargo knows of the package and all that it depends on, on every system and with every feature; `None` where it
/// has not downloaded all of that.
fn metadata() -> Option<Value> {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let args = ["metadata", "--format-version", "1", "--offline", "--locked", "--all-features"];
    let output = Command::new(cargo).current_dir(path("")).args(args).output().unwrap();
    if !output.status.success() {
        println!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The licences that `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let text = read("deny.toml");
    let (_, list) = text.split_once("allow = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression, or the older form with slashes, can be met by allowed licences alone.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any_of(&words, allowed);
    assert!(rest.is_empty(), "{expression}");
    met
}

fn any_of<'a, 'b>(words: &'a [&'b str], allowed: &BTreeSet<String>) -> (bool, &'a [&'b str]) {
    let (mut met, mut rest) = all_of(words, allowed);
    while let ["OR", after @ ..] = rest {
        let (other, after) = all_of(after, allowed);
        (met, rest) = (met || other, after);
    }
    (met, rest)
}

fn all_of<'a, 'b>(words: &'a [&'b str], allowed: &BTreeSet<String>) -> (bool, &'a [&'b str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let ["AND", after @ ..] = rest {
        let (other, after) = one(after, allowed);
        (met, rest) = (met && other, after);
    }
    (met, rest)
}

fn one<'a, 'b>(words: &'a [&'b str], allowed: &BTreeSet<String>) -> (bool, &'a [&'b str]) {
    match words {
        ["(", rest @ ..] => match any_of(rest, allowed) {
            (met, [")", rest @ ..]) => (met, rest),
            _ => panic!("a parenthesis is not closed in {words:?}"),
        },
        [licence, "WITH", exception, rest @ ..] => {
            (allowed.contains(&format!("{licence} WITH {exception}")), rest)
        }
        [licence, rest @ ..] => (allowed.contains(*licence), rest),
        [] => panic!("an expression ends too early"),
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT", "ISC", "Zlib WITH X"].map(str::to_owned));
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT/GPL-3.0", true),
        ("MIT AND ISC", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 AND MIT OR ISC", true),
        ("(MIT OR GPL-3.0) AND GPL-3.0", false),
        ("Zlib WITH X OR Zlib", true),
        ("Zlib", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let Some(metadata) = metadata() else { return };
    let allowed = allowed();
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages {
        let (name, licence) = (&package["name"], package["license"].as_str());
        let licence = licence.unwrap_or_else(|| panic!("{name} names no licence"));
        assert!(is_met(licence, &allowed), "{name}: {licence} is not allowed by deny.toml");
    }
    let found: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let lock = read("Cargo.lock");
    let locked = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let missing: Vec<&str> = locked.filter(|name| !found.contains(name)).collect();
    assert!(missing.is_empty(), "cargo tells nothing of {missing:?}");
}

/// Names in the first column of the tables, and in the manifest's sections of dependencies.
#[test]
fn the_list_of_dependencies_is_that_of_the_manifest() {
    let document = read("docs/dependencies.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let (mut documented, mut lines) = (BTreeSet::new(), 0);
    for (name, reason) in rows {
        assert!(reason.len() > 5, "{name}: no reason");
        documented.insert(name.to_owned());
        lines += 1;
    }
    assert_eq!(documented.len(), lines, "a dependency is listed twice");
    let manifest = read("Cargo.toml");
    let mut named = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| inside) {
            named.insert(name.to_owned());
        }
    }
    assert_eq!(documented, named, "docs/dependencies.md on the left, Cargo.toml on the right");
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Each answer in the list of attacks names tests that are there.
#[test]
fn the_tests_that_attacks_name_exist() {
    let sources = [sources(&path("tests")), sources(&path("src"))].concat();
    let document = read("docs/attacks.md");
    let mut count = 0;
    for (file, test) in document.split('`').filter_map(|code| code.split_once("::")) {
        if !file.ends_with(".rs") {
            continue;
        }
        let is_there = |source: &&PathBuf| {
            source.ends_with(file) && fs::read_to_string(source).unwrap().contains(&format!("fn {test}("))
        };
        assert!(sources.iter().any(|source| is_there(&source)), "{file} has no test {test}");
        count += 1;
    }
    assert!(count > 25, "{count}");
}

/// Runs a program, if it is installed.
fn run(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: cannot run {program}: {error}");
            None
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn file_recognizes_the_format() {
    let magic = path("packaging/aez.magic");
    let vectors = fs::read_dir(path("tests/vectors")).unwrap().map(|entry| entry.unwrap().path());
    let (aez, others): (Vec<PathBuf>, Vec<PathBuf>) =
        vectors.filter(|path| path.is_file()).partition(|path| path.extension().is_some_and(|e| e == "aez"));
    assert!(aez.len() > 15 && others.len() > 15);
    for (files, is_aez) in [(aez, true), (others, false)] {
        let args = ["-m", text(&magic), "-b", "--mime-type"];
        let args: Vec<&str> = args.into_iter().chain(files.iter().map(|path| text(path))).collect();
        let Some(output) = run("file", &args) else { return };
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let found = String::from_utf8(output.stdout).unwrap();
        assert_eq!(found.lines().count(), files.len());
        assert!(found.lines().all(|line| (line == "image/x-aez") == is_aez), "{found}");
    }
    let everything = path("tests/vectors/everything_zstd.aez");
    let Some(output) = run("file", &["-m", text(&magic), "-b", text(&everything)]) else { return };
    let expected = "AEZ image data, version 1, with sections, zstd, quality 75\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn the_desktop_recognizes_the_format() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("packages")).unwrap();
    fs::copy(path("packaging/aez.xml"), folder.path().join("packages/aez.xml")).unwrap();
    let Some(output) = run("update-mime-database", &[text(folder.path())]) else { return };
    assert!(output.status.success(), "{output:?}");
    let globs = fs::read_to_string(folder.path().join("globs2")).unwrap();
    assert!(globs.lines().any(|line| line == "50:image/x-aez:*.aez"), "{globs}");
    let magic = fs::read(folder.path().join("magic")).unwrap();
    let rule = b"[40:image/x-aez]\n>0=\0\x03\xAE\x5A\x10&\xFF\xFF\xFC\n";
    assert!(magic.windows(rule.len()).any(|window| window == rule), "{}", String::from_utf8_lossy(&magic));
}
