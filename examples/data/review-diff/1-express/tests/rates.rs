use parcel_rates::{Zone, express, price};

#[test]
fn a_bound_belongs_to_the_lower_band() {
    assert_eq!(price(1_000, Zone::Inland), Some(449));
    assert_eq!(price(1_001, Zone::Inland), Some(549));
}

#[test]
fn what_is_too_heavy_has_no_price() {
    assert_eq!(price(10_001, Zone::World), None);
}

#[test]
fn express_is_rounded_up() {
    // 35 % of 4.49 € are 157.15 cents.
    assert_eq!(express(800, Zone::Inland), Some(449 + 158));
}

#[test]
fn express_stays_inland() {
    assert_eq!(express(800, Zone::Neighbour), None);
}
