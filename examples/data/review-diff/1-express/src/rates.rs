//! Prices by weight and zone.

/// Where a parcel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    Inland,
    Neighbour,
    World,
}

/// Upper bounds in grams, with the price of each zone in cents.
const BANDS: [(u32, [u32; 3]); 4] = [
    (1_000, [449, 899, 1_499]),
    (2_000, [549, 1_099, 1_899]),
    (5_000, [749, 1_399, 2_999]),
    (10_000, [999, 1_899, 4_999]),
];

/// What express costs on top, in percent of the price.
const EXPRESS: u32 = 35;

/// The price in cents; `None` for a parcel that is too heavy.
pub fn price(grams: u32, zone: Zone) -> Option<u32> {
    let (_, prices) = BANDS.iter().find(|(most, _)| grams <= *most)?;
    Some(prices[zone as usize])
}

/// The price of an express parcel, rounded up to whole cents. Express goes nowhere but inland.
pub fn express(grams: u32, zone: Zone) -> Option<u32> {
    if zone != Zone::Inland {
        return None;
    }
    let cents = price(grams, zone)?;
    Some(cents + (cents * EXPRESS).div_ceil(100))
}
