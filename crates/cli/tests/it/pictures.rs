//! Pictures of workflows: what they say, and that they can be read.

use parkway_cli::picture::{Edge, Look, Mark, Part, Picture, Rect, Scheme, Tone, dot, mermaid, svg};
use proptest::prelude::*;
use regex::Regex;

use crate::bench::{ASK, Bench};

/// A workflow with most of what a picture shows.
const MUCH: &str = r#"
parkway: 1
name: much
description: Has most of what a picture shows.
models: { main: {} }
tools: { files: { read: [data], write: [out] } }
steps:
  list: { tool: files.list, with: { folder: data } }
  each:
    for_each: ${{ steps.list.output.files }}
    on_item_error: collect
    steps:
      read: { tool: files.read_text, with: { path: "${{ item.path }}" } }
      ask: { chat: { model: main, prompt: "${{ steps.read.output.text }}" } }
      both: { if: "${{ steps.ask.output | length > 3 }}", set: { a: "${{ steps.read.output.text }}", b: "${{ steps.ask.output }}" } }
  confirm: { needs: [each], approve: { prompt: "Go on?", timeout: 24h } }
  write:
    needs: [confirm]
    run_if: not_rejected
    on_error: continue
    tool: files.write_text
    with: { path: out/a, text: "${{ steps.list.output.files | length }} files" }
  tidy: { needs: [write], run_if: always, set: { done: true } }
"#;

#[test]
fn a_workflow_is_drawn_in_each_format() {
    let bench = Bench::new(MUCH);
    for format in ["mermaid", "dot", "svg"] {
        let ended = bench.parkway(&["graph", "flow.yaml", "--format", format]).code(0);
        assert_eq!(ended.err, "");
        insta::assert_snapshot!(format, ended.out);
    }
}

#[test]
fn a_goal_is_one_box_that_says_what_may_be_called() {
    let bench = Bench::new(
        r#"
parkway: 1
name: goals
models: { main: {} }
tools: { files: { read: [data], write: [out] } }
steps:
  find:
    agent: { model: main, goal: "Find the largest file\nin the folder data, and say why", tools: [files.list, files.read_text] }
  tidy:
    needs: [find]
    plan: { model: main, goal: "Tidy up: ${{ steps.find.output }}", tools: [files.list, files.write_text], approve: true }
"#,
    );
    let drawn = bench.parkway(&["graph", "flow.yaml", "--format", "mermaid"]).code(0);
    insta::assert_snapshot!("goals", drawn.out);
    let checked = bench.parkway(&["check", "flow.yaml"]).code(0);
    insta::assert_snapshot!("goals_checked", checked.out);
}

#[test]
fn the_ending_of_the_output_says_the_format() {
    let bench = Bench::new(ASK);
    for (name, begins) in
        [("a.svg", "<svg "), ("a.dot", "digraph "), ("a.mmd", "---\ntitle: \"ask\"\n---\nflowchart TD\n")]
    {
        let ended = bench.parkway(&["graph", "flow.yaml", "--output", name]).code(0);
        assert_eq!((ended.out.as_str(), ended.err.as_str()), ("", ""));
        assert!(std::fs::read_to_string(bench.path(name)).unwrap().starts_with(begins));
    }
    bench.parkway(&["graph", "flow.yaml", "--output", "no/where.svg"]).code(1).says("where.svg cannot be written");
}

#[test]
fn all_edges_shows_those_that_others_imply() {
    let bench = Bench::new(MUCH);
    let arrows = |args: &[&str]| bench.parkway(args).code(0).out.matches("->").count();
    let (few, all) = (arrows(&["graph", "flow.yaml"]), arrows(&["graph", "flow.yaml", "--all-edges"]));
    assert_eq!((few, all), (6, 8));
}

#[test]
fn a_wrong_workflow_is_drawn_as_far_as_it_can_be() {
    let bench = Bench::new(
        "parkway: 1\nsteps:\n  a: { tool: no.tool, with: { x: 1 }, needs: [b] }\n  b: { set: { x: 1 }, needs: [a] }\n",
    );
    let ended = bench.parkway(&["graph", "flow.yaml"]).code(0).says("parkway check flow.yaml");
    assert_eq!(ended.out.matches("-->").count(), 2, "{}", ended.out);
    bench.write("flow.yaml", "parkway: 1\nsteps: {}\n");
    bench.parkway(&["graph", "flow.yaml"]).code(2).says("error[no-steps]");
    bench.write("flow.yaml", "parkway: 1\nsteps: [\n");
    bench.parkway(&["graph", "flow.yaml"]).code(2).says("error[");
}

