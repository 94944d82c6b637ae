//! Weights as people write them.

/// Grams of a text such as `1.25 kg` or `800 g`; `None` if it is neither.
pub fn grams(text: &str) -> Option<u32> {
    let text = text.trim();
    if let Some(kilos) = text.strip_suffix("kg") {
        let kilos: f64 = kilos.trim().parse().ok()?;
        return Some((kilos * 1_000.0).round() as u32);
    }
    text.strip_suffix('g')?.trim().parse().ok()
}
