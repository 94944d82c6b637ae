//! Answers letters about stock: a model reads which part a letter asks for, the program's own tools look it up and reserve it, a
//! person agrees to large reservations.

mod shelf;

use parkway::{Builder, Effect, Error, Parkway, Run, ToolError, Workflow, inputs, tool_fn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use shelf::Shelf;

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// The part that the letter asks for.
    pub part: String,
    /// How many pieces were reserved.
    pub reserved: u32,
    /// How many are left.
    pub left: u32,
}

#[derive(Deserialize, JsonSchema)]
struct Wish {
    /// The number of a part, such as A-12.
    part: String,
}

#[derive(Serialize, JsonSchema)]
struct Stock {
    /// Pieces on the shelf.
    pieces: u32,
}

/// Puts the stock room's tools onto an engine that is being built.
pub fn tools(builder: Builder, shelf: &Shelf) -> Builder {
    let looked_at = shelf.clone();
    let look = tool_fn("stock.look", Effect::Read, move |wish: Wish| {
        let pieces = looked_at.pieces(&wish.part);
        async move {
            let missing = || ToolError::invalid("not_found", format!("there is no part `{}`", wish.part));
            Ok(Stock { pieces: pieces.ok_or_else(missing)? })
        }
    });
    builder.tool(look.describe("How many pieces of a part are on the shelf.")).tool(shelf.reserving())
}

/// Begins to answer a letter; the run asks a person where many pieces are wanted.
pub async fn begin(parkway: &Parkway, letter: &str) -> Result<Run, Error> {
    let workflow = Workflow::from_source("stockroom.yaml", include_str!("stockroom.yaml"))?;
    parkway.start(workflow, inputs! { letter: letter }).await
}

/// Answers a letter.
pub async fn answer(parkway: &Parkway, letter: &str) -> Result<Answer, Error> {
    begin(parkway, letter).await?.output().await
}
