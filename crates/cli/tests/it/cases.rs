//! What each command prints, in `tests/cmd/*.trycmd`. `[..]` stands for what differs from run to run, and `...` for lines
//! that another test looks at. `TRYCMD=overwrite cargo test -p parkway-cli cases` writes anew what has changed.

use std::path::Path;

use trycmd::TestCases;

use crate::bench::{Bench, environment};
use crate::shop::{self, PAY};

/// Cases that see nothing of the developer's own environment, with a home in `home`.
fn cases(home: &Path) -> TestCases {
    let cases = TestCases::new();
    for (name, value) in environment(home) {
        cases.env(name, value);
    }
    cases.env("HOME", home.display().to_string()).env("NO_COLOR", "1").env("CLICOLOR_FORCE", "0");
    cases
}

#[test]
fn commands_print_what_the_cases_say() {
    let home = crate::kept::folder().unwrap();
    let cases = cases(home.path());
    cases.insert_var("[HOME]", home.path().display().to_string()).unwrap();
    cases.case("tests/cmd/*.trycmd").skip("tests/cmd/resolve.trycmd");
}

#[test]
fn a_call_in_doubt_is_resolved_as_the_case_says() {
    let bench = Bench::new(PAY);
    shop::starts(&bench, "flow.yaml");
    let store = bench.path(".parkway/runs.db").display().to_string();
    let cases = cases(&bench.path(""));
    cases.insert_var("[STORE]", store.clone()).unwrap();
    cases.env("PARKWAY_STORE", format!("sqlite:{store}")).case("tests/cmd/resolve.trycmd");
}
