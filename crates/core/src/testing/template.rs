//! Expressions by themselves, for the examples of a book and for those who look for one that ends the process.

use minijinja::value::Serde;
use serde_json::Value;

use crate::workflow::Template;

/// What a template gives over roots such as `inputs` and `steps`, after it was inspected as the checker does: a text that is
/// one `${{ … }}` keeps its type.
///
/// ```
/// let roots = serde_json::json!({ "inputs": { "rows": [1, 2] } });
/// let value = parkway_core::testing::evaluate("${{ inputs.rows | sum }}", &roots);
/// assert_eq!(value, Ok(serde_json::json!(3)));
/// ```
pub fn evaluate(template: &str, roots: &Value) -> Result<Value, String> {
    let template = Template::Leaf(template);
    let wrong = template.inspect(&mut |_| None).problems.into_iter().find(|problem| !problem.warning);
    if let Some(problem) = wrong {
        return Err(problem.message);
    }
    template.evaluate(&minijinja::Value::from(Serde(roots))).map_err(|error| error.message)
}
