//! JSON, JSON Lines, CSV and Markdown, read and written.

use serde_json::{Value, json};

use crate::project::Project;

/// Every tool that reads a document.
const READERS: [&str; 5] =
    ["files.read_text", "files.read_json", "files.read_jsonl", "files.read_csv", "files.read_markdown"];

fn read(project: &Project, tool: &str, content: impl AsRef<[u8]>) -> Value {
    project.put("data/x", content);
    project.call(tool, json!({"path": "data/x"})).unwrap()
}

#[track_caller]
fn refused(project: &Project, tool: &str, content: impl AsRef<[u8]>) -> String {
    project.put("data/x", content);
    project.refused(tool, json!({"path": "data/x"}))
}

#[test]
fn no_reader_leaves_the_granted_folders_or_waits_or_swallows_a_file() {
    let project = Project::new();
    std::process::Command::new("mkfifo").arg(project.path("data/pipe")).status().unwrap();
    project.link("data/out.txt", project.outside().join("secret.txt"));
    project.put("data/binary", b"a\0\xff");
    project.put("data/huge", vec![b'1'; (1 << 20) + 1]);
    for tool in READERS {
        for (path, code) in [
            ("data/../private/keys.txt", "denied"),
            ("private/keys.txt", "denied"),
            ("data/out.txt", "denied"),
            ("data/a\0b", "denied"),
            ("data/pipe", "not_a_file"),
            ("data/letters", "is_folder"),
            ("data/none", "not_found"),
            ("data/binary", "encoding"),
            ("data/huge", "too_large"),
        ] {
            let error = project.call(tool, json!({"path": path})).unwrap_err();
            assert_eq!((error.code.as_str(), error.retryable), (code, false), "{tool} {path}: {error}");
        }
    }
}

#[test]
fn no_writer_leaves_the_granted_folders() {
    let project = Project::new();
    project.put("out/x", "");
    project.link("out/folder", project.outside());
    for path in ["../outside/a", "data/a", "out/folder/a", "out/a\0b"] {
        for (tool, input) in [
            ("files.write_json", json!({"path": path, "value": 1})),
            ("files.write_jsonl", json!({"path": path, "items": [1]})),
        ] {
            let error = project.call(tool, input).unwrap_err();
            assert_eq!(error.code, "denied", "{tool} {path}: {error}");
        }
    }
    assert_eq!(std::fs::read_dir(project.outside()).unwrap().count(), 1);
}

#[test]
fn a_json_value_comes_back_as_it_was_written() {
    let mut project = Project::new();
    project.grants = json!({"read": ["data", "out"], "write": ["out"]});
    let value =
        json!({"z": [1, -2.5, 18_446_744_073_709_551_615_u64, null, true], "a": {"": "é\u{2028}\"\n"}, "e": []});
    let write = |pretty: Value| {
        let mut input = json!({"path": "out/v.json", "value": value});
        if !pretty.is_null() {
            input["pretty"] = pretty;
        }
        project.call("files.write_json", input).unwrap()
    };
    let written = write(Value::Null);
    assert_eq!(written, write(json!(true)), "a second call is the first");
    assert!(project.read("out/v.json").starts_with("{\n  \"z\": [\n    1,"));
    assert!(project.read("out/v.json").ends_with("}\n"));
    let back = project.call("files.read_json", json!({"path": "out/v.json"})).unwrap();
    assert_eq!(back, json!({"value": value, "path": "out/v.json", "bytes": written["bytes"]}));
    write(json!(false));
    assert_eq!(project.read("out/v.json").lines().count(), 1);
    assert_eq!(project.call("files.read_json", json!({"path": "out/v.json"})).unwrap()["value"], value);
    project.call("files.write_json", json!({"path": "out/v.json", "value": null})).unwrap();
    assert_eq!(project.read("out/v.json"), "null\n");
    insta::assert_snapshot!(project.refused("files.write_json", json!({"path": "out/v.json"})), @"invalid: the arguments do not fit the input of `files.write_json`: missing field `value`");
    insta::assert_snapshot!(project.refused("files.write_json", json!({"path": "out", "value": 1})), @"is_folder: `out` is a folder; name a file in it");
}

