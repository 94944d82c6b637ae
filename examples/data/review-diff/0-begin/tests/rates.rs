use parcel_rates::{Zone, price};

#[test]
fn a_bound_belongs_to_the_lower_band() {
    assert_eq!(price(1_000, Zone::Inland), Some(449));
    assert_eq!(price(1_001, Zone::Inland), Some(549));
}

#[test]
fn what_is_too_heavy_has_no_price() {
    assert_eq!(price(10_001, Zone::World), None);
}
