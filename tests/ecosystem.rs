//! The surroundings of the code: dependencies, their licences, the layers of the crates, documents that name tests, and the
//! registration of the format with desktops and file(1).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use aez_core::tiled::Storage;
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The output of a command of cargo, which must not access the network. `None` if that fails because packages have not been
/// downloaded.
fn cargo(args: &[&str]) -> Option<Vec<u8>> {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo).current_dir(path("")).args(args).arg("--offline").output().unwrap();
    if !output.status.success() {
        println!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(output.stdout)
}

/// The metadata of a workspace and of all dependencies, for every system and with every feature.
fn metadata(folder: &str) -> Option<Value> {
    let manifest = path(folder).join("Cargo.toml");
    let manifest = ["--manifest-path", text(&manifest)];
    let output = cargo(
        &[&["metadata", "--format-version", "1", "--locked", "--all-features"], &manifest[..]].concat(),
    )?;
    Some(serde_json::from_slice(&output).unwrap())
}

/// The licences that `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let text = read("deny.toml");
    let (_, list) = text.split_once("allow = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression, or the older form with slashes, is satisfied by the allowed licences.
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
fn licence_expressions_are_evaluated() {
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
    // The packages for other languages have workspaces of their own.
    for folder in ["", "bindings/python", "bindings/web"] {
        check_licences(folder);
    }
}

fn check_licences(folder: &str) {
    let Some(metadata) = metadata(folder) else { return };
    let allowed = allowed();
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages {
        let (name, licence) = (&package["name"], package["license"].as_str());
        let licence = licence.unwrap_or_else(|| panic!("{name} names no licence"));
        assert!(is_met(licence, &allowed), "{name}: {licence} is not allowed by deny.toml");
    }
    let found: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let lock = read(text(&Path::new(folder).join("Cargo.lock")));
    let locked = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let missing: Vec<&str> = locked.filter(|name| !found.contains(name)).collect();
    assert!(missing.is_empty(), "not in the metadata of cargo: {missing:?}");
}

/// The manifests of the workspace's packages.
fn manifests() -> Vec<String> {
    let crates = fs::read_dir(path("crates")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = crates.map(|name| format!("crates/{}/Cargo.toml", name.to_str().unwrap()));
    std::iter::once("Cargo.toml".to_owned()).chain(names).collect()
}

/// Names and requirements in the tables of a manifest whose header passes `is_wanted`.
fn entries(manifest: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let (mut found, mut inside) = (Vec::new(), false);
    for line in read(manifest).lines() {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = is_wanted(header);
        } else if let Some((name, requirement)) = line.split_once(" = ").filter(|_| inside) {
            found.push((name.to_owned(), requirement.to_owned()));
        }
    }
    found
}

/// The names in the first column of the document's tables are those of the workspace's dependencies.
#[test]
fn the_list_of_dependencies_is_that_of_the_manifest() {
    let document = read("docs/dependencies.md");
    let rows =
        document.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    let (mut documented, mut lines) = (BTreeSet::new(), 0);
    for (name, columns) in rows {
        let reason = columns.rsplit(" | ").next().unwrap();
        assert!(reason.len() > 5, "{name}: no reason");
        documented.insert(name.to_owned());
        lines += 1;
    }
    assert_eq!(documented.len(), lines, "a dependency is listed twice");
    let shared = entries("Cargo.toml", |header| header == "workspace.dependencies");
    let external = shared.into_iter().map(|(name, _)| name).filter(|name| !name.starts_with("aez-"));
    assert_eq!(documented, external.collect(), "docs/dependencies.md on the left, Cargo.toml on the right");
}

/// The packages for other languages and the examples have the version of the crate.
#[test]
fn packages_have_one_version() {
    let version = env!("CARGO_PKG_VERSION");
    let (minor, _) = version.rsplit_once('.').unwrap();
    for (file, line) in [
        ("bindings/python/Cargo.toml", format!("version = \"{version}\"")),
        ("bindings/python/pyproject.toml", format!("tile = [\"aez-model-tile=={minor}.*\"]")),
        ("bindings/python-model-tile/pyproject.toml", format!("version = \"{version}\"")),
        ("bindings/web/Cargo.toml", format!("version = \"{version}\"")),
        ("bindings/web/package.json", format!("\"version\": \"{version}\",")),
        ("bindings/web/examples/next/package.json", format!("\"aez-image\": \"^{minor}.0\",")),
    ] {
        assert!(read(file).lines().any(|found| found.trim() == line), "{file} lacks {line}");
    }
}

/// Every dependency of a crate takes its version from the workspace, and no dependency of the workspace is unused.
#[test]
fn versions_of_dependencies_are_those_of_the_workspace() {
    let shared = entries("Cargo.toml", |header| header == "workspace.dependencies");
    let mut unused: BTreeSet<String> = shared.into_iter().map(|(name, _)| name).collect();
    for manifest in manifests() {
        let own = entries(&manifest, |header| {
            header.ends_with("dependencies") && header != "workspace.dependencies"
        });
        assert!(own.len() > 3, "{manifest}: {own:?}");
        for (name, requirement) in own {
            let (name, is_shared) = match name.strip_suffix(".workspace") {
                Some(name) => (name, requirement == "true"),
                None => (&*name, requirement.starts_with("{ workspace = true")),
            };
            assert!(is_shared, "{manifest}: {name} = {requirement}");
            unused.remove(name);
        }
        // A dependency in a table of its own would not be seen above.
        let tables = entries(&manifest, |header| header.contains("dependencies."));
        assert!(tables.is_empty(), "{manifest}: {tables:?}");
    }
    assert!(unused.is_empty(), "not used by any crate: {unused:?}");
}

/// The names of the packages in a dependency tree.
fn tree(args: &[&str]) -> Option<BTreeSet<String>> {
    let tree = cargo(&[&["tree", "--locked", "--prefix", "none", "--format", "{p}"], args].concat())?;
    let tree = String::from_utf8(tree).unwrap();
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    Some(names.map(str::to_owned).collect())
}

/// `aez-core` builds without C code, and its decoder has few dependencies.
#[test]
fn the_core_does_not_depend_on_upper_layers() {
    let unwanted =
        ["candle-core", "clap", "image", "ureq", "plotters", "nalgebra", "zstd", "zstd-sys", "rayon"];
    let Some(names) = tree(&["-p", "aez-core", "--no-default-features", "-e", "normal"]) else { return };
    assert!(names.contains("aez-core") && names.contains("safetensors"), "{names:?}");
    assert!(unwanted.iter().all(|name| !names.contains(*name)), "{names:?}");
    // Also with its default features, and for its tests.
    let Some(names) = tree(&["-p", "aez-core"]) else { return };
    assert!(names.contains("zstd-sys"), "{names:?}");
    assert!(names.iter().all(|name| !name.starts_with("candle") && !name.starts_with("clap")), "{names:?}");
}

/// A crate depends on the crates below it, and not on those above.
#[test]
fn crates_depend_on_lower_layers_only() {
    let layers = ["aez-core", "aez-image", "aez-eval", "aez-train", "aez"];
    for (index, layer) in layers.iter().enumerate() {
        let Some(names) = tree(&["-p", layer, "--all-features"]) else { return };
        let upper: Vec<_> = layers[index + 1..].iter().filter(|upper| names.contains(**upper)).collect();
        assert!(upper.is_empty(), "{layer} depends on {upper:?}");
    }
    for crates in ["aez-image", "aez-eval"] {
        let Some(names) = tree(&["-p", crates, "-e", "normal"]) else { return };
        assert!(!names.contains("candle-core") && !names.contains("clap"), "{crates}: {names:?}");
    }
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The document about attacks names tests that exist.
#[test]
fn the_tests_that_attacks_name_exist() {
    let crates = fs::read_dir(path("crates")).unwrap().map(|entry| entry.unwrap().path());
    let sources: Vec<PathBuf> =
        [path("src"), path("tests")].into_iter().chain(crates).flat_map(|folder| sources(&folder)).collect();
    let document = read("docs/attacks.md");
    let mut count = 0;
    for (file, test) in document.split('`').filter_map(|code| code.split_once("::")) {
        if !file.ends_with(".rs") {
            continue;
        }
        let has_test = |source: &&PathBuf| {
            source.ends_with(file) && fs::read_to_string(source).unwrap().contains(&format!("fn {test}("))
        };
        assert!(sources.iter().any(|source| has_test(&source)), "{file} has no test {test}");
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
    let rule = b"[40:image/x-aez]\n>0=\0\x03\xAE\x5A\x10&\xFF\xFF\xF0\n";
    assert!(magic.windows(rule.len()).any(|window| window == rule), "{}", String::from_utf8_lossy(&magic));
}

/// Crates that contain built-in models must fit into the 10 MiB that registries accept.
#[test]
fn the_built_in_models_fit_into_packages() {
    let length = |name: &str| fs::metadata(path(name)).unwrap().len();
    let tile = length("models/tile.safetensors");
    assert!(tile <= Storage::PACKED_BYTES as u64, "{tile} bytes");
    let others =
        ["photo", "preview"].map(|name| length(&format!("crates/aez-core/models/{name}.safetensors")));
    assert!(others.iter().sum::<u64>() <= 4_000_000, "{others:?} bytes");
}
