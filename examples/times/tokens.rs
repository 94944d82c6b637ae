//! Tokens a second of the starter model: reading a prompt that nothing of is cached, and writing.

use std::time::Instant;

use parkway::Llama;
use parkway::model::{ChatMessage, ChatRequest, Model, Role};

/// Names and figures.
pub(crate) async fn measure() -> Result<Vec<(String, f64)>, Box<dyn std::error::Error>> {
    let path = parkway::models::Catalog::open()?.resolve("smollm2-135m-instruct")?;
    let model = Llama::gguf(path).load_async(|_| ()).await?;
    let ask = |text: String, max_tokens| ChatRequest {
        max_tokens,
        ..ChatRequest::new(vec![ChatMessage::new(Role::User, text)])
    };
    let letter = "We would like to order forty boxes of chalk and six globes for our school. ".repeat(50);

    let started = Instant::now();
    let read = model.chat(ask(letter, 1)).await?;
    let reading = f64::from(read.end.usage.prompt_tokens) / started.elapsed().as_secs_f64();

    let question = "Tell me a long story about a lighthouse.".to_owned();
    model.chat(ask(question.clone(), 1)).await?;
    let started = Instant::now();
    let wrote = model.chat(ask(question, 128)).await?;
    let writing = f64::from(wrote.end.usage.output_tokens) / started.elapsed().as_secs_f64();

    let device = &model.capabilities().device;
    Ok(vec![(format!("reading a prompt ({device})"), reading), (format!("writing an answer ({device})"), writing)])
}
