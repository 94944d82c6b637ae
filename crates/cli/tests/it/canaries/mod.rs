//! Canaries: values that stand for secrets. Servers, tools, models and people say them in every form, in what goes well and in what
//! does not; then every command that writes is given, and none of it, nor any file, holds one.

mod echo;
mod leaks;
mod programs;
mod site;
