//! Five workflows as authors write them (examples/workflows), checked and run with a scripted model, and with functions in the
//! place of tools that reach other machines.

mod answer_letter;
mod department_digest;
mod invoices;
mod site;
mod tools;
mod watch_rollout;
mod weekly_report;
