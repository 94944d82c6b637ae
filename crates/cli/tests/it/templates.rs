//! What `parkway new` writes, used from a clean folder.

use std::fs;

use crate::bench::Bench;

#[test]
fn every_template_passes_its_check_and_its_own_tests() {
    let bench = Bench::new("");
    fs::remove_file(bench.path("parkway.toml")).unwrap();
    fs::remove_file(bench.path("flow.yaml")).unwrap();
    let listed = bench.parkway(&["new"]).code(0).out;
    let names: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["consolidate", "extract", "report", "review"]);
    for name in names {
        bench.parkway(&["new", name]).code(0).says("parkway test");
        let here = |args: &[&str]| {
            let output = bench.command(args).current_dir(bench.path(name)).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{name} {args:?}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
            text
        };
        here(&["check", &format!("{name}.yaml")]);
        let tested = here(&["test"]);
        assert!(tested.contains("0 failed") && !tested.contains("\n0 passed"), "{tested}");
        assert!(bench.path(name).join("parkway.toml").exists());
        if name == "report" {
            here(&["run", "report.yaml"]);
            assert!(bench.path("report/out/report.csv").exists());
        }
    }
}

#[test]
fn a_template_is_never_written_over_what_is_there() {
    let bench = Bench::new("");
    bench.write("report.yaml", "mine");
    bench.parkway(&["new", "report", "."]).code(2).says("report.yaml").says("nothing was written");
    assert_eq!(fs::read_to_string(bench.path("report.yaml")).unwrap(), "mine");
    assert!(!bench.path("report.test.yaml").exists());
    bench.parkway(&["new", "rapport"]).code(2).says("there are: consolidate, extract, report, review");
    bench.parkway(&["new", "review", "deep/er"]).code(0);
    bench.parkway(&["new", "review", "deep/er"]).code(2);
}

#[test]
fn a_template_within_another_project_finds_its_own_files() {
    let bench = Bench::new("");
    bench.parkway(&["new", "report", "deep/er"]).code(0).says("cd deep/er");
    let run = bench.command(&["run", "report.yaml"]).current_dir(bench.path("deep/er")).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(bench.path("deep/er/out/report.csv").exists());
}
