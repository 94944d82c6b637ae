//! The page of `parkway --help`: the commands in groups, by what somebody wants to do.

use clap::Command;

/// What somebody wants to do, and the commands for it.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Run", &["run", "resume", "retry", "fork", "approve", "input", "resolve", "signal", "cancel"]),
    ("Plan", &["plan", "do", "distil"]),
    ("Look", &["show", "logs", "diff", "runs", "cost", "export", "audit", "memory", "graph"]),
    ("Write", &["new", "check", "explain", "test", "schema"]),
    ("Set up", &["models", "config", "doctor", "store", "completions", "man"]),
    ("Try", &["try"]),
];

/// The command line with its commands in groups.
pub(crate) fn grouped(command: Command) -> Command {
    let groups: String = GROUPS.iter().map(|(title, names)| group(&command, title, names)).collect();
    command.help_template(format!(
        "{{before-help}}{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Everywhere:\n{{options}}{{after-help}}"
    ))
}

fn group(command: &Command, title: &str, names: &[&str]) -> String {
    let about = |name: &&str| {
        let about = command.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
        format!("  {name:<13}{}\n", about.unwrap_or_default())
    };
    format!("{title}:\n{}\n", names.iter().map(about).collect::<String>())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Args;

    #[test]
    fn no_command_is_missing_on_the_page() {
        let command = Args::command();
        let mut known: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let mut listed: Vec<_> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned())).collect();
        known.sort();
        listed.sort();
        assert_eq!(listed, known);
        let page = grouped(command).render_help().to_string();
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    }

    #[test]
    fn the_help_of_each_command_begins_with_examples() {
        fn walk(command: &Command, path: &str, without: &mut Vec<String>) {
            for inner in command.get_subcommands() {
                let path = format!("{path} {}", inner.get_name());
                let before = inner.get_before_help().map(ToString::to_string).unwrap_or_default();
                if !before.starts_with("Example") {
                    without.push(path.clone());
                }
                // A command of commands shows those of all of them.
                if inner.get_subcommands().next().is_none() {
                    walk(inner, &path, without);
                }
            }
        }
        let mut without = Vec::new();
        walk(&Args::command(), "parkway", &mut without);
        assert_eq!(without, [""; 0]);
    }

    #[test]
    fn the_help_of_each_command_has_a_case() {
        fn walk(command: &Command, path: &str, paths: &mut Vec<String>) {
            paths.push(format!("$ {path} --help"));
            command.get_subcommands().for_each(|inner| walk(inner, &format!("{path} {}", inner.get_name()), paths));
        }
        let mut paths = Vec::new();
        walk(&Args::command(), "parkway", &mut paths);
        let cases = include_str!("../tests/cmd/help.trycmd");
        let cases: Vec<_> = cases.lines().filter(|line| line.starts_with("$ ") && line.ends_with(" --help")).collect();
        assert_eq!(cases, paths);
    }
}