fn part(id: &str, marks: &[(Tone, &str)]) -> Part {
    let marks = marks.iter().map(|(tone, text)| Mark { text: (*text).into(), tone: *tone }).collect();
    Part { id: id.into(), verb: "tool".into(), look: Look::Tool, what: id.into(), marks, ..Part::default() }
}

#[test]
fn a_call_that_must_not_be_repeated_is_loud_in_every_format() {
    let scheme = Scheme { parts: vec![part("pay", &[(Tone::Loud, "at most once")])], edges: Vec::new() };
    assert!(svg(&scheme, "x", None).contains("pw-loud"));
    assert!(svg(&scheme, "x", None).contains(">at most once<"));
    assert!(mermaid(&scheme, "x").contains("AT MOST ONCE"));
    assert!(dot(&scheme, "x").contains("AT MOST ONCE"));
}

const HOSTILE: [&str; 8] = [
    "</text></svg><script>alert(1)</script>",
    "a\"];\nclick s0 call x()",
    "end",
    "`*md*` #quot; %%{init: {}}%%",
    "]]> &lt; &amp <!-- -->",
    "\\N \\l \\\" \\",
    "\u{202e}\u{7}\u{1b}[2J\u{fffe}",
    "1. - > 東京",
];

#[test]
fn hostile_texts_stay_texts() {
    let quoted = Regex::new(r#""(?:[^"\\]|\\["\\n])*""#).unwrap();
    let mut scheme = Scheme::default();
    for text in HOSTILE {
        let part = Part { about: vec![text.into()], verb: text.into(), ..part(text, &[(Tone::Plain, text)]) };
        scheme.parts.push(part);
    }
    for title in HOSTILE {
        let picture = svg(&scheme, title, Some(title));
        assert_well_formed(&picture);
        assert!(!picture.contains("<script"), "{picture}");
        for line in mermaid(&scheme, title).lines().filter(|line| line.contains('[')) {
            let label = line.split('"').collect::<Vec<_>>();
            assert_eq!(label.len(), 3, "{line}");
            assert!(!label[1].replace("<br/>", "").contains(['<', '>', '`', '%', '{', '[', ']']), "{line}");
        }
        for line in dot(&scheme, title).lines() {
            let bare = quoted.replace_all(line, "");
            assert!(!bare.contains(['"', '\\', '&', '<']), "{line}");
        }
    }
}

/// Every tag is closed in its order, and no other sign of markup stands in the texts.
fn assert_well_formed(xml: &str) {
    let tag = Regex::new(r#"<(/?)([a-z]+)((?: [a-zA-Z-]+="[^"<]*")*)(/?)>"#).unwrap();
    let mut open = Vec::new();
    for found in tag.captures_iter(xml) {
        match (&found[1], &found[4]) {
            ("/", "") => assert_eq!(open.pop(), Some(found[2].to_owned())),
            ("", "") => open.push(found[2].to_owned()),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let texts = tag.replace_all(xml, "");
    let entity = Regex::new("&(amp|lt|gt|quot|#39);").unwrap();
    let rest = entity.replace_all(&texts, "");
    assert!(!rest.contains(['&', '<']), "{rest}");
    let legal = |c: char| c == '\n' || !(c.is_control() || c == '\u{fffe}' || c == '\u{ffff}');
    assert!(rest.chars().all(legal), "{rest:?}");
}

#[test]
fn a_circle_is_drawn_with_a_line_that_leads_back() {
    let edge = |from, to| Edge { from, to, loose: false };
    let parts = ["a", "b", "c"].map(|id| part(id, &[])).to_vec();
    let scheme = Scheme { parts, edges: vec![edge(0, 1), edge(1, 2), edge(2, 0)] };
    let turned: Vec<_> =
        Picture::of(&scheme).lines.iter().map(|(from, to, _, line)| (*from, *to, line.turned)).collect();
    assert_eq!(turned, [(0, 1, false), (1, 2, false), (2, 0, true)]);
    assert!(svg(&scheme, "x", None).contains("pw-circle\""));
}

fn level(depth: u32) -> BoxedStrategy<Scheme> {
    let edges = proptest::collection::vec((0..30_usize, 0..30_usize), 0..40);
    let inner =
        if depth == 0 { Just(None).boxed() } else { proptest::option::weighted(0.25, level(depth - 1)).boxed() };
    let marks = proptest::collection::vec("[a-z ]{1,30}", 0..4);
    let part = ("[a-z_]{1,34}", marks, inner).prop_map(|(id, marks, inner)| {
        let marks: Vec<_> = marks.iter().map(|text| (Tone::Plain, text.as_str())).collect();
        Part { inner, ..part(&id, &marks) }
    });
    let parts = proptest::collection::vec(part, 1..14);
    (parts, edges)
        .prop_map(|(parts, edges)| {
            let size = parts.len();
            let mut edges: Vec<_> = edges
                .into_iter()
                .map(|(a, b)| (a % size, b % size))
                .filter(|(a, b)| a < b)
                .map(|(from, to)| Edge { from, to, loose: false })
                .collect();
            edges.sort();
            edges.dedup();
            Scheme { parts, edges }
        })
        .boxed()
}

fn apart(a: &Rect, b: &Rect) -> bool {
    a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
}

fn inside(a: &Rect, b: &Rect) -> bool {
    a.x >= b.x && a.y >= b.y && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn boxes_do_not_overlap_and_lines_lead_down_beside_them(scheme in level(2)) {
        let picture = Picture::of(&scheme);
        prop_assert_eq!(&picture, &Picture::of(&scheme));
        prop_assert_eq!(picture.frames.len(), scheme.size());
        let whole = Rect { x: 0.0, y: 0.0, width: picture.width, height: picture.height };
        for (number, frame) in picture.frames.iter().enumerate() {
            let around = frame.parent.map_or(whole, |parent| picture.frames[parent].rect);
            prop_assert!(inside(&frame.rect, &around), "{frame:?} in {around:?}");
            prop_assert!(frame.marks.iter().all(|mark| inside(mark, &frame.rect)), "{frame:?}");
            for other in picture.frames[..number].iter().filter(|other| other.parent == frame.parent) {
                prop_assert!(apart(&frame.rect, &other.rect), "{frame:?} over {other:?}");
            }
        }
        for (from, to, _, line) in &picture.lines {
            let (above, below) = (&picture.frames[*from].rect, &picture.frames[*to].rect);
            let (first, last) = (line.points[0], line.points[line.points.len() - 1]);
            prop_assert!(!line.turned && above.y + above.height < below.y);
            prop_assert_eq!((first.y, last.y), (above.y + above.height, below.y));
            prop_assert!(first.x > above.x && first.x < above.x + above.width);
            prop_assert!(last.x > below.x && last.x < below.x + below.width);
            for (number, pair) in line.points.windows(2).enumerate() {
                prop_assert!(pair[0].y <= pair[1].y && (number % 2 == 1 || pair[0].x == pair[1].x), "{line:?}");
                let part = Rect {
                    x: pair[0].x.min(pair[1].x),
                    y: pair[0].y,
                    width: (pair[0].x - pair[1].x).abs(),
                    height: pair[1].y - pair[0].y,
                };
                let parent = picture.frames[*from].parent;
                for frame in picture.frames.iter().filter(|frame| frame.parent == parent) {
                    prop_assert!(apart(&part, &frame.rect), "{line:?} through {frame:?}");
                }
            }
        }
    }
}

#[test]
fn a_thousand_steps_are_drawn_without_a_wait() {
    let parts = (0..1_000).map(|n| part(&format!("s{n}"), &[])).collect();
    let edges = (1..1_000).flat_map(|to: usize| [1, 7, 31].map(|back| (to.saturating_sub(back), to)));
    let mut edges: Vec<_> = edges.map(|(from, to)| Edge { from, to, loose: false }).collect();
    edges.sort();
    edges.dedup();
    let start = std::time::Instant::now();
    assert_eq!(Picture::of(&Scheme { parts, edges }).frames.len(), 1_000);
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

/// A plan without the names of the files that its prompts came from.
fn without_files(mut plan: serde_json::Value) -> serde_json::Value {
    for node in plan["graph"]["nodes"].as_array_mut().unwrap() {
        for message in node.pointer_mut("/verb/chat/messages").into_iter().flat_map(|m| m.as_array_mut().unwrap()) {
            message["content"].as_object_mut().unwrap().remove("file");
        }
    }
    plan
}

#[test]
fn the_example_in_normal_form_is_the_same_workflow() {
    let bench = Bench::new(ASK);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/workflows/order-intake.yaml");
    bench.parkway(&["graph", example, "--output", "normal.yaml"]).code(0);
    let plan = |file| without_files(bench.parkway(&["check", file, "--json"]).code(0).json()["plan"].take());
    assert_eq!(plan("normal.yaml"), plan(example));
    let normal = std::fs::read_to_string(bench.path("normal.yaml")).unwrap();
    assert_eq!(bench.parkway(&["graph", "normal.yaml", "--format", "yaml"]).code(0).out, normal);
}
