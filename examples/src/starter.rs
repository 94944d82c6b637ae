//! The starter model, for programs that ask it unless they are told otherwise.

use std::error::Error;

use parkway::ModelBinding;
use parkway::testing::ScriptedModel;

/// The starter model, or the played one where that is asked for; the error says what fetches it where it is not there.
#[cfg(feature = "llama")]
pub fn starter_or(played: ScriptedModel, scripted: bool) -> Result<ModelBinding, Box<dyn Error>> {
    if scripted {
        return Ok(played.into());
    }
    let file = parkway::models::Catalog::open()?.resolve("smollm2-135m-instruct")?;
    Ok(parkway::Llama::gguf(file).into())
}

/// The played model: this build has no other.
#[cfg(not(feature = "llama"))]
pub fn starter_or(played: ScriptedModel, _scripted: bool) -> Result<ModelBinding, Box<dyn Error>> {
    Ok(played.into())
}
