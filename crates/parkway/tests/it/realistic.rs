//! Five workflows as authors write them (examples/workflows), checked and run with a scripted model and the tools that come with
//! Parkway; servers on this machine stand for those of other people.

mod answer_letter;
mod department_digest;
mod invoices;
mod site;
mod watch_rollout;
mod weekly_report;
