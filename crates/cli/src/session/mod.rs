//! A run that this program executes, from its start to the words at its end.

mod approvals;
mod asked;
mod desk;
mod doubt;
mod ending;
mod evidence;
mod form;
mod inputs;
mod loading;
mod person;
mod said;
mod watch;

pub(crate) use approvals::{answer_waiting, given};
pub(crate) use asked::asked;
pub(crate) use desk::form_of;
pub(crate) use doubt::{Doubt, Word};
pub(crate) use ending::{way_on, write_outputs};
pub(crate) use evidence::evidence;
pub(crate) use form::Form;
pub(crate) use inputs::{add_given, from_file, json_value, read_file};
pub(crate) use person::name as person;
pub(crate) use said::taken_up;
pub(crate) use watch::{Session, explain};
