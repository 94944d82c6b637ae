//! Five workflows as authors write them (examples/workflows), checked and run with a scripted model, and with tools that
//! come later registered as functions.

mod answer_letter;
mod department_digest;
mod invoices;
mod site;
mod tools;
mod watch_rollout;
mod weekly_report;