#[test]
fn json_that_is_none_is_told_with_its_place() {
    let project = Project::new();
    assert_eq!(
        read(&project, "files.read_json", "\u{feff} [1]\n"),
        json!({"value": [1], "path": "data/x", "bytes": 8})
    );
    insta::assert_snapshot!(refused(&project, "files.read_json", ""), @"malformed: `data/x`, line 1: this is no JSON at column 0: EOF while parsing a value; correct it there");
    insta::assert_snapshot!(refused(&project, "files.read_json", "{\"a\": 1,\n \"b\" 2}"), @"malformed: `data/x`, line 2: this is no JSON at column 6: expected `:`; correct it there");
    insta::assert_snapshot!(refused(&project, "files.read_json", "{\"a\": 1, \"a\": 2}"), @"malformed: `data/x`, line 1: this is no JSON at column 12: a key stands here that the same object has already; correct it there");
    insta::assert_snapshot!(refused(&project, "files.read_json", "{}\n{}"), @"malformed: `data/x`, line 2: this is no JSON at column 1: trailing characters; correct it there");
    insta::assert_snapshot!(refused(&project, "files.read_json", "[".repeat(1 << 20)), @"malformed: `data/x`, line 1: this is no JSON at column 65: the values nest too deep; correct it there");
    insta::assert_snapshot!(refused(&project, "files.read_json", "[1e999]"), @"malformed: `data/x`, line 1: this is no JSON at column 6: number out of range; correct it there");
    insta::assert_snapshot!(refused(&project, "files.read_json", "\"a\0b\""), @r#"malformed: `data/x`, line 1: this is no JSON at column 3: control character (\u0000-\u001F) found while parsing a string; correct it there"#);
    // A message carries no label, so that it quotes nothing of the file.
    assert!(!refused(&project, "files.read_json", "{\"obey me\": 1, \"obey me\": obey}").contains("obey"));
}

#[test]
fn json_lines_are_read_one_by_one() {
    let project = Project::new();
    let text = "\u{feff}{\"a\": 1}\r\n\r\n  \n[2]\n\"x\"";
    let all = json!({"items": [{"a": 1}, [2], "x"], "path": "data/x", "more": false});
    assert_eq!(read(&project, "files.read_jsonl", text), all);
    let limited = |limit: Value| project.call("files.read_jsonl", json!({"path": "data/x", "limit": limit})).unwrap();
    assert_eq!(limited(json!(2)), json!({"items": [{"a": 1}, [2]], "path": "data/x", "more": true}));
    assert_eq!(limited(json!(3)), all);
    assert_eq!(limited(json!(0))["more"], true);
    assert_eq!(read(&project, "files.read_jsonl", "\n\n"), json!({"items": [], "path": "data/x", "more": false}));
    let many = read(&project, "files.read_jsonl", "1\n".repeat(10_001));
    assert_eq!((many["items"].as_array().unwrap().len(), &many["more"]), (10_000, &json!(true)));
    insta::assert_snapshot!(refused(&project, "files.read_jsonl", "1\n\n{\"a\": }\n"), @"malformed: `data/x`, line 3: this is no JSON at column 7: expected value; write one value in each line");
    insta::assert_snapshot!(refused(&project, "files.read_jsonl", "1 2\n"), @"malformed: `data/x`, line 1: this is no JSON at column 3: trailing characters; write one value in each line");
    insta::assert_snapshot!(project.refused("files.read_jsonl", json!({"path": "data/x", "limit": 10_001})), @"invalid: `limit` is 10001 and at most 10000 values are read; give a smaller one");
    insta::assert_snapshot!(project.refused("files.read_jsonl", json!({"path": "data/x", "limit": -1})), @"invalid: the arguments do not fit the input of `files.read_jsonl`: invalid value: integer `-1`, expected usize");
}

#[test]
fn json_lines_come_back_as_they_were_written() {
    let mut project = Project::new();
    project.grants = json!({"read": ["out"], "write": ["out"]});
    let items = json!([{"b": "two\nlines", "a": null}, [], "\u{2028}", 1.5]);
    let write = |items: &Value| project.call("files.write_jsonl", json!({"path": "out/l", "items": items})).unwrap();
    let written = write(&items);
    assert_eq!((&written["items"], write(&items)), (&json!(4), written.clone()));
    assert_eq!(project.read("out/l").lines().count(), 4);
    assert_eq!(project.call("files.read_jsonl", json!({"path": "out/l"})).unwrap()["items"], items);
    assert_eq!((&write(&json!([]))["bytes"], project.read("out/l").as_str()), (&json!(0), ""));
}

#[test]
fn a_table_is_read_with_every_cell_as_it_stands() {
    let project = Project::new();
    assert_eq!(
        read(&project, "files.read_csv", "\u{feff}nr,name\r\n012,\"Müller, \"\"K\"\"\"\r\n\r\n1e3,\r\n"),
        json!({
            "columns": ["nr", "name"],
            "rows": [{"nr": "012", "name": "Müller, \"K\""}, {"nr": "1e3", "name": ""}],
            "path": "data/x",
        })
    );
    assert_eq!(read(&project, "files.read_csv", "a,b\n")["rows"], json!([]));
    assert_eq!(read(&project, "files.read_csv", ""), json!({"columns": [], "rows": [], "path": "data/x"}));
    let lists = |delimiter: &str| {
        project.call("files.read_csv", json!({"path": "data/x", "delimiter": delimiter, "header": false})).unwrap()
    };
    project.put("data/x", "a;a;\n1\t2;;3\n");
    assert_eq!(lists(";"), json!({"columns": [], "rows": [["a", "a", ""], ["1\t2", "", "3"]], "path": "data/x"}));
    project.put("data/x", "a\tb\n");
    assert_eq!(lists("\t")["rows"], json!([["a", "b"]]));
}

#[test]
fn a_table_that_would_lose_cells_is_refused_with_its_line() {
    let project = Project::new();
    let refused = |content: &str| refused(&project, "files.read_csv", content);
    insta::assert_snapshot!(refused("a,b,a\n1,2,3\n"), @"malformed: `data/x`, line 1: column 3 has the name of column 1; rename one, or read with `header: false`");
    insta::assert_snapshot!(refused("\na,\n1,2\n"), @"malformed: `data/x`, line 2: column 2 has no name; write one, or read with `header: false`");
    insta::assert_snapshot!(refused("a,b\n\"1\n\",2\n3\n"), @"malformed: `data/x`, line 4: the number of cells is 1, not 2; give all rows the same length");
    insta::assert_snapshot!(refused("a,b\n1,2,3\n"), @"malformed: `data/x`, line 2: the number of cells is 3, not 2; give all rows the same length");
    insta::assert_snapshot!(refused("a\n\"b\nc\n"), @"malformed: `data/x`, line 2: a quote is opened here and never closed; write the one that ends it");
    insta::assert_snapshot!(refused("a\n\"b\" c\n"), @"malformed: `data/x`, line 2: text stands behind a closing quote; write a quote within a cell twice");
    assert_eq!(read(&project, "files.read_csv", "a\n".repeat(10_001))["rows"].as_array().unwrap().len(), 10_000);
    insta::assert_snapshot!(refused(&"a\n".repeat(10_002)), @"too_many: `data/x` has more than 10000 rows; split it into smaller files");
    insta::assert_snapshot!(refused(&format!("{}\n{}", "n".repeat(1 << 19), "1\n".repeat(9_000))), @"too_large: the column names of `data/x` are too long to stand in every row; read it with `header: false`");
    for delimiter in ["", "\"", "\n", ";;"] {
        let input = json!({"path": "data/x", "delimiter": delimiter});
        assert!(project.refused("files.read_csv", input).starts_with("invalid: `delimiter` is "));
    }
    insta::assert_snapshot!(project.refused("files.read_csv", json!({"path": "data/x", "delimiter": ""})), @r#"invalid: `delimiter` is "" and must be one character, and no quote or line break; give one like `,`, `;` or a tab"#);
}

#[test]
fn a_table_comes_back_as_it_was_written() {
    let mut project = Project::new();
    project.grants = json!({"read": ["out"], "write": ["out"]});
    let rows = json!([
        {"=name": "+49 170", "n": "-1.5", "t": "two\r\nlines, \"quoted\""},
        {"=name": "'plain", "n": "007", "t": ""},
        {"=name": "@a", "n": "=1+1", "t": "\tx"},
    ]);
    let write = |rows: &Value| project.call("files.write_csv", json!({"path": "out/t", "rows": rows})).unwrap();
    let read = |formulas: &str| project.call("files.read_csv", json!({"path": "out/t", "formulas": formulas})).unwrap();
    write(&rows);
    let back = read("unescape");
    assert_eq!((&back["rows"], &back["columns"]), (&rows, &json!(["=name", "n", "t"])));
    // What stands in the file is harmless, and stays so when it is written again.
    let kept = read("keep");
    assert_eq!(kept["rows"][2], json!({"'=name": "'@a", "n": "'=1+1", "t": "'\tx"}));
    let before = project.read("out/t");
    write(&kept["rows"]);
    assert_eq!(project.read("out/t"), before);
    // Other values come back as the text that they were written as.
    write(&json!([{"v": null}, {"v": 1}, {"v": [1, null]}]));
    assert_eq!(read("unescape")["rows"], json!([{"v": ""}, {"v": "1"}, {"v": "[1,null]"}]));
    write(&json!([]));
    assert_eq!(read("keep")["rows"], json!([]));
}

#[test]
fn each_section_has_the_line_to_cite() {
    let project = Project::new();
    let text = "---\ntitle: The guide\ntags: [a, b]\ndraft: no\n---\nBefore.\n\n# One\n\nText.\n```\n# no heading\n```\n## Two\n";
    insta::assert_snapshot!(serde_json::to_string_pretty(&read(&project, "files.read_markdown", text)).unwrap(), @r#"
    {
      "title": "The guide",
      "front_matter": {
        "title": "The guide",
        "tags": [
          "a",
          "b"
        ],
        "draft": "no"
      },
      "sections": [
        {
          "level": 0,
          "title": "",
          "text": "Before.",
          "line": 6
        },
        {
          "level": 1,
          "title": "One",
          "text": "Text.\n```\n# no heading\n```",
          "line": 8
        },
        {
          "level": 2,
          "title": "Two",
          "text": "",
          "line": 14
        }
      ],
      "text": "Before.\n\n# One\n\nText.\n```\n# no heading\n```\n## Two\n",
      "path": "data/x"
    }
    "#);
    assert_eq!(read(&project, "files.read_markdown", "## a\n# b\n# c\n")["title"], "b");
    assert_eq!(
        read(&project, "files.read_markdown", ""),
        json!({"title": null, "front_matter": null, "sections": [], "text": "", "path": "data/x"})
    );
    assert_eq!(read(&project, "files.read_markdown", "\u{feff}---\ntitle: 7\n---\n")["title"], Value::Null);
    insta::assert_snapshot!(refused(&project, "files.read_markdown", "---\na: 1\na: 2\n---\n"), @"malformed: `data/x`, line 3: a key of the front matter stands here twice; rename one");
    insta::assert_snapshot!(refused(&project, "files.read_markdown", "---\na: [1\n---\n"), @"malformed: `data/x`, line 2: the front matter is no YAML here; put quotes around texts, or correct it");
    insta::assert_snapshot!(refused(&project, "files.read_markdown", format!("---\na: {}\n---\n", "[".repeat(1 << 19))), @"malformed: `data/x`, line 2: the front matter nests too deep, or its aliases make too much of it; write less of it");
}

#[test]
fn a_hostile_document_takes_no_longer_than_others() {
    let project = Project::new();
    for part in ["# a\n", "> ", "* ", "[", "`", "*a_", "<!--", "![](", "&", "|a", "[a](<b", "a**b", "\\", "- - ", "1. "]
    {
        let begun = std::time::Instant::now();
        let sections = read(&project, "files.read_markdown", part.repeat((1 << 20) / part.len()))["sections"].clone();
        assert!(sections.is_array());
        assert!(begun.elapsed().as_secs() < 120, "`{part}` took {:?}", begun.elapsed());
    }
}

#[test]
fn all_documents_below_a_folder_are_listed() {
    let project = Project::new();
    for path in ["data/a.md", "data/sub/b.md", "data/sub/sub/c.md", "data/sub/d.txt", "data/sub/.e.md"] {
        project.put(path, "");
    }
    let listed = project.call("files.list", json!({"folder": "data", "glob": "**/*.md"})).unwrap();
    let paths: Vec<_> = listed["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["data/a.md", "data/sub/b.md", "data/sub/sub/c.md"]);
}
