//! The starter model, for programs that ask it unless they are told otherwise.

use parkway::models::Catalog;
use parkway::{Llama, ModelBinding};

/// The starter model; the error says what fetches it where it is not there.
pub fn starter_model() -> Result<ModelBinding, Box<dyn std::error::Error>> {
    Ok(Llama::gguf(Catalog::open()?.resolve("smollm2-135m-instruct")?).into())
}
